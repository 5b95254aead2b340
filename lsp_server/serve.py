"""The server put together and started: handlers, streams, logs, signals. Start reading at ``serve``."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import BinaryIO

from generation.orphans import watch_parent
from lsp_server import lifetime
from lsp_server.decode_thread import Worker
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
from lsp_server.protocol import Input
from lsp_server.server import LoadModel, MemberwiseServer

_HANDLERS = (
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
_SWITCH_S = 0.0005  # the event loop waits so long for the decode thread, several times a message; 5 ms by default
_MMAP_THRESHOLD, _LARGE_BYTES = -3, 1 << 20  # M_MMAP_THRESHOLD of glibc's mallopt


def serve(load_model: LoadModel, *, verbose: bool = False) -> int:
    """Talk to a client over stdin and stdout until it goes; does not return, the process ends."""
    prepare_process(verbose=verbose)
    stdin, stdout = _protocol_streams()

    def leave(code: int) -> None:
        lifetime.end([server], code)

    def watch_client(pid: int | None) -> None:
        watch_parent(lambda: leave(0), pid)

    server = build_server(load_model, leave, watch_client)
    lifetime.on_signal(lambda: leave(0))
    server.start_io(stdin, stdout)
    leave(0 if server.protocol._shutdown else 1)
    return 0


def build_server(
    load_model: LoadModel,
    leave: Callable[[int], None],
    watch_client: Callable[[int | None], None] = lambda _: None,
    worker: Worker | None = None,
) -> MemberwiseServer:
    """A server with all its handlers; the arguments are those of ``MemberwiseServer``."""
    server = MemberwiseServer(load_model, leave, watch_client, worker)
    for module in _HANDLERS:
        module.register(server)
    return server


def _protocol_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for the protocol alone: what else prints goes to stderr, what else reads gets nothing."""
    stdin, stdout = Input(io.FileIO(os.dup(0))), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, stdout


def prepare_process(*, verbose: bool) -> None:
    """Logs, threads, memory. Pygls logs whole messages, which are code, at INFO and with errors: its log is off."""
    logging.basicConfig(stream=sys.stderr, format="%(relativeCreated)d ms %(name)s: %(message)s")
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("lsp_server").setLevel(logging.DEBUG if verbose else logging.WARNING)
    sys.setswitchinterval(_SWITCH_S)
    _give_memory_back()


def _give_memory_back() -> None:
    """Let glibc hand large blocks back to the system when they are freed, instead of learning to keep them."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
