"""``textDocument/completion``: Jedi's members after a dot, ranked by the model. Off unless the user wants it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

from lsprotocol import types

from generation.errors import TargetError
from generation.service import Session
from generation.tools.cursor import find_cursor
from generation.types import NameKind, SuggestionSource, ToolAnswer, ToolCalled, ToolQuery
from lsp_server.handlers.inline_completion import opened
from lsp_server.server import MemberwiseServer

_RANKING_S = 1.0
_KINDS = {
    "function": types.CompletionItemKind.Method,
    "class": types.CompletionItemKind.Class,
    "module": types.CompletionItemKind.Module,
    "property": types.CompletionItemKind.Property,
    "instance": types.CompletionItemKind.Field,
    "statement": types.CompletionItemKind.Field,
}


def register(server: MemberwiseServer) -> None:
    """Register the handler."""

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["."]))
    async def completion(params: types.CompletionParams) -> types.CompletionList:
        snapshot = opened(server, params.text_document.uri)
        if not server.settings.completion or server.unready(snapshot.path):
            return types.CompletionList(is_incomplete=False, items=[])
        before, after = snapshot.around(snapshot.lines.offset(params.position))
        session, path = server.repositories.of(snapshot.path)
        assert session is not None
        return await _members(server, session, path, before, after)


async def _members(
    server: MemberwiseServer, session: Session, path: Path, before: str, after: str
) -> types.CompletionList:
    """What Jedi knows; in the model's order when that comes in time."""
    answer: ToolAnswer | None = await server.run_reading(_ask, session, path, before, after)
    if answer is None or not answer.suggestions:
        return types.CompletionList(is_incomplete=False, items=[])
    job = server.decode.submit(lambda stop: _rank(session, path, before, after, stop))
    try:
        best = await asyncio.wait_for(asyncio.shield(job.result), _RANKING_S)
    except (TimeoutError, TargetError):
        best = ()
    finally:
        job.cancel()
    order = {name: f"{number:04}" for number, name in enumerate(best)}
    items = [
        types.CompletionItem(
            found.name,
            kind=_KINDS.get(found.kind, types.CompletionItemKind.Field),
            sort_text=order.get(found.name, f"9{int(found.source is not SuggestionSource.JEDI)}{found.name}"),
            preselect=found.name in best[:1],
        )
        for found in answer.suggestions
    ]
    return types.CompletionList(is_incomplete=not best, items=items)


def _ask(session: Session, path: Path, before: str, after: str) -> ToolAnswer | None:
    """The members after a dot; elsewhere the editor's other sources are better."""
    try:
        site = find_cursor(before, after)
    except TargetError:
        return None
    if not site.stem.rstrip().endswith("."):
        return None
    return session.tool.suggest(ToolQuery(session.root, path, site.before + site.stem, after, NameKind.ATTRIBUTE))


def _rank(session: Session, path: Path, before: str, after: str, stop: Event) -> tuple[str, ...]:
    """The names the model finds most probable here."""
    site = find_cursor(before, after)
    for event in session.complete(site, path, max_tokens=1, cancel=stop):
        if isinstance(event, ToolCalled):
            return tuple(candidate.name for candidate in event.best)
    return ()
