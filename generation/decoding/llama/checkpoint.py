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
_BEFORE = "original_max_position_embeddings"
_SLOWING = {"low_freq_factor", "high_freq_factor", "factor"}
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
        ModelLoadError: a file is damaged, or some of the weights are not there, or not as large as the configuration
            says.
    """
    rotary, paths = _rotary(config, shape), _weight_files(folder)
    if rotary is None or not paths or config.get("quantization_config"):
        return None
    weights, tied = WeightFiles(paths), bool(config.get("tie_word_embeddings", False))
    expected = dict(_shapes(config, shape))
    if tied and not _has_own_head(weights):
        del expected[HEAD]
    missing = [name for name in expected if name not in weights]
    if len(missing) == len(expected) or (tied and EMBEDDING in missing) or not weights.are_floats(expected.keys()):
        return None  # other names, or numbers
    if missing:
        raise ModelLoadError(f"{folder} lacks {len(missing)} weights, such as {missing[0]}; fetch the model again")
    for name, size in expected.items():
        if weights.shape(name) != size:
            found = f"{name} has the shape {weights.shape(name)}, and config.json says {size}"
            raise ModelLoadError(f"{folder}: {found}; fetch the model again")
    return Checkpoint(weights.only(expected), rotary)


def _has_own_head(weights: WeightFiles) -> bool:
    """Whether a head that should be the embedding was saved beside it, and is another one."""
    both = HEAD in weights and EMBEDDING in weights and weights.are_floats((HEAD, EMBEDDING))
    return both and not np.array_equal(weights[HEAD], weights[EMBEDDING])


def _weight_files(folder: Path) -> list[Path]:
    """One file, or several that an index names; as in transformers the one goes first."""
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if not (folder / _INDEX).is_file():
        return []
    try:
        shards = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelLoadError(f"{folder / _INDEX} is damaged ({error}); fetch the model again") from error
    return [folder / name for name in sorted(set(shards))]


def _shapes(config: Mapping[str, Any], shape: LlamaShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What there has to be, by its name in transformers."""
    yield EMBEDDING, (shape.vocabulary, shape.hidden)
    yield HEAD, (shape.vocabulary, shape.hidden)
    yield "model.norm.weight", (shape.hidden,)
    queries, keys = shape.heads * shape.head_size, shape.key_heads * shape.head_size
    matrices = {
        "self_attn.q_proj": (queries, shape.hidden),
        "self_attn.k_proj": (keys, shape.hidden),
        "self_attn.v_proj": (keys, shape.hidden),
        "self_attn.o_proj": (shape.hidden, queries),
        "mlp.gate_proj": (shape.intermediate, shape.hidden),
        "mlp.up_proj": (shape.intermediate, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.intermediate),
    }
    norms = dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (shape.hidden,))
    if config["model_type"] == "qwen3":
        norms |= dict.fromkeys(("self_attn.q_norm", "self_attn.k_norm"), (shape.head_size,))
    biased = _biased(config)
    for number in range(shape.layers):
        layer = f"model.layers.{number}."
        for name, size in {**matrices, **norms}.items():
            yield f"{layer}{name}.weight", size
            if name.partition(".")[2] in biased:
                yield f"{layer}{name}.bias", size[:1]


def _biased(config: Mapping[str, Any]) -> set[str]:
    attention = (
        _ATTENTION if config.get("attention_bias") else _ATTENTION[:3] if config["model_type"] == "qwen2" else ()
    )
    return {*attention, *(_MLP if config.get("mlp_bias") else ())}


def _rotary(config: Mapping[str, Any], shape: LlamaShape) -> Rotary | None:
    settings = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = settings.get("rope_type", settings.get("type", "default"))
    if kind not in {"default", "llama3"}:
        return None
    theta = float(settings.get("rope_theta") or config.get("rope_theta") or _THETA)
    exponents = np.arange(0, shape.head_size, 2).astype(np.float32) / np.float32(shape.head_size)
    lengths = (theta ** exponents.astype(np.float64)).astype(np.float32)  # rounded where torch rounds
    frequencies = 1 / lengths
    if kind == "default":
        return Rotary(frequencies)
    before = config.get(_BEFORE) or settings.get(_BEFORE) or config["max_position_embeddings"]
    return Rotary(_slowed(frequencies, settings, before)) if settings.keys() >= _SLOWING else None


def _slowed(frequencies: Array, settings: Mapping[str, Any], before: int) -> Array:
    """What turns slowly turns slower still, as Llama 3.1 was trained for longer contexts than it was ``before``.

    Source: ``_compute_llama3_parameters`` of transformers' ``modeling_rope_utils.py``.
    """
    turns = before * frequencies / np.float32(2 * np.pi)  # within that context
    least, most = settings["low_freq_factor"], settings["high_freq_factor"]
    kept = np.clip((turns - least) / (most - least), 0, 1)
    slowed: Array = (1 - kept) * frequencies / settings["factor"] + kept * frequencies
    return slowed.astype(np.float32)
