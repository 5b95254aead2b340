"""A process that does not outlive the one it works for, which may be killed and then tells nobody."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import psutil

_WATCH_S = 0.2


def watch_parent(leave: Callable[[], None], other: int | None = None) -> None:
    """Call ``leave``, on a thread, when the process that started this one is gone.

    Args:
        leave: ends this process.
        other: another process that must live, such as one that started the parent.
    """
    started_by = os.getppid()

    def watch() -> None:
        while os.getppid() == started_by and (other is None or _lives(other)):
            time.sleep(_WATCH_S)
        leave()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def end_with_parent() -> None:
    """For the processes of a pool, which otherwise wait for work for ever."""
    watch_parent(lambda: os._exit(1))


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
