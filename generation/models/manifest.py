"""What is written beside the weights of a cached model: where they came from, what they are, and what makes them whole.

Standard library only. A manifest holds no date and no path, so the same source gives the same bytes everywhere.
Start reading at ``Manifest``; ``describe`` makes one for a folder in Hugging Face format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from generation.errors import ModelLoadError
from generation.hashes import sha256_of
from generation.safetensors_header import METADATA, read_header

MANIFEST_NAME = "manifest.json"
FORMAT = 1  # of the converted folder; a folder of another format is fetched again


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a model folder."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What only the source of a model knows about it.

    Attributes:
        name: what users call the model.
        source: where it came from, in words that can be fetched again.
        source_sha256: of the file that was converted; empty when nothing was.
        licence: SPDX identifier, or ``unknown``.
    """

    name: str
    source: str
    source_sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model folder in Hugging Face format, described.

    Attributes:
        provenance: where it came from.
        architecture: the model class that transformers loads.
        parameters: number of weights; tied ones count once.
        context_tokens: longest sequence the model was trained for, or 0 where its configuration has no such limit.
        dtype: as safetensors writes it: ``BF16``, ``F32``.
        files: every file of the folder but the manifest, by name.
    """

    provenance: Provenance
    architecture: str
    parameters: int
    context_tokens: int
    dtype: str
    files: Mapping[str, FileRecord]

    @property
    def size_bytes(self) -> int:
        """Disk space of the files."""
        return sum(record.size_bytes for record in self.files.values())

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a cached model, or None when there is none of this format or a file is missing or cut short."""
    try:
        data = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        manifest = _from_json(data) if data.pop("format") == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if manifest is not None and _is_whole(folder, manifest) else None


def describe(folder: Path, provenance: Provenance) -> Manifest:
    """The manifest of a folder in Hugging Face format; reads every byte of it once, for the hashes.

    Raises:
        ModelLoadError: there is no config.json, or a weights file is damaged.
    """
    config = read_config(folder)
    parameters, dtype = count_parameters(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST_NAME)
    return Manifest(
        provenance=provenance,
        architecture=(config.get("architectures") or [config.get("model_type", "unknown")])[0],
        parameters=parameters,
        context_tokens=context_tokens(config),
        dtype=dtype,
        files={name: FileRecord((folder / name).stat().st_size, sha256_of(folder / name)) for name in names},
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The parsed ``config.json`` of a model folder.

    Raises:
        ModelLoadError: it is missing or not JSON.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{folder} is not a model folder: cannot read its config.json ({error})") from error
    return dict(config)


def context_tokens(config: Mapping[str, Any]) -> int:
    """Longest sequence by a ``config.json``; 0 where it sets no limit."""
    return int(config.get("max_position_embeddings") or config.get("n_positions") or 0)


def count_parameters(folder: Path) -> tuple[int, str]:
    """Number of weights in the safetensors files of ``folder``, and the type most of them have.

    Raises:
        ModelLoadError: a file is damaged.
    """
    by_dtype: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for tensor in _tensor_entries(path):
            by_dtype[tensor["dtype"]] = by_dtype.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    return sum(by_dtype.values()), max(by_dtype, key=lambda dtype: by_dtype[dtype], default="unknown")


def _tensor_entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        header, _ = read_header(path)
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path} is damaged ({error}); fetch or copy it again") from error
    return (entry for name, entry in header.items() if name != METADATA)


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == record.size_bytes
        for name, record in manifest.files.items()
    )


def _from_json(data: dict[str, Any]) -> Manifest:
    files = {name: FileRecord(**record) for name, record in data.pop("files").items()}
    return Manifest(provenance=Provenance(**data.pop("provenance")), files=files, **data)
