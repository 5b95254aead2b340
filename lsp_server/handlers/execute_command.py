"""``workspace/executeCommand``: accept a completion, generate a body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams

from generation.errors import TargetError
from generation.service import Session
from lsp_server.bodies import Body, edits_of, write_body
from lsp_server.completions import CONTENT_MODIFIED
from lsp_server.documents import Snapshot
from lsp_server.extensions import (
    ACCEPT_COMPLETION,
    COMMANDS,
    GENERATE_BODY,
    GenerateBodyArgument,
    ServerStatus,
    ShownParams,
    read_payload,
)
from lsp_server.handlers.inline_completion import opened
from lsp_server.handlers.own_methods import accept, apply_edit, call_as_json, workspace_edit
from lsp_server.records import Record
from lsp_server.server import MemberwiseServer

_MOST_CANDIDATES = 16


def register(server: MemberwiseServer) -> None:
    """Register the handler; pygls announces the commands it knows by name."""
    for name in COMMANDS:
        server.command(name)(lambda: None)

    @server.feature(types.WORKSPACE_EXECUTE_COMMAND)
    async def execute_command(params: types.ExecuteCommandParams) -> Any:
        argument = params.arguments[0] if params.arguments else None
        if params.command == ACCEPT_COMPLETION:
            return await accept(server, read_payload(ShownParams, {"id": argument}).id)
        if params.command == GENERATE_BODY:
            wanted = read_payload(GenerateBodyArgument, argument)
            return await _generate(server, wanted, params.work_done_token)
        raise JsonRpcInvalidParams(f"there is no command {params.command}")


async def _generate(
    server: MemberwiseServer, wanted: GenerateBodyArgument, token: types.ProgressToken | None
) -> dict[str, Any]:
    if not 1 <= wanted.candidates <= _MOST_CANDIDATES:
        raise JsonRpcInvalidParams(f"candidates must be from 1 to {_MOST_CANDIDATES}")
    snapshot = opened(server, wanted.uri)
    if reason := server.unready(snapshot.path):
        server.say_why(reason)
        raise JsonRpcException(reason, code=-32803)
    session, path = server.repositories.of(snapshot.path)
    assert session is not None
    bodies = await _written(server, session, snapshot, wanted, token, path)
    if not bodies:
        server.say_why("the model wrote nothing that fits")
        return {"applied": False, "candidates": []}
    return await _answer(server, session, wanted, bodies)


async def _written(
    server: MemberwiseServer,
    session: Session,
    snapshot: Snapshot,
    wanted: GenerateBodyArgument,
    token: types.ProgressToken | None,
    path: Any,
) -> list[Body]:
    """Run the generation with everything a user may watch."""
    watch = _watcher(server, wanted, token)

    def show(text: str) -> None:
        if not work.result.done():  # a bar that has ended hears no more, and nobody gets parts behind the answer
            watch(text)

    server.completions.supersede()
    work = server.decode.submit(
        lambda stop: write_body(session, snapshot, path, wanted, stop, lambda text: server.decode.call(show, text))
    )
    server.bodies += 1
    server.say(ServerStatus(busy=True, kind="ready", message="generating a body"))
    server.progress_bars.begin(token, "Generate body", work.cancel)
    try:
        bodies = await work.result
    except asyncio.CancelledError:
        work.cancel()
        raise
    except TargetError as error:
        raise JsonRpcInvalidParams(str(error)) from error
    except Exception as error:
        raise JsonRpcInternalError(f"the generation failed: {type(error).__name__}: {error}"[:300]) from error
    finally:
        server.bodies -= 1
        server.say(server.idle_status)
        server.progress_bars.end(token, "stopped" if work.stop.is_set() else "done")
    if work.stop.is_set():
        raise JsonRpcException("cancelled", code=-32800)
    return bodies


def _watcher(
    server: MemberwiseServer, wanted: GenerateBodyArgument, token: types.ProgressToken | None
) -> Callable[[str], None]:
    """Shows the text so far: all of it to a client that asked for it, the last line beside the progress bar."""

    def show(text: str) -> None:
        server.progress_bars.report(token, text.rstrip().rpartition("\n")[2].strip()[:80])
        if wanted.partial_result_token is not None:
            server.progress_bars.send(wanted.partial_result_token, {"text": text})

    return show


async def _answer(
    server: MemberwiseServer, session: Session, wanted: GenerateBodyArgument, bodies: list[Body]
) -> dict[str, Any]:
    snapshot = opened(server, wanted.uri)
    try:
        edits = [edits_of(body, snapshot, wanted, session) for body in bodies]
    except TargetError as error:
        raise JsonRpcException(str(error), CONTENT_MODIFIED) from error
    records = [server.records.offer(_record(snapshot, body, edit)) for body, edit in zip(bodies, edits, strict=True)]
    applied = False
    if wanted.apply and wanted.candidates == 1:
        applied = await apply_edit(server, workspace_edit(snapshot, edits[0]), "Generate body")
        now = server.documents.get(snapshot.uri)
        if applied and now is not None:
            server.records.accept(records[0], now.text)
    plain = server.protocol._converter.unstructure
    return {
        "applied": applied,
        "candidates": [
            {
                "id": record.id,
                "text": body.finished.text,
                "edit": plain(workspace_edit(snapshot, edit)),
                "problems": [asdict(problem) for problem in body.problems],
                "calls": [call_as_json(call) for call in body.calls],
                "reason": body.finished.reason,
            }
            for record, body, edit in zip(records, bodies, edits, strict=True)
        ],
    }


def _record(snapshot: Snapshot, body: Body, edits: list[types.TextEdit]) -> Record:
    finished = body.finished
    lines, (*imports, written) = snapshot.lines, edits
    start = lines.offset(written.range.start) + len(body.site.lead)
    for edit in imports:
        if lines.offset(edit.range.start) <= lines.offset(written.range.start):
            start += len(edit.new_text) - (lines.offset(edit.range.end) - lines.offset(edit.range.start))
    return Record("", snapshot.uri, finished.text.rstrip("\n"), 0, start, body.calls, (), finished.stats, cached=False)
