"""Open documents: changes in every encoding, notebooks, byte order marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types

from lsp_server.documents import Documents, path_of

URI = "file:///r/a.py"
Partial = types.TextDocumentContentChangePartial


def span(line: int, start: int, end: int, last: int | None = None) -> types.Range:
    return types.Range(types.Position(line, start), types.Position(line if last is None else last, end))


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_a_change_behind_an_emoji(encoding: str, column: int) -> None:
    documents = Documents()
    documents.encoding = encoding
    documents.open(URI, 1, "🎉ab\n")
    assert documents.change(URI, 2, [Partial(span(0, column, column + 1), "x")])
    found = documents.get(URI)
    assert found
    assert (found.text, found.version) == ("🎉xb\n", 2)


def test_changes_are_applied_in_order_and_a_form_feed_ends_no_line() -> None:
    documents = Documents()
    documents.open(URI, 1, "a\f\nb\n")
    documents.change(URI, 2, [Partial(span(1, 0, 1), "c"), Partial(span(1, 1, 1), "d")])
    found = documents.get(URI)
    assert found
    assert found.text == "a\f\ncd\n"


def test_a_whole_document_replaces_the_text() -> None:
    documents = Documents()
    documents.open(URI, 1, "a")
    documents.change(URI, 2, [types.TextDocumentContentChangeWholeDocument("b")])
    found = documents.get(URI)
    assert found
    assert found.text == "b"


def test_a_snapshot_stays_as_it_was() -> None:
    documents = Documents()
    documents.open(URI, 1, "a")
    old = documents.get(URI)
    documents.change(URI, 2, [Partial(span(0, 0, 0), "x")])
    assert old
    assert old.text == "a"


def test_what_is_not_open_is_not_changed() -> None:
    assert not Documents().change(URI, 2, [])
    assert Documents().get(URI) is None


def test_halves_of_surrogate_pairs_are_replaced_where_text_comes_in() -> None:
    documents = notebook()
    documents.open(URI, 1, "a\ud83d")
    documents.change(URI, 2, [Partial(span(0, 2, 2), "\ude00b")])
    documents.open_cells(
        "file:///r/n.ipynb", [types.TextDocumentItem("cell:0", types.LanguageKind.Python, 1, "\udc00")]
    )
    assert [found.text for uri in (URI, "cell:0") if (found := documents.get(uri))] == ["a\ufffd\ufffdb", "\ufffd"]
    documents.change(URI, 3, [types.TextDocumentContentChangeWholeDocument("\ud83d")])
    assert (whole := documents.get(URI))
    assert whole.text == "\ufffd"


def test_around_has_line_feeds_and_no_byte_order_mark() -> None:
    documents = Documents()
    documents.open(URI, 1, "\ufeffa\r\nb\r\nc")
    found = documents.get(URI)
    assert found
    offset = found.lines.offset(types.Position(1, 1))
    assert found.around(offset) == ("a\nb", "\nc")
    assert found.around(0) == ("", "a\nb\nc")
    assert found.newline == "\r\n"


def test_of_a_long_document_only_what_is_near_is_looked_at() -> None:
    documents = Documents()
    documents.open(URI, 1, "".join(f"name_{i} = {i}\n" for i in range(50_000)))
    found = documents.get(URI)
    assert found
    before, after = found.around(600_000)
    assert before.startswith("name_")
    assert 190_000 < len(before) < 260_000
    assert len(after) == 50_000
    documents.change(URI, 2, [Partial(span(49_000, 0, 0), "x")])
    later = documents.get(URI)
    assert later
    assert later.around(600_001)[0].startswith(before[:1000])  # typing does not move the start


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///r/a%20b.py", Path("/r/a b.py")),
        ("file:///r/../s/./%2E%2E/a.py", Path("/a.py")),
        ("file:///r/\ud83d.py", Path("/r/\ufffd.py")),
        ("untitled:Untitled-1", None),
        ("vscode-vfs://x/a.py", None),
        ("", None),
    ],
)
def test_paths_of_uris(uri: str, path: Path | None) -> None:
    assert path_of(uri) == path


def notebook() -> Documents:
    documents = Documents()
    kinds = [types.NotebookCellKind.Code, types.NotebookCellKind.Markup, types.NotebookCellKind.Code]
    cells = [types.NotebookCell(kind, f"cell:{number}") for number, kind in enumerate(kinds)]
    documents.open_notebook("file:///r/n.ipynb", cells)
    texts = ["%matplotlib inline\nimport json\n", "# Title", "json."]
    items = [
        types.TextDocumentItem(f"cell:{number}", types.LanguageKind.Python, 1, text)
        for number, text in enumerate(texts)
    ]
    documents.open_cells("file:///r/n.ipynb", items)
    return documents


def test_a_cell_stands_below_the_code_cells_above_it() -> None:
    found = notebook().get("cell:2")
    assert found
    assert found.around(5) == ("#matplotlib inline\nimport json\n\njson.", "")
    assert found.path == Path("/r/n.ipynb")


def test_cells_are_added_removed_and_closed() -> None:
    documents = notebook()
    cell = types.NotebookCell(types.NotebookCellKind.Code, "cell:9")
    item = types.TextDocumentItem("cell:9", types.LanguageKind.Python, 1, "x = 1")
    array = types.NotebookCellArrayChange(0, 1, [cell])
    change = types.NotebookDocumentCellChangeStructure(
        array, did_open=[item], did_close=[types.TextDocumentIdentifier("cell:0")]
    )
    documents.change_cells("file:///r/n.ipynb", change)
    found = documents.get("cell:2")
    assert found
    assert found.above == "x = 1\n"
    assert documents.get("cell:0") is None
    documents.close_notebook("file:///r/n.ipynb")
    assert documents.get("cell:2") is None


def test_places_in_a_notebook_count_cells_that_hold_no_code() -> None:
    documents = notebook()
    cell = types.NotebookCell(types.NotebookCellKind.Code, "cell:9")
    item = types.TextDocumentItem("cell:9", types.LanguageKind.Python, 1, "x = 1")
    array = types.NotebookCellArrayChange(2, 0, [cell])
    documents.change_cells("file:///r/n.ipynb", types.NotebookDocumentCellChangeStructure(array, did_open=[item]))
    assert (below := documents.get("cell:2"))
    assert below.above == "#matplotlib inline\nimport json\n\nx = 1\n"
    array = types.NotebookCellArrayChange(1, 2)
    documents.change_cells("file:///r/n.ipynb", types.NotebookDocumentCellChangeStructure(array))
    assert (below := documents.get("cell:2"))
    assert below.above == "#matplotlib inline\nimport json\n\n"
