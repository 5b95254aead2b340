"""A session of editing with pytest-lsp's client, which speaks the protocol as lsprotocol types it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

from tests.server.client import SCRIPTED, cursor
from tests.server.conftest import BASKET

COMMAND = [sys.executable, "-m", "generation.cli.main", "serve", "--model-from", SCRIPTED]


@pytest_lsp.fixture(config=ClientServerConfig(server_command=COMMAND))
async def client(lsp_client: LanguageClient, repository: Path) -> Any:
    capabilities = client_capabilities("visual-studio-code")
    assert capabilities.text_document
    capabilities.text_document.inline_completion = types.InlineCompletionClientCapabilities()
    folder = types.WorkspaceFolder(repository.as_uri(), repository.name)
    lsp_client.set_configuration({"memberwise": {"debounceMs": 0, "statistics": False}})
    statuses: list[Any] = []
    lsp_client.statuses = statuses
    lsp_client.feature("memberwise/didChangeStatus")(lambda params: statuses.append(params))  # noqa: PLW0108 - marked
    lsp_client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: None)
    lsp_client.feature(types.WORKSPACE_APPLY_EDIT)(lambda params: types.ApplyWorkspaceEditResult(applied=False))
    params = types.InitializeParams(capabilities=capabilities, workspace_folders=[folder], root_uri=folder.uri)
    await lsp_client.initialize_session(params)
    yield
    await lsp_client.shutdown_session()


def status_kind(client: LanguageClient) -> str:
    return str(client.statuses[-1].kind) if client.statuses else ""


@pytest.mark.asyncio
async def test_a_session_of_editing(client: LanguageClient, repository: Path) -> None:
    while status_kind(client) != "ready":
        await client.wait_for_notification("memberwise/didChangeStatus")
    uri = (repository / "shop" / "session.py").as_uri()
    text, line, character = cursor(f"{BASKET}    def total(self):\n        $0\n\n    def pieces(self):\n        ...\n")
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, types.LanguageKind.Python, 1, text))
    )
    document = types.TextDocumentIdentifier(uri)
    place = types.Position(line, character)
    context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic)
    found = await client.text_document_inline_completion_async(types.InlineCompletionParams(context, document, place))
    assert isinstance(found, types.InlineCompletionList)
    (item,) = found.items
    assert item.insert_text == "return self.price_of(self.count)"
    assert item.range
    assert item.command

    client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            types.VersionedTextDocumentIdentifier(2, uri),
            [types.TextDocumentContentChangePartial(item.range, str(item.insert_text))],
        )
    )
    accept = types.ExecuteCommandParams(item.command.command, item.command.arguments)
    assert await client.workspace_execute_command_async(accept) is None
    hover = await client.text_document_hover_async(types.HoverParams(document, types.Position(line, 22)))
    assert hover
    assert isinstance(hover.contents, types.MarkupContent)
    assert "price_of" in hover.contents.value

    lenses = await client.text_document_code_lens_async(types.CodeLensParams(document))
    assert lenses
    command = lenses[0].command
    assert command
    generate = types.ExecuteCommandParams(command.command, command.arguments)
    result = await client.workspace_execute_command_async(generate)
    assert result["applied"] is False  # this client refuses
    assert result["candidates"][0]["text"].startswith("        first = self.count\n")
    report = await client.text_document_diagnostic_async(types.DocumentDiagnosticParams(document))
    assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
    assert not report.items
