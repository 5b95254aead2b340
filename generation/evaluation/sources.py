"""The Python files of a repository: which there are, their text, and which names they take from each other.

Knows nothing of tasks. Start reading at ``python_files`` and ``KeptNames``.
"""

from __future__ import annotations

import ast
import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from generation.errors import TargetError
from generation.source import parsing
from generation.source.files import read_source

_SKIPPED_FOLDERS = frozenset({"venv", "node_modules", "__pycache__", "build", "dist"})


def python_files(root: Path) -> list[Path]:
    """Every ``.py`` file below the root, sorted by its path; hidden and built folders are left out."""
    found = [path for path in root.rglob("*.py") if path.is_file() and not _is_skipped(path.relative_to(root))]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _is_skipped(path: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in path.parts)


def read_text(path: Path) -> str | None:
    """The text of a file with its own line ends; None where it is too large or no text in its encoding."""
    try:
        return read_source(path).text
    except TargetError:
        return None


def write_atomically(path: Path, content: str) -> None:
    """Replace a file by one rename, so that a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


def digest(root: Path) -> str:
    """A hash over the paths and contents of the repository's Python files."""
    total = hashlib.sha256()
    for path in python_files(root):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a file; None when it does not parse. Quiet about what the file's author might mend."""
    try:
        return parsing.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


class KeptNames:
    """The names that files of a repository take from one another, by the last part of the module's name.

    Coarse on purpose: modules of the same last name share their names, so that in doubt a name is kept.
    """

    def __init__(self, root: Path) -> None:
        self._names: dict[str, set[str]] = defaultdict(set)
        for path in python_files(root):
            for module, name in _taken_names(path):
                self._names[module].add(name)

    def of(self, path: str) -> frozenset[str]:
        """What other files take from the file at a path below the root."""
        file = PurePosixPath(path)
        module = file.parent.name if file.name == "__init__.py" else file.stem
        return frozenset(self._names.get(module, ()))


def _taken_names(path: Path) -> Iterator[tuple[str, str]]:
    text = read_text(path)
    tree = None if text is None else parse(text)
    for node in ast.walk(tree) if tree else ():
        match node:
            case ast.ImportFrom(module=module, names=aliases):
                last = (module or path.parent.name).rpartition(".")[2]
                yield from ((last, alias.name) for alias in aliases)
            case ast.Attribute(value=ast.Name(id=module) | ast.Attribute(attr=module), attr=name):
                yield module, name
