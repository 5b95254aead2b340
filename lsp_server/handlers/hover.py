"""``textDocument/hover``: over a member that was generated, what was offered there and what was chosen."""

from __future__ import annotations

from lsprotocol import types

from generation.types import ToolCalled
from lsp_server.server import MemberwiseServer


def register(server: MemberwiseServer) -> None:
    """Register the handler."""

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        snapshot = server.documents.get(params.text_document.uri)
        if snapshot is None or not server.settings.hover or not server.records.regions(snapshot.uri):
            return None
        found = server.records.call_at(snapshot.uri, snapshot.lines.offset(params.position))
        if found is None:
            return None
        start, end, call = found
        content = types.MarkupContent(types.MarkupKind.Markdown, described(call))
        return types.Hover(content, snapshot.lines.range(start, end))


def described(call: ToolCalled) -> str:
    """A question to the tool and what came of it, for people."""
    assert call.chosen is not None
    receiver = f" of `{call.receiver}`" if call.receiver else ""
    lines = [f"**{call.chosen.name}** was chosen among {call.suggestions} names{receiver} ({call.chosen.source})."]
    lines += [f"* `{candidate.name}` {candidate.probability:.2f}" for candidate in call.best]
    if call.model_choice and call.model_choice != call.chosen.name:
        lines.append(f"\nBy itself the model would have written `{call.model_choice}`.")
    return "\n".join(lines)
