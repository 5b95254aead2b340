"""Where commands leave what they have to tell: lines on stderr, reports in files. Start reading at ``say``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console


class Output(Console):
    """A console on stdout or stderr; a reader that leaves is an error like any other, which ``main`` answers."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process with 1, which says that the result cannot be used."""
        raise BrokenPipeError


def say(line: str) -> None:
    """Tell how a measurement goes; stdout is for its result."""
    print(line, file=sys.stderr, flush=True)


def write_json(report: Any, path: Path | None) -> None:
    """Write a report where it was asked for, folders included; nowhere without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
