"""An adapter folder's tensors, added to the weights of its base: decoding with an adapter then costs nothing extra.

``merge`` works on any mapping of weights by name, so every loader of a base can use it; ``apply`` is for a network of
transformers. Knows nothing of training. Start reading at ``merge``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from generation.adapters import TENSORS_NAME, AdapterManifest, read_adapter, require_fit
from generation.errors import AdapterMismatchError, ModelLoadError

MARK_EMBEDDING = "mark.embedding"
MARK_HEAD = "mark.head"
_PREFIX = "base_model.model."  # of peft's names
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in memory."""

    manifest: AdapterManifest
    tensors: Mapping[str, torch.Tensor]


def load_adapter(folder: Path, model: Path) -> Adapter:
    """Read an adapter that was trained for the model in a folder.

    Raises:
        AdapterMismatchError: it is for another base or of another format.
        ModelLoadError: it is damaged.
    """
    manifest = read_adapter(folder)
    require_fit(manifest, model)
    try:
        return Adapter(manifest, load_file(folder / TENSORS_NAME))
    except Exception as error:  # safetensors raises its own
        raise ModelLoadError(f"the adapter {folder} is damaged ({error}); copy or train it again") from error


def merge(weights: Mapping[str, torch.Tensor], adapter: Adapter) -> dict[str, torch.Tensor]:
    """The weights of the base, by their names in transformers, with the adapter added; nothing is changed in place.

    The mark's row takes the place of row ``mark_id`` of embedding and head, or comes behind the last row.

    Raises:
        AdapterMismatchError: the base has no such weight, or one of another shape.
    """
    merged = dict(weights)
    for name, delta in deltas(adapter).items():
        base = merged.get(name)
        if base is None or base.shape != delta.shape:
            found = "none" if base is None else tuple(base.shape)
            raise AdapterMismatchError(
                f"the adapter changes {name} of shape {tuple(delta.shape)}; the base has {found}"
            )
        merged[name] = (base.float() + delta.to(base.device)).to(base.dtype)
    for name, row in _mark_rows(adapter).items():
        if name in merged:  # a tied head need not be there
            merged[name] = _with_row(merged[name], adapter.manifest.mark_id or 0, row)
    return merged


def deltas(adapter: Adapter) -> dict[str, torch.Tensor]:
    """What is added to each weight of the base, float32."""
    scale = adapter.manifest.alpha / adapter.manifest.rank
    found = {}
    for name, a in adapter.tensors.items():
        if name.endswith(_A):
            module = name.removesuffix(_A)
            delta = adapter.tensors[module + _B].float() @ a.float() * scale
            found[module.removeprefix(_PREFIX) + ".weight"] = delta.T if adapter.manifest.transposed else delta
    return found


def apply(network: Any, adapter: Adapter) -> None:
    """Add an adapter to a network of transformers, in place.

    Raises:
        AdapterMismatchError: as ``merge``.
    """
    mark_id = adapter.manifest.mark_id
    if mark_id is not None and mark_id >= network.get_input_embeddings().weight.shape[0]:
        network.resize_token_embeddings(mark_id + 1, mean_resizing=False)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, tensor in merge(own, adapter).items():
            if tensor is not own[name]:
                own[name].copy_(tensor)


def _mark_rows(adapter: Adapter) -> dict[str, torch.Tensor]:
    """Rows of the mark by the name of the weight they belong to."""
    if adapter.manifest.mark_id is None:
        return {}
    embedding = adapter.tensors[MARK_EMBEDDING]
    head = adapter.tensors.get(MARK_HEAD, embedding)
    return {adapter.manifest.head: head, adapter.manifest.embedding: embedding}


def _with_row(weight: torch.Tensor, number: int, row: torch.Tensor) -> torch.Tensor:
    row = row.to(weight.dtype)[None]
    return torch.cat([weight[:number], row, weight[number + 1 :]])
