"""Weights as the kernels read them: blocks of 16 channels, int8 or float32.

The layout is described in ``kernels/matrix.h``. int8 weights have one scale a channel; the largest weight of a channel
becomes 127, and all are stored plus 128. Knows no files and no kernels. Start reading at ``pack``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from generation.decoding.llama.shape import LlamaShape
from generation.decoding.weight_files import Array, TensorWeights
from generation.interfaces import ReportShare, silent

LANES = 16  # channels of a block
_CHANNELS_AT_ONCE = 1024 * LANES
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Rotary:
    """By how much pairs of channels turn.

    Attributes:
        frequencies: (head size / 2,), radians a position, float32.
        factor: of all sines and cosines.
    """

    frequencies: Array
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """A network that the kernels can run.

    Attributes:
        shape: its sizes.
        int8: whether matrices are int8, else float32.
        arrays: by name: ``layers.N.qkv.data`` / ``.scale`` / ``.bias`` and so on for ``attention_out``, ``gate_up`` and
            ``down``; ``layers.N.attention_norm`` and other norms; ``embedding``, ``head`` (absent when it is the same),
            ``final_norm``; ``rotary`` (head size / 2 frequencies, then the factor of all sines).
    """

    shape: LlamaShape
    int8: bool
    arrays: Mapping[str, Array]


def pack(
    weights: Mapping[str, Array], rotary: Rotary, shape: LlamaShape, *, int8: bool, report: ReportShare = silent
) -> PackedWeights:
    """Pack the float32 weights of a causal language model, by their names in transformers.

    A head that is not among them is the embedding.
    """
    arrays: dict[str, Array] = {}
    for number in range(shape.layers):
        _pack_layer(weights, number, arrays, int8=int8)
        report((number + 1) / (shape.layers + 1))
    embedding = weights[EMBEDDING]
    arrays |= _pack_matrix("embedding", embedding, None, int8=int8)
    if HEAD in weights:
        arrays |= _pack_matrix("head", weights[HEAD], None, int8=int8)
    arrays["final_norm"] = weights["model.norm.weight"]
    arrays["rotary"] = np.append(rotary.frequencies, np.float32(rotary.factor))
    # With a mark there may be a row more than the configuration says.
    return PackedWeights(replace(shape, vocabulary=len(embedding)), int8, arrays)


def pack_network(network: Any, shape: LlamaShape, *, int8: bool, report: ReportShare = silent) -> PackedWeights:
    """Pack a causal language model of transformers; its weights may be of any float type."""
    tensors: dict[str, Any] = network.state_dict()
    if tensors[HEAD].data_ptr() == tensors[EMBEDDING].data_ptr():
        del tensors[HEAD]
    rotary = network.model.rotary_emb
    frequencies = Rotary(rotary.inv_freq.float().cpu().numpy(), float(rotary.attention_scaling))
    return pack(TensorWeights(tensors), frequencies, shape, int8=int8, report=report)


def _pack_layer(weights: Mapping[str, Array], number: int, arrays: dict[str, Array], *, int8: bool) -> None:
    source, target = f"model.layers.{number}.", f"layers.{number}."
    matrices = {
        "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention_out": ("self_attn.o_proj",),
        "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
        "down": ("mlp.down_proj",),
    }
    for name, parts in matrices.items():
        matrix = np.concatenate([weights[f"{source}{part}.weight"] for part in parts])
        biases = [weights[f"{source}{part}.bias"] for part in parts if f"{source}{part}.bias" in weights]
        arrays |= _pack_matrix(target + name, matrix, np.concatenate(biases) if biases else None, int8=int8)
    norms = {
        "attention_norm": "input_layernorm",
        "mlp_norm": "post_attention_layernorm",
        "query_norm": "self_attn.q_norm",
        "key_norm": "self_attn.k_norm",
    }
    for name, norm in norms.items():
        if f"{source}{norm}.weight" in weights:
            arrays[target + name] = weights[f"{source}{norm}.weight"]


def _pack_matrix(name: str, matrix: Array, bias: Array | None, *, int8: bool) -> dict[str, Array]:
    values = _padded(matrix)
    arrays = {} if bias is None else {f"{name}.bias": _padded(bias)}
    if not int8:
        return arrays | {f"{name}.data": _in_blocks(values, 1)}
    scale = np.abs(values).max(axis=1) / np.float32(127)
    divisors = np.where(scale > 0, scale, 1)[:, None]
    data = np.empty((len(values) // LANES, values.shape[1] // 4, LANES, 4), np.uint8)
    for start in range(0, len(values), _CHANNELS_AT_ONCE):  # an embedding is large, and would be there several times
        part = slice(start, start + _CHANNELS_AT_ONCE)
        rounded = (np.rint(values[part] / divisors[part]) + 128).astype(np.uint8)
        data[start // LANES : start // LANES + len(rounded) // LANES] = _in_blocks(rounded, 4)
    return arrays | {f"{name}.data": data, f"{name}.scale": scale}


def _in_blocks(matrix: Array, together: int) -> Array:
    """(channels, columns) to (channels / 16, columns / together, 16, together)."""
    channels, columns = matrix.shape
    blocks = matrix.reshape(channels // LANES, LANES, columns // together, together)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def _padded(array: Array) -> Array:
    missing = -len(array) % LANES
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array
