"""A model folder in Hugging Face format as ``packing`` wants it, without torch. What is not plain is for transformers.

Start reading at ``read_checkpoint``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from generation.decoding.llama.packing import EMBEDDING, HEAD, Rotary
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.weight_files import Array, WeightFiles
from generation.errors import ModelLoadError

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_THETA = 10_000.0  # where a configuration names none
_ATTENTION, _MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is to be packed.

    Attributes:
        weights: by their names in transformers; without a head where that is the embedding.
        rotary: of all layers.
    """

    weights: Mapping[str, Array]
    rotary: Rotary


def read_checkpoint(folder: Path, config: Mapping[str, Any], shape: LlamaShape) -> Checkpoint | None:
    """The weights of a folder; None where they are in another format, quantized, or turned in a special way.

    Raises:
        ModelLoadError: a file is damaged, or some of the weights are not there.
    """
    rotary, paths = _rotary(config, shape), _weight_files(folder)
    if rotary is None or not paths or config.get("quantization_config"):
        return None
    weights = WeightFiles(paths)
    names = list(_names(config, shape))
    missing = [name for name in names if name not in weights]
    if len(missing) == len(names):  # they have other names
        return None
    if missing:
        raise ModelLoadError(f"{folder} lacks {len(missing)} weights, such as {missing[0]}; fetch the model again")
    return Checkpoint(weights.only(names), rotary)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _INDEX).is_file():
        try:
            shards = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelLoadError(f"{folder / _INDEX} is damaged ({error}); fetch the model again") from error
        return [folder / name for name in sorted(set(shards))]
    return [folder / _SINGLE] if (folder / _SINGLE).is_file() else []


def _names(config: Mapping[str, Any], shape: LlamaShape) -> Iterator[str]:
    yield EMBEDDING
    if not config.get("tie_word_embeddings", False):
        yield HEAD
    yield "model.norm.weight"
    biased = {*_ATTENTION[:3]} if config["model_type"] == "qwen2" else set[str]()
    biased |= {*_ATTENTION} if config.get("attention_bias") else set()
    biased |= {*_MLP} if config.get("mlp_bias") else set()
    for number in range(shape.layers):
        layer = f"model.layers.{number}."
        for part, matrices in (("self_attn", _ATTENTION), ("mlp", _MLP)):
            for matrix in matrices:
                yield f"{layer}{part}.{matrix}.weight"
                if matrix in biased:
                    yield f"{layer}{part}.{matrix}.bias"
        norms = ("input_layernorm", "post_attention_layernorm")
        for norm in (*norms, *(("self_attn.q_norm", "self_attn.k_norm") if config["model_type"] == "qwen3" else ())):
            yield f"{layer}{norm}.weight"


def _rotary(config: Mapping[str, Any], shape: LlamaShape) -> Rotary | None:
    settings = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = settings.get("rope_type", settings.get("type", "default"))
    if kind not in {"default", "llama3"}:
        return None
    theta = float(settings.get("rope_theta") or config.get("rope_theta") or _THETA)
    exponents = np.arange(0, shape.head_size, 2).astype(np.float32) / np.float32(shape.head_size)
    lengths = (theta ** exponents.astype(np.float64)).astype(np.float32)  # rounded where torch rounds
    frequencies = 1 / lengths
    return Rotary(_slowed(frequencies, settings) if kind == "llama3" else frequencies)


def _slowed(frequencies: Array, settings: Mapping[str, Any]) -> Array:
    """What turns slowly turns slower still, as Llama 3.1 was trained for longer contexts.

    Source: ``_compute_llama3_parameters`` of transformers' ``modeling_rope_utils.py``.
    """
    turns = settings["original_max_position_embeddings"] * frequencies / np.float32(2 * np.pi)  # within the old context
    least, most = settings["low_freq_factor"], settings["high_freq_factor"]
    kept = np.clip((turns - least) / (most - least), 0, 1)
    slowed: Array = (1 - kept) * frequencies / settings["factor"] + kept * frequencies
    return slowed.astype(np.float32)
