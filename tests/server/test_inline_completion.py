"""``textDocument/inlineCompletion`` against the real server process: what is offered, where, and when not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client, inline, position
from tests.server.conftest import BASKET, place

INLINE = "textDocument/inlineCompletion"


def items(client: Client, uri: str, marked: str, **context: Any) -> list[dict[str, Any]]:
    line, character = place(client, uri, marked)
    found: list[dict[str, Any]] = client.result(INLINE, inline(uri, line, character, **context))["items"]
    return found


def status(client: Client) -> str:
    return str(client.result("memberwise/status", None)["message"])


def test_an_item_has_text_range_filter_and_command(shared: Client, uri: str) -> None:
    (item,) = items(shared, uri, f"{BASKET}    def total(self):\n        $0\n")
    assert item["insertText"] == item["filterText"] == "return self.price_of(self.count)"
    assert item["range"] == {"start": position(15, 8), "end": position(15, 8)}
    assert item["command"]["command"] == "memberwise.acceptCompletion"


def test_a_name_that_has_begun_is_replaced_as_a_whole(shared: Client, uri: str) -> None:
    (item,) = items(shared, uri, f"{BASKET}    def total(self):\n        return self.pri$0\n")
    assert item["insertText"] == "price_of(self.count)"
    assert item["range"] == {"start": position(15, 20), "end": position(15, 23)}


def test_the_selected_entry_of_the_list_is_honoured(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def total(self):\n        return self.p$0\n")
    span = {"start": position(line, character - 1), "end": position(line, character)}
    selected = {"range": span, "text": "price_of"}
    found = shared.result(INLINE, inline(uri, line, character, selectedCompletionInfo=selected))["items"]
    assert [item["insertText"] for item in found] == ["price_of(self.count)"]
    assert found[0]["range"] == span


def test_a_fresh_block_gets_a_block_and_a_line_gets_a_line(shared: Client, uri: str) -> None:
    marked = f"{BASKET}    def pieces(self):\n$0\n"
    (block,) = items(shared, uri, marked)
    assert block["insertText"] == "        first = self.count\n        return first + 1"
    (line,) = items(shared, uri, f"{BASKET}    def pieces(self):\n        first = $0\n")
    assert line["insertText"] == "self.count"


def test_who_asks_gets_more(shared: Client, uri: str) -> None:
    marked = f"{BASKET}    def pieces(self):\n        first = $0\n"
    (item,) = items(shared, uri, marked, invoked=True)
    assert item["insertText"] == "self.count\n        return first + 1"


def test_text_behind_the_cursor_is_respected(shared: Client, uri: str) -> None:
    (item,) = items(shared, uri, f"{BASKET}    def call(self):\n        return self.price_of($0)\n")
    assert item["insertText"] == "self.count"
    (item,) = items(shared, uri, f'{BASKET}    def quoted(self):\n        return "$0"\n')
    assert item["insertText"] == "a b"


def test_what_stands_below_is_not_offered(shared: Client, uri: str) -> None:
    assert items(shared, uri, f"{BASKET}    def repeated(self):\n        $0\n        self.count = 0\n") == []
    assert "stands there already" in status(shared)


@pytest.mark.parametrize(
    ("marked", "reason"),
    [
        (f"{BASKET}    def spaces(self):\n        x\n        $0\n", "nothing to add"),
        (f"{BASKET}    def to$0tal(self):\n", "inside a word"),
        ("x = (" + "1, " * 10_000 + "$0", "too long"),
    ],
)
def test_nothing_is_offered_and_the_reason_is_told(shared: Client, uri: str, marked: str, reason: str) -> None:
    assert items(shared, uri, marked) == []
    assert reason in status(shared)
    told = shared.notifications("memberwise/didChangeStatus")[-1]
    assert told["kind"] == "empty"
    assert reason in told["message"]


def test_line_ends_of_windows_tabs_and_a_byte_order_mark(shared: Client, uri: str) -> None:
    text = "\ufeff" + f"{BASKET}    def pieces(self):\n$0\n".replace("\n", "\r\n")
    (item,) = items(shared, uri, text)
    assert item["insertText"] == "        first = self.count\r\n        return first + 1"
    (item,) = items(shared, uri, "def f():\r\n\tnumber = $0\r\n")
    assert item["range"]["start"] == position(1, 10)


def test_the_byte_order_mark_counts_in_its_line(shared: Client, uri: str) -> None:
    (item,) = items(shared, uri, "\ufeffvalue = $0")
    assert item["range"]["start"] == position(0, 9)


EMOJI = "größe = '🎉'; wert = Ba"


def test_an_emoji_before_the_cursor(shared: Client, uri: str) -> None:
    check_emoji(shared, uri, len(EMOJI) + 1)


def test_an_emoji_in_a_client_that_counts_bytes(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"debounceMs": 0}, encodings=["utf-8", "utf-16"])
        check_emoji(client, uri, len(EMOJI.encode()))


def check_emoji(client: Client, uri: str, units: int) -> None:
    client.open(uri, f"from shop.basket import Basket\n\n{EMOJI}\n")
    (item,) = client.result(INLINE, inline(uri, 2, units))["items"]
    assert item["insertText"] == "Basket().count"
    assert item["range"] == {"start": position(2, units - 2), "end": position(2, units)}


def test_typed_through_answers_come_from_the_cache(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def total(self):\n        $0\n")
    shared.result(INLINE, inline(uri, line, character))
    shared.change(uri, 2, line, character, "return se")
    started_s = time.perf_counter()
    (item,) = shared.result(INLINE, inline(uri, line, character + 9))["items"]
    assert item["insertText"] == "self.price_of(self.count)"
    assert shared.result("memberwise/explain", None)["cached"]
    assert time.perf_counter() - started_s < 1


def test_untitled_documents_and_files_outside_of_every_folder(shared: Client, tmp_path: Path) -> None:
    for uri in ("untitled:Untitled-1", (tmp_path / "other.py").as_uri(), "vscode-vfs://github/a/b.py"):
        (item,) = items(shared, uri, "number = $0\n")
        assert item["insertText"] == "41 + 1"


def test_a_cell_of_a_notebook_knows_the_cells_above(shared: Client, repository: Path) -> None:
    notebook, cells = (repository / "n.ipynb").as_uri(), ["cell:a", "cell:b"]
    texts = ["%matplotlib inline\nfrom shop.basket import Basket\n", "value = "]
    shared.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {
                "uri": notebook,
                "notebookType": "jupyter-notebook",
                "version": 1,
                "cells": [{"kind": 2, "document": cell} for cell in cells],
            },
            "cellTextDocuments": [
                {"uri": cell, "languageId": "python", "version": 1, "text": text}
                for cell, text in zip(cells, texts, strict=True)
            ],
        },
    )
    (item,) = shared.result(INLINE, inline("cell:b", 0, 8))["items"]
    assert item["insertText"] == "Basket().price_of(3)"
    assert item["range"]["start"] == position(0, 8)
    calls = shared.result("memberwise/explain", None)["calls"]
    assert [call["chosen"] for call in calls] == ["Basket", "price_of"]


def test_a_document_that_is_not_open_is_an_error(shared: Client) -> None:
    answer = shared.ask(INLINE, inline("file:///nowhere.py", 0, 0))
    assert answer["error"]["code"] == -32602
