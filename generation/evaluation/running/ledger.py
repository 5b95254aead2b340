"""Who does what, when several processes write to one folder; and what is done already.

Records are lines of one file, appended under a lock. A task is claimed by a file lock of its own, which the system
takes back when its process dies, so a killed run leaves nothing claimed. Knows nothing of how records are made. Start
reading at ``Ledger``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from generation.evaluation.running.records import Record, append_record, read_records

Key = tuple[str, str, str]  # as ``Record.key``


class Ledger:
    """The records of a folder. One thread uses it; other processes may have their own on the same folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "records.jsonl"
        self._locks = folder / "locks"
        self._locks.mkdir(exist_ok=True)
        self._read_bytes = 0
        self._known: dict[Key, Record] = {}

    def known(self) -> dict[Key, Record]:
        """All records there are now, those of other processes included."""
        records, self._read_bytes = read_records(self.path, self._read_bytes)
        self._known.update({record.key: record for record in records})
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
        """Append a record."""
        with FileLock(self._locks / "records.lock"):
            append_record(self.path, record)


def _name(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()[:24]
