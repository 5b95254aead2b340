"""The methods under ``memberwise/``: streamed completions, explanation, status, statistics, what became of an offer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, TypeVar

import cattrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from generation.source.imports import import_edits
from generation.types import ToolCalled
from lsp_server import extensions, statistics
from lsp_server.documents import Snapshot
from lsp_server.extensions import PartlyAcceptedParams, ShownParams, payload, read_payload
from lsp_server.handlers.inline_completion import offer, opened, read_ahead
from lsp_server.records import Record
from lsp_server.server import MemberwiseServer

_APPLY_S = 10.0
T = TypeVar("T")


def register(server: MemberwiseServer) -> None:
    """Register the handlers."""
    _register_requests(server)
    _register_notifications(server)


def _register_requests(server: MemberwiseServer) -> None:
    @server.feature(extensions.STREAM_INLINE_COMPLETION)
    async def stream_inline_completion(params: Any) -> dict[str, Any]:
        return await _stream(server, params)

    @server.feature(extensions.EXPLAIN)
    def explain(params: Any) -> dict[str, Any] | None:
        wanted = read_payload(ShownParams, params).id if params else ""
        record = server.records.get(wanted) if wanted else server.records.last
        return None if record is None else explained(record, server.records.last_reason)

    @server.feature(extensions.STATUS)
    def status(_params: Any) -> dict[str, Any]:
        return payload(server.status)

    @server.feature(extensions.STATISTICS)
    def counts(_params: Any) -> dict[str, Any]:
        total = statistics.read() if server.settings.statistics else {}
        return {"session": dict(server.records.counts), "total": dict(total), "decoding": server.decode.busy}


def _register_notifications(server: MemberwiseServer) -> None:
    @server.feature(extensions.DID_MOVE_CURSOR)
    def did_move_cursor(params: Any) -> None:
        place = _structured(server, params, types.TextDocumentPositionParams)
        if snapshot := server.documents.get(place.text_document.uri):
            read_ahead(server, snapshot, place.position)

    @server.feature(extensions.DID_SHOW_COMPLETION)
    def did_show(params: Any) -> None:
        if server.records.get(read_payload(ShownParams, params).id):
            server.records.counts["shown"] += 1

    @server.feature(extensions.DID_ACCEPT_COMPLETION)
    async def did_accept(params: Any) -> None:
        await accept(server, read_payload(ShownParams, params).id)

    @server.feature(extensions.DID_PARTIALLY_ACCEPT_COMPLETION)
    def did_accept_part(params: Any) -> None:
        if server.records.get(read_payload(PartlyAcceptedParams, params).id):
            server.records.counts["partly accepted"] += 1


async def _stream(server: MemberwiseServer, params: Any) -> dict[str, Any]:
    wanted = _structured(server, params, types.InlineCompletionParams)
    token = params.get("partialResultToken")

    def show(text: str) -> None:
        server.progress_bars.send(token, {"text": text})

    found = await offer(server, wanted, show if isinstance(token, str | int) else None)
    if found is None:
        return {"items": []}
    item, record = found
    plain = server.protocol._converter.unstructure(item, types.InlineCompletionItem)
    snapshot = opened(server, record.uri)
    edits = [server.protocol._converter.unstructure(edit) for edit in imports_of(server, record, snapshot)]
    return {"items": [{**plain, "id": record.id, "cached": record.cached, "additionalTextEdits": edits}]}


def _structured(server: MemberwiseServer, params: Any, kind: type[T]) -> T:
    try:
        return server.protocol._converter.structure(params, kind)
    except (cattrs.ClassValidationError, TypeError, KeyError) as error:
        raise JsonRpcInvalidParams(f"the params are {kind.__name__} of the protocol") from error


def imports_of(server: MemberwiseServer, record: Record, snapshot: Snapshot) -> list[types.TextEdit]:
    """The edits that add the imports of a completion to the document as it is now."""
    if not record.imports:
        return []
    session, _ = server.repositories.of(snapshot.path)
    first_party = session.first_party if session else ()
    if snapshot.above and not import_edits(snapshot.above, record.imports, first_party):
        return []  # an earlier cell of the notebook imports it
    edits = import_edits(snapshot.text, record.imports, first_party)
    return [types.TextEdit(snapshot.lines.range(edit.start, edit.end), edit.replacement) for edit in edits]


async def accept(server: MemberwiseServer, record_id: str) -> None:
    """An offer stands in the document now: remember where, and bring its imports."""
    record = server.records.get(record_id)
    snapshot = server.documents.get(record.uri) if record else None
    if record is None or snapshot is None:
        return
    server.records.accept(record, snapshot.text)
    edits = imports_of(server, record, snapshot)
    if edits:
        await apply_edit(server, workspace_edit(snapshot, edits), "Import")


async def apply_edit(server: MemberwiseServer, edit: types.WorkspaceEdit, label: str) -> bool:
    """Let the client change a document; False when it cannot or does not."""
    workspace = server.client_capabilities.workspace
    if not (workspace and workspace.apply_edit):
        return False
    request = server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label=label))
    try:
        answer = await asyncio.wait_for(request, _APPLY_S)
    except (JsonRpcException, TimeoutError):
        return False
    return answer.applied


def workspace_edit(snapshot: Snapshot, edits: list[types.TextEdit]) -> types.WorkspaceEdit:
    """Edits of one version of one document."""
    document = types.OptionalVersionedTextDocumentIdentifier(snapshot.uri, snapshot.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(document, list(edits))])


def explained(record: Record, reason: str = "") -> dict[str, Any]:
    """A record as the client reads it; offsets count code points into ``text``."""
    return {
        "id": record.id,
        "uri": record.uri,
        "text": record.text,
        "typed": record.typed,
        "cached": record.cached,
        "reason": reason,
        "imports": [asdict(needed) for needed in record.imports],
        "calls": [call_as_json(call) for call in record.calls],
        "statistics": payload(record.stats),
    }


def call_as_json(call: ToolCalled) -> dict[str, Any]:
    """One question to the tool and what came of it."""
    return {
        "offset": call.offset,
        "kind": call.kind,
        "receiver": call.receiver,
        "suggestions": call.suggestions,
        "trusted": call.trusted,
        "best": [asdict(candidate) for candidate in call.best],
        "chosen": call.chosen.name if call.chosen else None,
        "source": call.chosen.source if call.chosen else None,
        "modelChoice": call.model_choice,
        "elapsedMs": round(call.elapsed_ms, 2),
        "cached": call.cached,
        "error": call.error,
    }
