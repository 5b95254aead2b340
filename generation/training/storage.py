"""Files that are there whole or not at all, whatever happens to the process or the disk, and JSON lines.

Knows nothing of what they hold. Start reading at ``writing``.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from generation.errors import ConfigError


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place when the block ends well; until then, and after an error, the old one stays.

    Raises:
        ConfigError: the disk is full, or the folder may not be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    with saying_why(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("w", encoding="utf-8", errors="surrogatepass") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def saying_why(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into one that says what to do.

    Raises:
        ConfigError: instead of ``OSError``.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = "the disk is full; free some space and run it again" if full else str(error)
        raise ConfigError(f"cannot write {path}: {reason}") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines; a last line that was cut off by a crash is left out.

    Raises:
        ConfigError: there is no such file, or a line before the last is no JSON.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogatepass") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    record: dict[str, Any] = json.loads(line)
                except ValueError as error:
                    if not line.endswith("\n"):
                        return
                    raise ConfigError(f"{path}:{number} is damaged ({error}); make the file again") from error
                yield record
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
