"""An interpreter with nothing installed, so that a measurement depends on the repository alone.

Knows nothing of who looks through it. Start reading at ``measured_tool``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import venv
from pathlib import Path

from generation.cache import cache_root
from generation.config import ToolConfig


def measured_tool() -> ToolConfig:
    """The tool as it is measured: it sees the repository alone, and it is waited for.

    With the deadline that people get, a record would depend on how busy the machine was. Reports count the answers
    that would have been too late.
    """
    return ToolConfig(python=bare_python(), deadline_s=30.0, kill_after_s=60.0)


def bare_python() -> Path:
    """The interpreter of an empty virtual environment of this Python; made at the first call, then reused."""
    version = ".".join(map(str, sys.version_info[:3]))
    home = cache_root() / "bare" / f"python-{version}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as parent:
            made = Path(parent) / "made"
            venv.create(made, with_pip=False, symlinks=os.name != "nt")
            _move_into_place(made, home)
    return python


def _move_into_place(made: Path, home: Path) -> None:
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was faster
            raise
