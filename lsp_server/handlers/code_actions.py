"""``textDocument/codeLens`` and ``textDocument/codeAction``: "Generate body" on functions without one."""

from __future__ import annotations

from lsprotocol import types

from generation.errors import TargetError
from generation.source.files import LIMIT_BYTES
from generation.source.functions import FunctionSite, list_functions
from lsp_server.documents import Snapshot
from lsp_server.extensions import GENERATE_BODY
from lsp_server.handlers.inline_completion import opened, read_ahead
from lsp_server.server import MemberwiseServer

_TITLE = "Generate body"


def register(server: MemberwiseServer) -> None:
    """Register the handlers."""

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=False))
    async def code_lens(params: types.CodeLensParams) -> list[types.CodeLens]:
        snapshot = opened(server, params.text_document.uri)
        if not server.settings.code_lens or not server.settings.enabled:
            return []
        stubs = await server.run_reading(_stubs, snapshot)
        return [types.CodeLens(_header(snapshot, site), _command(snapshot, site)) for site in stubs]

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.RefactorRewrite]),
    )
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        snapshot = opened(server, params.text_document.uri)
        only = params.context.only
        if not server.settings.enabled:
            return []
        if only and not any(types.CodeActionKind.RefactorRewrite.value.startswith(str(kind)) for kind in only):
            return []
        read_ahead(server, snapshot, params.range.start)  # editors ask wherever the cursor rests
        line = params.range.start.line
        stubs = await server.run_reading(_stubs, snapshot)
        return [_action(server, snapshot, site) for site in stubs if _holds(snapshot, site, line)]


def _stubs(snapshot: Snapshot) -> list[FunctionSite]:
    """Functions that have no body, overloads aside; nothing for a text that cannot be read."""
    if len(snapshot.text) > LIMIT_BYTES:
        return []
    try:
        functions = list_functions(snapshot.text[snapshot.mark :])
    except TargetError:
        return []
    return [site for site in functions if site.is_stub and not site.is_overload]


def _header(snapshot: Snapshot, site: FunctionSite) -> types.Range:
    mark = snapshot.mark
    return snapshot.lines.range(site.header_start + mark, site.header_end + mark)


def _holds(snapshot: Snapshot, site: FunctionSite, line: int) -> bool:
    first = snapshot.lines.position(site.decorators_start + snapshot.mark).line
    last = snapshot.lines.position(max(site.body_end - 1, site.header_end) + snapshot.mark).line
    return first <= line <= last


def _command(snapshot: Snapshot, site: FunctionSite) -> types.Command:
    argument = {"uri": snapshot.uri, "qualname": "", "line": site.line}
    return types.Command(_TITLE, GENERATE_BODY, arguments=[argument])


def _action(server: MemberwiseServer, snapshot: Snapshot, site: FunctionSite) -> types.CodeAction:
    document = server.client_capabilities.text_document
    supported = document.code_action.tag_support if document and document.code_action else None
    tags = [types.CodeActionTag.LlmGenerated] if supported else None
    return types.CodeAction(
        f"{_TITLE} of {site.name}",
        kind=types.CodeActionKind.RefactorRewrite,
        command=_command(snapshot, site),
        tags=tags,
    )
