"""An adapter folder's tensors, added to the weights of its base: decoding with an adapter then costs nothing extra.

``MergedWeights`` stands before any weights by name; ``apply`` is for a network of transformers. Knows nothing of
training. Start reading at ``MergedWeights``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from generation.adapters import TENSORS_NAME, AdapterManifest, read_adapter, require_fit
from generation.decoding.weight_files import Array, TensorWeights, WeightFiles, Weights
from generation.errors import AdapterMismatchError, ModelLoadError

MARK_EMBEDDING = "mark.embedding"
MARK_HEAD = "mark.head"
_PREFIX = "base_model.model."  # of peft's names
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in memory."""

    manifest: AdapterManifest
    tensors: Mapping[str, Array]


def load_adapter(folder: Path, model: Path) -> Adapter:
    """Read an adapter that was trained for the model in a folder.

    Raises:
        AdapterMismatchError: it is for another base or of another format.
        ModelLoadError: it is damaged.
    """
    manifest = read_adapter(folder)
    require_fit(manifest, model)
    try:
        tensors = WeightFiles([folder / TENSORS_NAME])
    except ModelLoadError as error:
        raise ModelLoadError(f"the adapter {folder} is damaged ({error}); copy or train it again") from error
    wanted = [name.removesuffix(_A) + _B for name in tensors if name.endswith(_A)]
    wanted += [MARK_EMBEDDING] if manifest.mark_id is not None else []
    if missing := [name for name in wanted if name not in tensors]:
        raise ModelLoadError(f"the adapter {folder} is damaged (it lacks {missing[0]}); copy or train it again")
    return Adapter(manifest, tensors)


class MergedWeights(Weights):
    """The weights of a base, by their names in transformers, with an adapter added.

    The mark's row takes the place of row ``mark_id`` of embedding and head, or comes behind the last row.

    Args:
        base: weights by name; nothing is changed in place.
        adapter: trained for them.

    Raises:
        AdapterMismatchError: the base has no such weight; or, when it is asked for, one of another shape.
    """

    def __init__(self, base: Mapping[str, Array], adapter: Adapter) -> None:
        super().__init__(base)
        self._base, self._adapter = base, adapter
        self._modules = {_weight_of(name): name.removesuffix(_A) for name in adapter.tensors if name.endswith(_A)}
        self._rows = {name: row for name, row in _mark_rows(adapter).items() if name in base}  # a tied head need not be
        if missing := sorted(self._modules.keys() - base.keys()):
            raise AdapterMismatchError(f"the adapter changes {missing[0]}; the base has none")

    @property
    def changed(self) -> Sequence[str]:
        """What is another than in the base."""
        return list(dict.fromkeys((*self._modules, *self._rows)))

    def __getitem__(self, name: str) -> Array:
        weight = self._base[name]
        if name in self._modules:
            delta = self._delta(self._modules[name])
            if weight.shape != delta.shape:
                raise AdapterMismatchError(
                    f"the adapter changes {name} of shape {delta.shape}; the base has {weight.shape}"
                )
            weight = weight + delta
        if name in self._rows:
            mark_id = self._adapter.manifest.mark_id or 0
            weight = np.concatenate([weight[:mark_id], self._rows[name][None], weight[mark_id + 1 :]])
        return weight

    def _delta(self, module: str) -> Array:
        manifest, tensors = self._adapter.manifest, self._adapter.tensors
        delta = tensors[module + _B] @ tensors[module + _A] * np.float32(manifest.alpha / manifest.rank)
        return delta.T if manifest.transposed else delta


def apply(network: Any, adapter: Adapter) -> None:
    """Add an adapter to a network of transformers, in place.

    Raises:
        AdapterMismatchError: as ``MergedWeights``.
    """
    import torch

    mark_id = adapter.manifest.mark_id
    if mark_id is not None and mark_id >= network.get_input_embeddings().weight.shape[0]:
        network.resize_token_embeddings(mark_id + 1, mean_resizing=False)
    own = dict(network.named_parameters())
    merged = MergedWeights(TensorWeights(own), adapter)
    with torch.no_grad():
        for name in merged.changed:
            own[name].copy_(torch.from_numpy(merged[name]))


def _weight_of(name: str) -> str:
    return name.removesuffix(_A).removeprefix(_PREFIX) + ".weight"


def _mark_rows(adapter: Adapter) -> dict[str, Array]:
    """Rows of the mark by the name of the weight they belong to."""
    if adapter.manifest.mark_id is None:
        return {}
    embedding = adapter.tensors[MARK_EMBEDDING]
    head = adapter.tensors.get(MARK_HEAD, embedding)
    return {adapter.manifest.head: head, adapter.manifest.embedding: embedding}
