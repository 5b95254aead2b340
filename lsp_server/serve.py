"""The server put together and started: handlers, streams, logs, signals. Start reading at ``serve``."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import BinaryIO

from lsp_server import lifetime
from lsp_server.handlers import (
    code_actions,
    completion,
    diagnostics,
    documents,
    execute_command,
    hover,
    inline_completion,
    lifecycle,
    own_methods,
)
from lsp_server.server import LoadModel, MemberwiseServer

_SWITCH_S = 0.0005  # the event loop waits so long for the decode thread, several times a message; 5 ms by default


def serve(load_model: LoadModel, *, verbose: bool = False) -> int:
    """Talk to a client over stdin and stdout until it goes; does not return, the process ends."""
    _quiet_logs(verbose)
    sys.setswitchinterval(_SWITCH_S)
    stdin, stdout = _protocol_streams()
    server = build_server(load_model)
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):  # the last is not known everywhere
        if number := getattr(signal, name, None):
            signal.signal(number, lambda *_: lifetime.end(server, 0))
    server.start_io(stdin, stdout)
    lifetime.end(server, 0 if server.protocol._shutdown else 1)
    return 0


def build_server(load_model: LoadModel) -> MemberwiseServer:
    """A server with all its handlers."""
    server = MemberwiseServer(load_model)
    modules = (
        lifecycle,
        documents,
        inline_completion,
        own_methods,
        execute_command,
        code_actions,
        completion,
        hover,
        diagnostics,
    )
    for module in modules:
        module.register(server)
    return server


def _protocol_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for the protocol alone: what else prints goes to stderr, what else reads gets nothing."""
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, stdout


def _quiet_logs(verbose: bool) -> None:
    """Pygls logs whole messages, which are the user's code, at INFO and with errors: its log stays off."""
    logging.basicConfig(stream=sys.stderr, format="%(relativeCreated)d ms %(name)s: %(message)s")
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("lsp_server").setLevel(logging.DEBUG if verbose else logging.WARNING)
