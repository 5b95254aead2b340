"""Which interpreter's packages Jedi is told about.

In a workspace that is not trusted it is always our own: any other would be executed. Otherwise the order is the
setting (which VS Code fills with the interpreter that is selected), ``VIRTUAL_ENV``, ``.venv`` of the repository, our
own. An interpreter that does not run is one warning, and the next one is tried. Start reading at ``discover``. And
where Jedi itself is: ``folders_of_jedi``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from generation.config import ToolConfig

_CHECK_S = 10.0


@dataclass(frozen=True, slots=True)
class Environment:
    """The choice: an interpreter, or None for our own; who named it; what was wrong with those before it."""

    python: Path | None
    source: str
    warnings: tuple[str, ...] = ()


def discover(root: Path, config: ToolConfig, environ: Mapping[str, str]) -> Environment:
    """Choose an interpreter.

    Args:
        root: the repository.
        config: holds the setting, and whether the workspace is trusted.
        environ: environment variables; only ``VIRTUAL_ENV`` is read.
    """
    if not config.trusted:
        return Environment(None, "own: the workspace is not trusted")
    warnings: list[str] = []
    for source, path in _named(root, config, environ):
        python = _executable(path)
        problem = _problem(python)
        if problem is None:
            return Environment(None if _is_own(python) else python, source, tuple(warnings))
        warnings.append(f"{source}: {path} {problem}; the next interpreter is used")
    return Environment(None, "own", tuple(warnings))


def folders_of_jedi(root: Path, trusted: bool) -> list[str]:
    """Where this process finds Jedi and parso, for an isolated interpreter that may find none or older ones.

    That looks neither at ``PYTHONPATH`` nor at what a user has installed without a virtual environment (``pip install
    --user``), nor at what a launcher adds. The working directory and the repository, which may hold anything of these
    names, are left out, and of a repository that is not trusted everything inside of it.
    """
    root = root.resolve()
    left_out = {root}
    with suppress(OSError):  # it may have been removed
        left_out.add(Path.cwd().resolve())
    places = [(entry, Path(entry).resolve()) for entry in sys.path if entry]
    entries = [
        entry for entry, place in places if place not in left_out and (trusted or not place.is_relative_to(root))
    ]
    specs = (PathFinder.find_spec(package, entries) for package in ("jedi", "parso"))
    return list(dict.fromkeys(str(Path(spec.origin).absolute().parents[1]) for spec in specs if spec and spec.origin))


def _named(root: Path, config: ToolConfig, environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Interpreters and environments that somebody names, best first; ``.venv`` counts only when it is there."""
    virtual_env = environ.get("VIRTUAL_ENV")
    named = [
        ("setting", config.python),
        ("VIRTUAL_ENV", Path(virtual_env) if virtual_env else None),
        (".venv", root / ".venv" if (root / ".venv").is_dir() else None),
    ]
    return [(source, path) for source, path in named if path is not None]


def _executable(path: Path) -> Path:
    if not path.is_dir():
        return path
    return path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _problem(python: Path) -> str | None:
    """Why the interpreter cannot be used; runs it."""
    if not python.is_file() or not os.access(python, os.X_OK):
        return "is not an executable file"
    if _is_own(python):
        return None
    command = [str(python), "-I", "-c", "import sys; print(sys.version_info[0])"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_CHECK_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    return None if done.returncode == 0 and done.stdout.strip() == b"3" else "is not a Python 3 interpreter"


def _is_own(python: Path) -> bool:
    return python.absolute() == Path(sys.executable).absolute() or (
        python.parent.parent.resolve() == Path(sys.prefix).resolve()
    )
