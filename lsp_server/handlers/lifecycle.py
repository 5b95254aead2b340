"""``initialize`` to ``exit``: what the client can do, which folders it has, how it wants things."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from lsprotocol import types

from lsp_server.documents import path_of
from lsp_server.server import MemberwiseServer
from lsp_server.settings import read_settings

_log = logging.getLogger(__name__)
_SECTION = "memberwise"


def register(server: MemberwiseServer) -> None:
    """Register the handlers."""

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.initialization_options = params.initialization_options
        encoding = server.workspace.position_encoding
        server.documents.encoding = encoding or types.PositionEncodingKind.Utf16
        folders = [folder.uri for folder in params.workspace_folders or ()]
        uris = folders or ([params.root_uri] if params.root_uri else [])
        server.repositories.set_roots(path_of(uri) for uri in uris)
        server.watch_client(params.process_id)

    @server.feature(types.INITIALIZED)
    async def initialized(_params: types.InitializedParams) -> None:
        await _read_settings(server)
        await _register_for_changes(server)
        server.start(server.load())

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        await _read_settings(server, params.settings)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def did_change_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        gone = {path_of(folder.uri) for folder in params.event.removed}
        added = [path_of(folder.uri) for folder in params.event.added]
        server.repositories.set_roots([root for root in server.repositories.roots if root not in gone] + added)
        server.start(server.load())

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def cancel_progress(params: types.WorkDoneProgressCancelParams) -> None:
        server.progress_bars.cancelled(params.token)

    @server.feature(types.SET_TRACE)
    def set_trace(_params: types.SetTraceParams) -> None:
        """Nothing is traced: it would be the user's code."""

    @server.feature(types.EXIT)
    def leave(_params: Any = None) -> None:
        server.leave(0 if server.protocol._shutdown else 1)


async def _read_settings(server: MemberwiseServer, pushed: object = None) -> None:
    workspace = server.client_capabilities.workspace
    pulled: Sequence[object] = ()
    if workspace and workspace.configuration:
        request = types.ConfigurationParams([types.ConfigurationItem(section=_SECTION)])
        try:
            pulled = await asyncio.wait_for(server.workspace_configuration_async(request), 5)
        except Exception as error:  # noqa: BLE001 - a client that does not answer has the defaults
            _log.warning("no configuration from the client: %s", type(error).__name__)
    server.apply_settings(*read_settings(server.initialization_options, pushed, *(pulled or ())))


async def _register_for_changes(server: MemberwiseServer) -> None:
    workspace = server.client_capabilities.workspace
    settings = workspace.did_change_configuration if workspace else None
    files = workspace.did_change_watched_files if workspace else None
    wanted = []
    if settings and settings.dynamic_registration:
        method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
        wanted.append(types.Registration("memberwise-configuration", method, {"section": _SECTION}))
    if files and files.dynamic_registration:
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        watchers = {"watchers": [{"globPattern": "**/*.{py,pyi}"}]}
        wanted.append(types.Registration("memberwise-files", method, watchers))
    if wanted:
        server.client_register_capability(types.RegistrationParams(wanted))
