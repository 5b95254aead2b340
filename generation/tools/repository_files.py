"""Which Python files a repository has, and by which module names they are imported.

Looks at names and file status only; never follows a link, so loops and files outside the repository are out of reach.
Start at ``python_files`` and ``module_name``.
"""

from __future__ import annotations

import os
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

MAX_FILE_BYTES = 500_000

_SKIPPED = {"node_modules", "__pycache__", "site-packages", "venv", "env"}
_BUILT = {"build", "dist"}  # folders of build products, unless they are packages
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_NOT_FOR_IMPORT = re.compile(r"(^|/)(tests?|\.[^/]*)/|(^|/)(test_[^/]*|[^/]*_test|conftest|setup|__main__)\.pyi?$")
_BESIDE_PACKAGES = re.compile(r"docs?|examples?|benchmarks?|scripts|conf\.pyi?")  # inside of one they are part of it


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as it was on disk; a different stamp means that it must be read again."""

    path: Path
    mtime_ns: int
    size_bytes: int


def python_files(root: Path) -> Iterator[FileStamp]:
    """Every ``.py`` and ``.pyi`` file below ``root`` that is worth reading."""
    folders = [root]
    while folders:
        try:
            entries = sorted(os.scandir(folders.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not _is_skipped(entry):
                    folders.append(Path(entry.path))
            elif entry.name.endswith((".py", ".pyi")) and entry.is_file(follow_symlinks=False):
                stamp = file_stamp(Path(entry.path))
                if stamp:
                    yield stamp


def file_stamp(path: Path) -> FileStamp | None:
    """The stamp of ``path``; None when it is gone."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return FileStamp(path, status.st_mtime_ns, status.st_size)


def read_source(path: Path) -> str | None:
    """The text of a Python file by its declared encoding; None when it cannot be read."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeError):
        return None


def is_for_import(root: Path, path: Path) -> bool:
    """Other modules may import from this file: it is no test, script, example or piece of documentation."""
    if _NOT_FOR_IMPORT.search(path.relative_to(root).as_posix()):
        return False
    inside = [path, *path.parents][: len(path.relative_to(root).parts)]
    return all(is_package(one.parent) for one in inside if _BESIDE_PACKAGES.fullmatch(one.name))


def module_name(root: Path, path: Path) -> str:
    """The dotted name by which ``path`` is imported; empty when that is not possible."""
    parts = list(path.with_suffix("").relative_to(source_root(root, path.parent)).parts)
    if path.parent == root or source_root(root, path.parent) == root:
        parts = [*_packages_above(root), *parts]
    if parts and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


@lru_cache(maxsize=4096)
def source_root(root: Path, folder: Path) -> Path:
    """The folder on the import path that ``folder`` lies in: the nearest ``src``, else project, else ``root``."""
    if root not in folder.parents:
        return root
    for parent in (folder, *folder.parents):  # a loop: there may be more folders than Python allows calls
        if parent == root:
            break
        if _starts_packages(parent):
            return parent
    return root


@lru_cache(maxsize=4096)
def _starts_packages(folder: Path) -> bool:
    named = folder.name == "src" or any(_is_file(folder / name) for name in _PROJECT_FILES)
    return named and not is_package(folder)


def is_package(folder: Path) -> bool:
    """``folder`` has an ``__init__`` file."""
    return _is_file(folder / "__init__.py") or _is_file(folder / "__init__.pyi")


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - to ``Path.is_file`` a name that is too long is an error


def _packages_above(root: Path) -> list[str]:
    """The packages that ``root`` itself is inside of, outermost first."""
    names: list[str] = []
    while is_package(root):
        names.insert(0, root.name)
        root = root.parent
    return names


def _is_skipped(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _SKIPPED:
        return True
    if entry.name in _BUILT:
        return not is_package(Path(entry.path))
    return Path(entry.path, "pyvenv.cfg").exists()
