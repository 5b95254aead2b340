"""What is open in the editor: documents as immutable snapshots, notebooks as one text of all their cells.

Own bookkeeping instead of pygls' workspace, which splits lines at form feeds and so loses track of such files. Used on
the event loop alone; a ``Snapshot`` may be read anywhere. Start reading at ``Documents.get``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from generation.source.files import dominant_newline
from lsp_server.convert import Lines, encodable

_MOST_BEFORE, _MOST_AFTER = 200_000, 50_000  # characters around a cursor that are looked at
_STEP = 50_000  # the start moves in steps, so that typing does not move it
_TOP_LEVEL = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)
_MAGIC = re.compile(r"^[%!?]", re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """One version of a document.

    Attributes:
        uri: of the document, for a notebook of the cell.
        version: the client's number.
        text: as the client has it, a byte order mark and its line ends included.
        encoding: what positions count.
        above: text of the notebook's code cells above this one.
        notebook: of the notebook, or None.
    """

    uri: str
    version: int
    text: str
    encoding: str
    above: str = ""
    notebook: str | None = None

    @cached_property
    def lines(self) -> Lines:
        """Positions in ``text``."""
        return Lines(self.text, self.encoding)

    @cached_property
    def newline(self) -> str:
        """The line end that most lines have."""
        return dominant_newline(self.text)

    @property
    def path(self) -> Path | None:
        """The file on disk; None for what has none, such as an untitled document."""
        return path_of(self.notebook or self.uri)

    @property
    def mark(self) -> int:
        """How many characters of ``text`` are no Python: a byte order mark."""
        return int(self.text.startswith("\ufeff"))

    def around(self, offset: int) -> tuple[str, str]:
        """The text before and after an offset as the generator wants it: line feeds only, no mark, all cells above.

        Of a very long document it is what lies near the offset.
        """
        offset = max(offset, self.mark)
        start = self.mark
        if offset - start > _MOST_BEFORE:
            near = (offset - _MOST_BEFORE) // _STEP * _STEP
            found = _TOP_LEVEL.search(self.text, near, offset)
            start = found.start() if found else near
        before, after = self.text[start:offset], self.text[offset : offset + _MOST_AFTER]
        return self.above + _unix(before), _unix(after)


def path_of(uri: str) -> Path | None:
    """The path that a ``file:`` URI names, without ``..``; None for any other."""
    if not uri.startswith("file:"):
        return None
    try:
        found = to_fs_path(uri)
    except ValueError:
        return None
    return Path(os.path.normpath(encodable(found))) if found and "\0" not in found else None


class Documents:
    """Every open document."""

    def __init__(self) -> None:
        self.encoding: str = types.PositionEncodingKind.Utf16
        self._open: dict[str, Snapshot] = {}
        self._cells: dict[str, list[types.NotebookCell]] = {}  # of a notebook, in order: all, for clients count them

    def get(self, uri: str) -> Snapshot | None:
        """The current version; for a cell with what stands above it."""
        found = self._open.get(uri)
        if found is None or found.notebook is None:
            return found
        cells = self._cells.get(found.notebook, [])
        code = [cell.document for cell in cells if cell.kind == types.NotebookCellKind.Code]
        above = code[: code.index(uri)] if uri in code else []
        texts = (_MAGIC.sub("#", _unix(self._open[cell].text)) for cell in above if cell in self._open)
        return replace(found, above="".join(f"{text}\n" for text in texts))

    def open(self, uri: str, version: int, text: str) -> None:
        """A document was opened, or opened again."""
        self._open[uri] = Snapshot(uri, version, encodable(text), self.encoding)

    def change(self, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangeEvent]) -> bool:
        """Apply changes in order; False when the document is not open."""
        if uri not in self._open:
            return False
        for change in changes:
            self._open[uri] = _changed(self._open[uri], version, change)
        return True

    def close(self, uri: str) -> None:
        """A document was closed."""
        self._open.pop(uri, None)

    def open_notebook(self, uri: str, cells: Sequence[types.NotebookCell]) -> None:
        """A notebook was opened; its cells' texts follow by ``open_cells``."""
        self._cells[uri] = list(cells)

    def open_cells(self, notebook: str, documents: Sequence[types.TextDocumentItem]) -> None:
        """Texts of cells."""
        for item in documents:
            text = encodable(item.text)
            self._open[item.uri] = Snapshot(item.uri, item.version, text, self.encoding, notebook=notebook)

    def change_cells(self, notebook: str, structure: types.NotebookDocumentCellChangeStructure) -> None:
        """Cells were added, removed or moved."""
        array, cells = structure.array, self._cells.setdefault(notebook, [])
        cells[array.start : array.start + array.delete_count] = array.cells or ()
        self.open_cells(notebook, structure.did_open or ())
        for closed in structure.did_close or ():
            self.close(closed.uri)

    def close_notebook(self, uri: str) -> None:
        """A notebook was closed, with all its cells."""
        for cell in self._cells.pop(uri, []):
            self.close(cell.document)


def _changed(old: Snapshot, version: int, change: types.TextDocumentContentChangeEvent) -> Snapshot:
    text = encodable(change.text)
    if isinstance(change, types.TextDocumentContentChangeWholeDocument):
        return replace(old, version=version, text=text)
    lines = old.lines.edited(*old.lines.span(change.range), text)
    new = replace(old, version=version, text=lines.text)
    vars(new)["lines"] = lines  # the cached property: to look for all lines anew at every key would take longest
    return new


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
