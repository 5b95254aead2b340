"""Lines of JSON that several processes append to one file, and who of them does what.

Records are appended under a lock, each in one write. A piece of work is claimed by a file lock of its own, which the
system takes back when its process dies, so a killed run leaves nothing claimed and at most one half line behind.
Knows nothing of what the records say. Start reading at ``Ledger``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from filelock import FileLock, Timeout

from generation.errors import CapacityError, ConfigError

Key = tuple[str, ...]


class Keyed(Protocol):
    """A record; a second one with the same key would be superfluous."""

    @property
    def key(self) -> Key:
        """What it is the record of."""


Record = TypeVar("Record", bound=Keyed)


class Ledger(Generic[Record]):
    """The records of a folder. Threads may share it; other processes may have their own on the same folder.

    Args:
        folder: is made where it is not there.
        read: a record from the object of a line; ``ValueError`` and ``TypeError`` pass the line over.
        write: the object of a record.

    Raises:
        ConfigError: ``folder`` is a file.
    """

    def __init__(
        self, folder: Path, read: Callable[[dict[str, Any]], Record], write: Callable[[Record], dict[str, Any]]
    ) -> None:
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; name a folder for the records")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "records.jsonl"
        self._read, self._write = read, write
        self._locks = folder / "locks"
        self._locks.mkdir(exist_ok=True)
        self._reading = threading.Lock()
        self._read_bytes = 0
        self._known: dict[Key, Record] = {}

    def known(self) -> dict[Key, Record]:
        """All records there are now, those of other processes included; of two with the same key the later one."""
        with self._reading:
            lines, self._read_bytes = read_lines(self.path, self._read_bytes)
            for line in lines:
                try:
                    record = self._read(line)
                except (ValueError, TypeError):
                    continue
                self._known[record.key] = record
        return self._known

    @contextmanager
    def claim(self, key: Key) -> Iterator[bool]:
        """Whether the caller is to make this record: nobody has, and nobody else is at it while this is open."""
        lock = FileLock(self._locks / f"{_name(key)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield key not in self.known()
        finally:
            lock.release()

    def add(self, record: Record) -> None:
        """Append a record.

        Raises:
            CapacityError: there is no room for it.
        """
        try:
            with FileLock(self._locks / "records.lock"):
                append_line(self.path, self._write(record))
        except OSError as error:
            raise CapacityError(f"cannot write to {self.path}: {error}; make room, what is there is kept") from error


def read_lines(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The objects of a file from a byte on, and the byte behind the last whole line.

    A line that a killed process left half written is passed over.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    return [found for line in whole.splitlines() for found in _object(line)], start + len(whole)


def append_line(path: Path, content: dict[str, Any]) -> None:
    """Add a line in one write, on a line of its own also after a half written one."""
    line = json.dumps(content, ensure_ascii=False) + "\n"
    with path.open("a+b") as stream:
        end = stream.seek(0, 2)
        if end and _last_byte(path, end) != b"\n":
            line = "\n" + line
        stream.write(line.encode("utf-8", "surrogatepass"))


def _object(line: bytes) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return
    if isinstance(found, dict):
        yield found


def _last_byte(path: Path, end: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(end - 1)
        return stream.read(1)


def _name(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()[:24]
