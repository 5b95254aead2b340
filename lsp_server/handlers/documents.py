"""Opening, changing, saving and closing documents and notebooks; files that others changed."""

from __future__ import annotations

from collections.abc import Callable

from lsprotocol import types

from lsp_server.server import MemberwiseServer


def register(server: MemberwiseServer) -> None:
    """Register the handlers."""
    handlers: dict[str, Callable[..., None]] = {
        types.TEXT_DOCUMENT_DID_OPEN: did_open,
        types.TEXT_DOCUMENT_DID_CHANGE: did_change,
        types.TEXT_DOCUMENT_DID_CLOSE: did_close,
        types.TEXT_DOCUMENT_DID_SAVE: disk_changed,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES: disk_changed,
        types.NOTEBOOK_DOCUMENT_DID_OPEN: did_open_notebook,
        types.NOTEBOOK_DOCUMENT_DID_CHANGE: did_change_notebook,
        types.NOTEBOOK_DOCUMENT_DID_CLOSE: did_close_notebook,
    }
    for method, handler in handlers.items():
        server.feature(method)(handler)


def did_open(ls: MemberwiseServer, params: types.DidOpenTextDocumentParams) -> None:
    """``textDocument/didOpen``."""
    item = params.text_document
    _forget(ls, item.uri)
    ls.documents.open(item.uri, item.version, item.text)


def did_change(ls: MemberwiseServer, params: types.DidChangeTextDocumentParams) -> None:
    """``textDocument/didChange``."""
    identifier = params.text_document
    change_document(ls, identifier.uri, identifier.version, list(params.content_changes))


def did_close(ls: MemberwiseServer, params: types.DidCloseTextDocumentParams) -> None:
    """``textDocument/didClose``."""
    _forget(ls, params.text_document.uri)
    ls.documents.close(params.text_document.uri)


def disk_changed(
    ls: MemberwiseServer, _params: types.DidSaveTextDocumentParams | types.DidChangeWatchedFilesParams
) -> None:
    """``textDocument/didSave`` and ``workspace/didChangeWatchedFiles``."""
    ls.disk_changed()


def did_open_notebook(ls: MemberwiseServer, params: types.DidOpenNotebookDocumentParams) -> None:
    """``notebookDocument/didOpen``."""
    ls.documents.open_notebook(params.notebook_document.uri, params.notebook_document.cells)
    ls.documents.open_cells(params.notebook_document.uri, params.cell_text_documents)


def did_change_notebook(ls: MemberwiseServer, params: types.DidChangeNotebookDocumentParams) -> None:
    """``notebookDocument/didChange``."""
    cells = params.change.cells
    if cells is None:
        return
    if cells.structure is not None:
        ls.documents.change_cells(params.notebook_document.uri, cells.structure)
    for content in cells.text_content or ():
        change_document(ls, content.document.uri, content.document.version, list(content.changes))


def did_close_notebook(ls: MemberwiseServer, params: types.DidCloseNotebookDocumentParams) -> None:
    """``notebookDocument/didClose``."""
    for cell in params.cell_text_documents:
        _forget(ls, cell.uri)
    ls.documents.close_notebook(params.notebook_document.uri)


def change_document(
    server: MemberwiseServer, uri: str, version: int, changes: list[types.TextDocumentContentChangeEvent]
) -> None:
    """Apply a change, move what was accepted along, and stop what it overtakes."""
    if not changes:
        return  # VS Code reports changes that change nothing
    end: int | None = None
    for change in changes:
        old = server.documents.get(uri)
        if old is None:
            return
        if isinstance(change, types.TextDocumentContentChangeWholeDocument):
            start, stop, end = 0, len(old.text), None
        else:
            start, stop = old.lines.span(change.range)
            end = start + len(change.text)
        server.documents.change(uri, version, [change])
        server.records.edited(uri, start, stop, len(change.text))
    new = server.documents.get(uri)
    assert new is not None
    single = end is not None and len(changes) == 1
    server.completions.changed(uri, new.around(end) if single and end is not None else None)


def _forget(server: MemberwiseServer, uri: str) -> None:
    server.completions.closed(uri)
    server.records.closed(uri)
