"""The folder of a run behind a URL: what is there is fetched first, and every record and result is put there.

An object store cannot append, so records lie there in parts, each a file of lines. A run that is killed makes again the
records of its last seconds, which had not been put there. Start reading at ``shared_output``.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generation.batch.records import BatchRecord
from generation.errors import ConfigError, MissingExtraError

_PART_S = 2.0  # between two parts
_PARTS = "records"
_RESULTS = ("run.json", "records.jsonl", "summary.html", "*.patch")


class SharedOutput:
    """The folder that the run uses; ``add`` is told of every record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, record: BatchRecord) -> None:
        """Put a record where the others are; in a folder it is already."""

    def finish(self) -> None:
        """Put the results there."""


class _Remote(SharedOutput):
    def __init__(self, files: Any, path: str, folder: Path) -> None:
        super().__init__(folder)
        self._files, self._path = files, path.rstrip("/")
        self._lines: list[str] = []
        self._put_s = time.monotonic()
        self._fetch()

    def add(self, record: BatchRecord) -> None:
        self._lines.append(json.dumps(asdict(record), ensure_ascii=False) + "\n")
        if time.monotonic() - self._put_s >= _PART_S:
            self._put_part()

    def finish(self) -> None:
        self._put_part()
        for path in sorted(found for pattern in _RESULTS for found in self.folder.glob(pattern)):
            self._files.pipe(f"{self._path}/{path.name}", path.read_bytes())

    def _fetch(self) -> None:
        """The records of the runs before, whichever of them came to an end."""
        lines: dict[bytes, None] = {}  # bytes: a body may hold what ends a line of text, but not of JSON
        for path in sorted(self._files.glob(f"{self._path}/{_PARTS}/*.jsonl")):
            lines.update(dict.fromkeys(self._files.cat_file(path).splitlines()))
        if lines:
            (self.folder / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    def _put_part(self) -> None:
        if self._lines:
            self._files.makedirs(f"{self._path}/{_PARTS}", exist_ok=True)
            name = f"{self._path}/{_PARTS}/{time.time_ns()}-{uuid.uuid4().hex[:8]}.jsonl"
            self._files.pipe(name, "".join(self._lines).encode("utf-8", "surrogatepass"))
            self._lines = []
        self._put_s = time.monotonic()


def is_url(out: str) -> bool:
    """Whether ``--out`` names another place than a folder of this machine."""
    return "://" in out


@contextmanager
def shared_output(out: str) -> Iterator[SharedOutput]:
    """The output that ``--out`` names: a folder, or a URL of any file system that fsspec knows.

    Raises:
        ConfigError: there is no such file system, or it cannot be reached.
        MissingExtraError: fsspec is not installed.
    """
    if not is_url(out):
        yield SharedOutput(Path(out))
        return
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("fsspec", "batch") from error
    with tempfile.TemporaryDirectory(prefix="memberwise-out-") as folder:
        try:
            files, path = fsspec.url_to_fs(out)
            remote = _Remote(files, path, Path(folder))
        except (ImportError, OSError, ValueError) as error:
            raise ConfigError(f"cannot use {out} for the results: {error}") from error
        try:
            yield remote
        finally:
            remote.finish()
