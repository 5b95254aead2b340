"""The repositories that a command line names: folders, local git repositories, wheels and source distributions.

What is not a folder is unpacked below the run, where results can be looked at but not written back. Nothing is built
or run (of a folder that was named, the interpreter of its own environment is). Start reading at ``open_inputs``.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from generation.errors import ConfigError
from generation.evaluation.repositories import unpack

_GIT = (".git", "file://", "git+")
_CLONE_LIMIT_S = 600


def open_inputs(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """The roots of the repositories by a name each.

    Args:
        names: as on the command line.
        folder: where to unpack; what is there already is used again.

    Raises:
        ConfigError: one is none of these, cannot be unpacked, or has the name of another.
    """
    roots: dict[str, Path] = {}
    for name in names:
        root = _open(name, folder)
        if roots.setdefault(root.name, root) != root:
            raise ConfigError(f"two repositories are called {root.name}; fill them in two runs")
    return roots


def is_folder(name: str) -> bool:
    """Whether results can be written back to it."""
    return Path(name).is_dir() and not _is_git(name)


def _open(name: str, folder: Path) -> Path:
    path = Path(name)
    if _is_git(name):
        return _once(folder / _stem(name.removesuffix("/").removesuffix("/.git")), lambda into: _clone(name, into))
    if path.is_dir():
        return path.resolve()
    if path.suffix == ".whl" and path.is_file():
        return _once(folder / path.stem, lambda into: unpack(path, into))
    if path.is_file() and (path.name.endswith((".tar.gz", ".tgz", ".zip"))):
        return _once(folder / _stem(path.name), lambda into: _unpack_source(path, into))
    raise ConfigError(f"{name} is no folder, wheel, source distribution or git repository; check the name")


def _is_git(name: str) -> bool:
    return name.startswith(_GIT[1:]) or (name.endswith(_GIT[0]) and name != ".git")


def _stem(name: str) -> str:
    last = name.rstrip("/").rpartition("/")[2]
    for end in (".git", ".tar.gz", ".tgz", ".zip"):
        last = last.removesuffix(end)
    return last


def _once(root: Path, fill: Callable[[Path], object]) -> Path:
    """Fill a folder that appears when it is complete."""
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".opening-", dir=root.parent) as folder:
        inside = Path(folder) / root.name
        try:
            fill(inside)
        except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise ConfigError(f"cannot unpack {root.name}: {error}") from error
        if not root.is_dir():  # else another process was faster, with the same content
            inside.rename(root)
    return root


def _clone(url: str, into: Path) -> None:
    command = ["git", "clone", "--quiet", "--depth", "1", "--", url.removeprefix("git+"), str(into)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CLONE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"git clone {url} took over {_CLONE_LIMIT_S} s") from error
    if done.returncode:
        raise ConfigError(f"git cannot clone {url}: {done.stderr.strip()}")


def _unpack_source(path: Path, into: Path) -> None:
    """The folder in a source distribution, which usually holds all of it."""
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        if path.suffix == ".zip":
            unpack(path, Path(folder) / "all")
        else:
            with tarfile.open(path) as archive:
                archive.extractall(Path(folder) / "all", filter="data")
        inside = list((Path(folder) / "all").iterdir())
        shutil.move(inside[0] if len(inside) == 1 and inside[0].is_dir() else Path(folder) / "all", into)
