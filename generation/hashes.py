"""Hashes of files, which name what was made of them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; a file of gigabytes is read once while it stays what it is.

    Raises:
        OSError: it cannot be read.
    """
    state = path.stat()
    return _sha256(path.absolute(), state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """The last two tell files apart that bear the same name one after the other."""
    del size, changed_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
