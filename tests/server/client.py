"""The server with a scripted model, and documents with a cursor in them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from generation.evaluation.server_process import ServerProcess, inline, position

__all__ = ["SCRIPTED", "Client", "cursor", "inline", "position"]

SCRIPTED = f"{Path(__file__).with_name('scripted_model.py')}::make"


class Client(ServerProcess):
    """A server with the scripted model, or with the one that the settings name."""

    def __init__(self, model: str | None = SCRIPTED, env: dict[str, str] | None = None) -> None:
        super().__init__(["--model-from", model] if model else [], env)

    def __enter__(self) -> Client:
        return self


def cursor(marked: str) -> tuple[str, int, int]:
    """A text without its ``$0``, and the line and character (of ASCII text) where that stood."""
    before, after = marked.split("$0")
    return before + after, before.count("\n"), len(before) - before.rfind("\n") - 1


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    """A zombie does not: whoever inherited it may be slow to reap it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
