"""Packed weights in the user's cache: converted once.

A file in safetensors format (an eight-byte length, a JSON header, the data). Written beside its place and renamed, so
it exists whole or not at all. Start reading at ``load_or_pack``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from generation.cache import cache_root
from generation.decoding.llama.packing import PackedWeights
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.weight_files import Array
from generation.errors import ModelLoadError
from generation.safetensors_header import METADATA, read_header

FORMAT = 4  # of what is packed; files of another format are packed again
_DTYPES = {"F32": np.float32, "U8": np.uint8}
_KEPT_FILES = 8  # of all models; the oldest go
_READ_SHARE = 1 / 8  # of the machine's memory: weights up to that are read into huge pages, others mapped
_ALIGNMENT = 64  # bytes: a line of the cache


def load_or_pack(key: str, pack: Callable[[], PackedWeights]) -> PackedWeights:
    """The weights that were packed under ``key``; packed now where there are none.

    Raises:
        ModelLoadError: the disk is full or not writable.
    """
    path = _path_of(key)
    found = _read(path)
    if found is None:
        _write(path, pack())
        found = _read(path)
    if found is None:
        raise ModelLoadError(f"{path} was written and cannot be read; remove it and try again")
    return found


def is_packed(key: str) -> bool:
    """Whether there is a file under ``key``, whole or not."""
    return _path_of(key).is_file()


def packed_folder() -> Path:
    """Where packed weights are kept; may not exist yet."""
    return cache_root() / "packed"


def _path_of(key: str) -> Path:
    return packed_folder() / f"{key}.safetensors"


def packed_key(folder: Path, variant: str) -> str:
    """A name for the weights in ``folder``, different for any other weights, ``variant`` or format.

    Files whose hash no manifest tells are told apart by size and time of change.
    """
    paths = [p for p in sorted(folder.glob("*")) if p.suffix in {".safetensors", ".bin"} or p.name == "config.json"]
    facts = [str(FORMAT), variant, *(f"{path.name} {_known_hash(path) or _identity(path)}" for path in paths)]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    return f"{folder.resolve().name}-{variant}-{digest[:16]}"


def _known_hash(path: Path) -> str | None:
    try:
        manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
        record = manifest["files"][path.name]
        return str(record["sha256"]) if record["size_bytes"] == path.stat().st_size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def _write(path: Path, weights: PackedWeights) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as scratch:
            written = Path(scratch) / path.name
            _write_file(written, weights)
            written.replace(path)
        _forget_oldest(path.parent)
    except OSError as error:
        reason = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else str(error)
        advice = "Free some space, or set MEMBERWISE_CACHE to another folder"
        raise ModelLoadError(f"cannot keep converted weights in {path.parent}: {reason}. {advice}") from error


def _write_file(path: Path, weights: PackedWeights) -> None:
    about = {"shape": json.dumps(asdict(weights.shape)), "int8": str(int(weights.int8))}
    header: dict[str, Any] = {METADATA: about}
    end = 0
    for name, array in weights.arrays.items():
        dtype = next(code for code, dtype in _DTYPES.items() if array.dtype == dtype)
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)  # data starts at a multiple of 64 bytes
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in weights.arrays.values():
            file.write(np.ascontiguousarray(array).data)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> PackedWeights | None:
    """The weights; None when the file is missing, cut short or not one of ours."""
    try:
        header, start = read_header(path)
        about = header.pop(METADATA)
        data = _data(path, start)
        arrays = {name: _view(data, entry) for name, entry in header.items()}
        os.utime(path)  # used last
        return PackedWeights(LlamaShape(**json.loads(about["shape"])), about["int8"] == "1", arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        return None


def _data(path: Path, start: int) -> Array:
    """The bytes of a file from ``start`` on.

    A step reads all weights, and Linux has no huge pages for a file that is mapped: in those that numpy asks for, one
    core reads them half as fast again (docs/performance.md). Mapped weights can leave the memory, and processes share
    them.
    """
    size = path.stat().st_size - start
    if sys.platform != "linux" or size > psutil.virtual_memory().total * _READ_SHARE:
        return np.asarray(np.memmap(path, np.uint8, "r", offset=start))
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    data = memory[-memory.ctypes.data % _ALIGNMENT :][:size]
    with path.open("rb") as file:
        file.seek(start)
        if file.readinto(data.data) != size:
            raise ValueError("cut short")
    return data


def _view(data: Array, entry: Mapping[str, Any]) -> Array:
    start, end = entry["data_offsets"]
    if end > len(data) or end - start != math.prod(entry["shape"]) * np.dtype(_DTYPES[entry["dtype"]]).itemsize:
        raise ValueError("cut short")
    return data[start:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_KEPT_FILES:]:
        path.unlink(missing_ok=True)
