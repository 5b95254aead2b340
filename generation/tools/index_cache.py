"""The member index on disk: one JSON file per repository in a cache folder.

The first line says what the rest is (format, repository, checksum), so a file that is damaged, cut off, of another
version or of another repository is ignored. Written to a temporary file and renamed, so readers never see half of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from generation.tools.file_facts import DefinitionFact, FileFacts, ImportFact
from generation.tools.repository_files import FileStamp

_FORMAT = f"memberwise index 3, python {sys.version_info.major}.{sys.version_info.minor}"

Entries = Mapping[Path, tuple[FileStamp, FileFacts]]


def cache_file(cache_dir: Path, root: Path) -> Path:
    """Where the index of ``root`` is kept in ``cache_dir``."""
    return cache_dir / f"index-{sha256(os.fsencode(root)).hexdigest()[:20]}.json"


def load_entries(cache_dir: Path, root: Path) -> Entries:
    """What was saved for ``root``; empty when there is nothing, or nothing that can be used."""
    try:
        head, body = cache_file(cache_dir, root).read_bytes().split(b"\n", 1)
        if json.loads(head) != _header(root, body):
            return {}
        return {Path(row[0]): _entry(row) for row in json.loads(body)}
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return {}


def save_entries(cache_dir: Path, root: Path, entries: Entries) -> None:
    """Replace what is saved for ``root``. A folder that cannot be written is left alone: it is only a cache."""
    rows = [_row(stamp, facts) for stamp, facts in entries.values()]
    body = json.dumps(rows, separators=(",", ":")).encode()
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        _write_atomically(cache_file(cache_dir, root), json.dumps(_header(root, body)).encode() + b"\n" + body)
    except OSError:
        return


def _header(root: Path, body: bytes) -> dict[str, object]:
    return {"format": _FORMAT, "root": str(root), "crc32": zlib.crc32(body)}


def _write_atomically(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _row(stamp: FileStamp, facts: FileFacts) -> list[object]:
    return [
        str(stamp.path),
        stamp.mtime_ns,
        stamp.size_bytes,
        facts.parsed,
        facts.uses,
        facts.definitions,
        facts.bases,
        facts.imports,
        facts.exported,
    ]


def _entry(row: list[Any]) -> tuple[FileStamp, FileFacts]:
    path, mtime_ns, size_bytes, parsed, uses, definitions, bases, imports, exported = row
    defined = [DefinitionFact(*item) for item in definitions]
    imported = [ImportFact(*item) for item in imports]
    return FileStamp(Path(path), mtime_ns, size_bytes), FileFacts(parsed, uses, defined, bases, imported, exported)
