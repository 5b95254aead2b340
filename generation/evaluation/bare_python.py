"""An interpreter with nothing installed, so that a measurement depends on the repository alone.

Knows nothing of who looks through it. Start reading at ``bare_python``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import venv
from pathlib import Path

from generation.cache import cache_root


def bare_python(folder: Path | None = None) -> Path:
    """The interpreter of an empty virtual environment of this Python; made at the first call, then reused."""
    version = ".".join(map(str, sys.version_info[:3]))
    home = (folder or cache_root() / "bare") / f"python-{version}"
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
