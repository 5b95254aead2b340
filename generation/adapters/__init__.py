"""Adapters as folders: what is known of one, where they lie, and which fits a model. The shipped ones lie beside this.

An adapter folder holds ``adapter.safetensors`` and ``manifest.json``, perhaps prompt tokens too. Standard library only;
the tensors are the business of ``decoding.adapter``. Start reading at ``AdapterManifest`` and ``resolve``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from generation.cache import cache_root
from generation.errors import AdapterMismatchError, ModelLoadError
from generation.hashes import sha256_of

MANIFEST_NAME = "manifest.json"
TENSORS_NAME = "adapter.safetensors"
PROMPT_TOKENS_NAME = "prompt_tokens.safetensors"
FORMAT = 2
_LEAST_RELIABLE = 0.9  # recall and precision; with less, asking at every name was measured to be better
NONE = "none"  # the name that asks for no adapter


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """What an adapter is, and for what.

    Attributes:
        name: how users call it.
        base: name of the model it was trained for.
        base_sha256: of that model's weights (``weights_sha256``).
        rank: of its matrices.
        alpha: their product is scaled by ``alpha / rank``.
        transposed: the base keeps its linear weights as (in, out), as GPT-2 does.
        embedding: name of the base's embedding weight.
        head: name of its output head; the same where they are tied.
        mark_id: id of the mark token; None when it was trained without marks.
        tokens_seen: by the network, in all stages.
        data: the corpus: repositories, files, functions, hashes.
        stages: settings of each run of the training, in order, and the tokens it saw.
        measured: validation loss, mark recall and precision, as far as they were measured.
    """

    name: str
    base: str
    base_sha256: str
    rank: int
    alpha: int
    transposed: bool
    embedding: str
    head: str
    mark_id: int | None
    tokens_seen: int
    data: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[Mapping[str, Any]] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asks_reliably(self) -> bool:
        """Whether it was measured to think of the marks that it should, and of few others, to be used unless told."""
        return self.mark_id is not None and all(
            self.measured.get(f"weighed_{name}", self.measured.get(f"mark_{name}", 0.0)) >= _LEAST_RELIABLE
            for name in ("recall", "precision")
        )

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"


def read_adapter(folder: Path) -> AdapterManifest:
    """The manifest of an adapter folder.

    Raises:
        ModelLoadError: it is no adapter folder, or damaged.
        AdapterMismatchError: it is of a format that this version does not know.
    """
    try:
        data = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        found = data.pop("format")
        if found != FORMAT:
            raise AdapterMismatchError(f"the adapter {folder} has format {found}; this version reads format {FORMAT}")
        if not (folder / TENSORS_NAME).is_file():
            raise FileNotFoundError(f"no {TENSORS_NAME}")
        return AdapterManifest(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{folder} is no usable adapter folder ({error})") from error


def adapter_folders() -> dict[str, Path]:
    """Every adapter that has a name: those of the user's cache, and of the package."""
    found: dict[str, Path] = {}
    for home in (Path(__file__).parent, cache_root() / "adapters"):
        for manifest in sorted(home.glob(f"*/{MANIFEST_NAME}")):
            found[manifest.parent.name] = manifest.parent
    return found


def resolve(name: str) -> Path:
    """The folder of the adapter called ``name``, or the folder ``name`` itself.

    Raises:
        ModelLoadError: there is no such adapter.
    """
    folders = adapter_folders()
    if name in folders:
        return folders[name]
    if (Path(name) / MANIFEST_NAME).is_file():
        return Path(name)
    raise ModelLoadError(f"no adapter {name!r}: there are {', '.join(folders) or 'none'}; or give an adapter folder")


def require_fit(manifest: AdapterManifest, model: Path) -> None:
    """Check that an adapter was trained for the model in a folder.

    Raises:
        AdapterMismatchError: it was not; says what was expected and what was found.
    """
    found = weights_sha256(model)
    if found != manifest.base_sha256:
        raise AdapterMismatchError(
            f"the adapter {manifest.name} is for {manifest.base} with weights sha256 {manifest.base_sha256[:16]}..., "
            f"and {model.name} has {found[:16]}...; use another adapter, or --adapter none"
        )


def fits(manifest: AdapterManifest, model: Path) -> bool:
    """Whether an adapter was trained for the model in a folder."""
    return weights_sha256(model) == manifest.base_sha256


def adapter_sha256(folder: Path) -> str:
    """Of the tensors; names what is computed from base and adapter."""
    return sha256_of(folder / TENSORS_NAME)


def weights_sha256(model: Path) -> str:
    """One hash over the weights of a model folder, from its manifest where it has one."""
    names = sorted(path.name for path in model.glob("*.safetensors"))
    known = _known_hashes(model)
    lines = [f"{name} {known.get(name) or sha256_of(model / name)}" for name in names]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _known_hashes(model: Path) -> dict[str, str]:
    try:
        files = json.loads((model / MANIFEST_NAME).read_text(encoding="utf-8"))["files"]
        return {
            name: record["sha256"]
            for name, record in files.items()
            if (model / name).stat().st_size == record["size_bytes"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
