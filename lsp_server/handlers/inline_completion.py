"""``textDocument/inlineCompletion``: the text that an editor shows in grey behind the cursor."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams

from lsp_server.completion_cache import Place
from lsp_server.completions import Answer
from lsp_server.convert import encodable
from lsp_server.documents import Snapshot
from lsp_server.extensions import ACCEPT_COMPLETION, ServerStatus
from lsp_server.records import Record
from lsp_server.server import MemberwiseServer
from lsp_server.writing import OnText, Request

_NAME = re.compile(r"[^\W\d]\w*\Z")


def register(server: MemberwiseServer) -> None:
    """Register the handler."""

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList:
        found = await offer(server, params)
        return types.InlineCompletionList([] if found is None else [found[0]])


async def offer(
    server: MemberwiseServer, params: types.InlineCompletionParams, on_text: OnText | None = None
) -> tuple[types.InlineCompletionItem, Record] | None:
    """The item for a position and the record of it; None, with the reason told, when there is nothing.

    Args:
        server: the server.
        params: of the request.
        on_text: is called with the text to insert so far, whenever there is more.

    Raises:
        JsonRpcException: the document is not open, the request was overtaken, or the model failed.
    """
    original = opened(server, params.text_document.uri)
    snapshot, start, offset = _with_selected(original, params)
    path = snapshot.path
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    if reason := server.unready(path) or _unwanted(server, invoked):
        server.say_why(reason)
        return None
    session, inside = server.repositories.of(path)
    assert session is not None
    request = Request(Place(snapshot.uri, *snapshot.around(offset)), inside, session, invoked)
    head = snapshot.text[start:offset]

    def show(text: str) -> None:
        if on_text is not None:
            on_text(head + text.replace("\n", snapshot.newline))

    answer = await _answered(server, request, show)
    if not answer.text.strip():
        server.say_why(answer.completion.reason or "the model has nothing to add here")
        return None
    server.say(server.idle_status)
    insert = head + answer.text.replace("\n", snapshot.newline)
    record = server.records.offer(_record(snapshot.uri, offset, answer))
    command = types.Command("Accept", ACCEPT_COMPLETION, arguments=[record.id])
    span = _replaced(original, params, start)
    return types.InlineCompletionItem(insert, filter_text=insert, range=span, command=command), record


def read_ahead(server: MemberwiseServer, snapshot: Snapshot, position: types.Position) -> None:
    """Prepare for a completion where the cursor rests; nothing where none could be asked for."""
    if server.unready(snapshot.path) or _unwanted(server, invoked=False):
        return
    session, inside = server.repositories.of(snapshot.path)
    assert session is not None
    place = Place(snapshot.uri, *snapshot.around(snapshot.lines.offset(position)))
    server.completions.read_ahead(Request(place, inside, session, invoked=False))


def opened(server: MemberwiseServer, uri: str) -> Snapshot:
    """The current version of a document.

    Raises:
        JsonRpcInvalidParams: it is not open.
    """
    snapshot = server.documents.get(uri)
    if snapshot is None:
        raise JsonRpcInvalidParams(f"{uri} is not open")
    return snapshot


def _with_selected(snapshot: Snapshot, params: types.InlineCompletionParams) -> tuple[Snapshot, int, int]:
    """The document as it would be with the selected entry of the completion list, where the item starts, the cursor."""
    offset = snapshot.lines.offset(params.position)
    selected = params.context.selected_completion_info
    if selected is None:
        line = snapshot.text[snapshot.lines.offset(types.Position(params.position.line, 0)) : offset]
        found = _NAME.search(line)
        return snapshot, offset - len(found[0]) if found else offset, offset
    start, end = snapshot.lines.span(selected.range)
    text = snapshot.text[:start] + encodable(selected.text) + snapshot.text[end:]
    return replace(snapshot, text=text), start, start + len(selected.text)


def _replaced(snapshot: Snapshot, params: types.InlineCompletionParams, start: int) -> types.Range:
    """What the item replaces: the name that is being typed, or what the selected entry would replace."""
    selected = params.context.selected_completion_info
    if selected is not None:
        return selected.range
    return types.Range(snapshot.lines.position(start), params.position)


def _unwanted(server: MemberwiseServer, invoked: bool) -> str:
    if server.bodies:
        return "a body is being generated"
    if server.settings.inline == "off" and not invoked:
        return "automatic completions are off"
    return ""


async def _answered(server: MemberwiseServer, request: Request, show: OnText) -> Answer:
    working = ServerStatus(busy=True, kind="ready", message="generating")

    def shown(text: str) -> None:
        server.say(working)
        show(text)

    try:
        return await server.completions.answer(request, shown)
    except (JsonRpcException, asyncio.CancelledError):
        server.say(server.idle_status)
        raise
    except Exception as error:
        message = f"the generation failed: {type(error).__name__}: {error}"[:300]
        server.say_why(message)
        raise JsonRpcInternalError(message) from error


def _record(uri: str, offset: int, answer: Answer) -> Record:
    completion = answer.completion
    typed = len(completion.typed) + len(answer.typed)
    text = completion.typed + completion.text
    place = offset - typed
    return Record("", uri, text, typed, place, completion.calls, completion.imports, completion.stats, answer.cached)
