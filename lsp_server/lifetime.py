"""How the server ends: on ``exit``, at the end of its input, when its parent is gone, on a signal. Nothing is left.

The decode thread may be in the middle of a forward and cannot be joined, so the process ends itself once its children
are dead. Start reading at ``serve``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

import psutil

from lsp_server import statistics
from lsp_server.server import LoadModel, MemberwiseServer, build_server

_WATCH_S = 0.2
_CLEAN_UP_S = 1.0
_SWITCH_S = 0.0005  # the event loop waits so long for the decode thread, several times a message; 5 ms by default
_ending = threading.Lock()


def serve(load_model: LoadModel, *, verbose: bool = False) -> int:
    """Talk to a client over stdin and stdout until it goes; does not return, the process ends."""
    _quiet_logs(verbose)
    sys.setswitchinterval(_SWITCH_S)
    stdin, stdout = _protocol_streams()
    server = build_server(load_model)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: end(server, 0))
    server.start_io(stdin, stdout)
    end(server, 0 if server.protocol._shutdown else 1)
    return 0


def end(server: MemberwiseServer, code: int) -> None:
    """Stop the model, kill the tool processes, and leave."""
    if not _ending.acquire(blocking=False):
        return
    server.stop_decoding()
    cleaning = threading.Thread(target=_clean_up, args=(server,), daemon=True)
    cleaning.start()
    cleaning.join(_CLEAN_UP_S)
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            child.kill()
    os._exit(code)


def watch_parent(client_pid: int | None, leave: Callable[[], None]) -> None:
    """Call ``leave`` when the process that started this one, or the one the client named, is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent and (client_pid is None or _lives(client_pid)):
            time.sleep(_WATCH_S)
        leave()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _clean_up(server: MemberwiseServer) -> None:
    with contextlib.suppress(Exception):
        server.repositories.close_all()
        server.repositories.remove_empty_folder()
    if server.settings.statistics:
        with contextlib.suppress(Exception):
            statistics.add(server.records.counts)


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
