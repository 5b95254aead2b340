"""How the server ends: on ``exit``, at the end of its input, when its parent is gone, on a signal. Nothing is left.

The decode thread may be in the middle of a forward and cannot be joined, so the process ends itself once its children
are dead. Start reading at ``end``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import psutil

from lsp_server import statistics
from lsp_server.server import MemberwiseServer

_CLEAN_UP_S = 1.0
_ending = threading.Lock()


def end(servers: Sequence[MemberwiseServer], code: int) -> None:
    """Stop the model, kill the tool processes, and end this process."""
    if not _ending.acquire(blocking=False):
        return
    for server in servers:
        server.stop_decoding()
    cleaning = [threading.Thread(target=clean_up, args=(server,), daemon=True) for server in servers]
    for thread in cleaning:
        thread.start()
    until_s = time.monotonic() + _CLEAN_UP_S
    for thread in cleaning:
        thread.join(max(0.0, until_s - time.monotonic()))
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            child.kill()
    os._exit(code)


def on_signal(leave: Callable[[], None]) -> None:
    """Call ``leave`` when the process is told to end."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):  # the last is not known everywhere
        if number := getattr(signal, name, None):
            signal.signal(number, lambda *_: leave())


def clean_up(server: MemberwiseServer) -> None:
    """End a server's tool processes, and keep its counts."""
    with contextlib.suppress(Exception):
        server.repositories.close_all()
    if server.settings.statistics:
        with contextlib.suppress(Exception):
            statistics.add(server.records.counts)
