"""A copy of a repository in which one file at a time can be another, while the original is never written to.

Files are hard links where the disk allows it, so a copy costs next to no space. Knows nothing of what is put into it.
Start reading at ``WorkingCopy``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from generation.source.files import read_source


class WorkingCopy:
    """A copy of ``original`` below ``root``.

    Every change gets a new modification time, also the one that takes a change back: a tool that remembers files by
    their time must notice both.
    """

    def __init__(self, original: Path, root: Path) -> None:
        self.original = original
        self.root = root

    @contextmanager
    def holding(self, texts: Mapping[str, str]) -> Iterator[None]:
        """While this is open, the files at these paths (below the root) hold these texts, in their own encoding."""
        for path, text in texts.items():
            _replace(self.root / path, text.encode(read_source(self.original / path).encoding))
        try:
            yield
        finally:
            for path in texts:
                _replace(self.root / path, (self.original / path).read_bytes())


@contextmanager
def working_copy(original: Path, parent: Path | None = None) -> Iterator[WorkingCopy]:
    """A working copy that is gone afterwards; below ``parent``, or beside other temporary files."""
    with tempfile.TemporaryDirectory(prefix="memberwise-copy-", dir=parent) as folder:
        root = Path(folder).resolve() / original.name
        shutil.copytree(original, root, copy_function=_link, ignore=shutil.ignore_patterns("__pycache__", ".git"))
        yield WorkingCopy(original, root)


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _replace(path: Path, content: bytes) -> None:
    """By rename, so that the link goes and the original stays."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
