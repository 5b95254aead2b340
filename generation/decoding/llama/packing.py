"""Weights of a transformers network as the kernels read them: blocks of 16 channels, int8 or float32.

The layout is described in ``kernels/matrix.h``. int8 weights have one scale a channel; the largest weight of a channel
becomes 127, and all are stored plus 128. Knows no files and no kernels. Start reading at ``pack``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from generation.decoding.llama.shape import LlamaShape
from generation.interfaces import ReportShare, silent

if TYPE_CHECKING:
    import torch

LANES = 16  # channels of a block

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """A network that the kernels can run.

    Attributes:
        shape: its sizes.
        int8: whether matrices are int8, else float32.
        arrays: by name: ``layers.N.qkv.data`` / ``.scale`` / ``.bias`` and so on for ``attention_out``, ``gate_up`` and
            ``down``; ``layers.N.attention_norm`` and other norms; ``embedding``, ``head`` (absent when it is the same),
            ``final_norm``; ``rotary`` (head size / 2 frequencies, then the factor of all sines), ``rotary.cosines`` and
            ``rotary.sines`` (context tokens, head size / 2), as torch computes them.
    """

    shape: LlamaShape
    int8: bool
    arrays: Mapping[str, Array]


def pack(network: Any, shape: LlamaShape, *, int8: bool, report: ReportShare = silent) -> PackedWeights:
    """Pack a causal language model of transformers; its weights may be of any float type."""
    import torch

    weights: dict[str, torch.Tensor] = network.state_dict()
    arrays: dict[str, Array] = {}
    for number in range(shape.layers):
        _pack_layer(weights, number, arrays, int8=int8)
        report((number + 1) / (shape.layers + 1))
    arrays |= _pack_matrix("embedding", _floats(weights["model.embed_tokens.weight"]), None, int8=int8)
    head = weights["lm_head.weight"]
    if head.data_ptr() != weights["model.embed_tokens.weight"].data_ptr():
        arrays |= _pack_matrix("head", _floats(head), None, int8=int8)
    arrays["final_norm"] = _floats(weights["model.norm.weight"])
    rotary = network.model.rotary_emb
    arrays["rotary"] = np.append(_floats(rotary.inv_freq), np.float32(rotary.attention_scaling))
    angles = torch.outer(torch.arange(shape.context_tokens, dtype=torch.float32), rotary.inv_freq.float().cpu())
    arrays["rotary.cosines"] = _floats(angles.cos() * rotary.attention_scaling)
    arrays["rotary.sines"] = _floats(angles.sin() * rotary.attention_scaling)
    return PackedWeights(shape, int8, arrays)


def _pack_layer(weights: Mapping[str, torch.Tensor], number: int, arrays: dict[str, Array], *, int8: bool) -> None:
    source, target = f"model.layers.{number}.", f"layers.{number}."
    matrices = {
        "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention_out": ("self_attn.o_proj",),
        "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
        "down": ("mlp.down_proj",),
    }
    for name, parts in matrices.items():
        matrix = np.concatenate([_floats(weights[f"{source}{part}.weight"]) for part in parts])
        biases = [_floats(weights[f"{source}{part}.bias"]) for part in parts if f"{source}{part}.bias" in weights]
        arrays |= _pack_matrix(target + name, matrix, np.concatenate(biases) if biases else None, int8=int8)
    norms = {
        "attention_norm": "input_layernorm",
        "mlp_norm": "post_attention_layernorm",
        "query_norm": "self_attn.q_norm",
        "key_norm": "self_attn.k_norm",
    }
    for name, norm in norms.items():
        if f"{source}{norm}.weight" in weights:
            arrays[target + name] = _floats(weights[f"{source}{norm}.weight"])


def _pack_matrix(name: str, matrix: Array, bias: Array | None, *, int8: bool) -> dict[str, Array]:
    values = _padded(matrix)
    arrays = {} if bias is None else {f"{name}.bias": _padded(bias)}
    if not int8:
        return arrays | {f"{name}.data": _in_blocks(values, 1)}
    scale = np.abs(values).max(axis=1) / np.float32(127)
    rounded = np.rint(values / np.where(scale > 0, scale, 1)[:, None]) + 128
    return arrays | {f"{name}.data": _in_blocks(rounded.astype(np.uint8), 4), f"{name}.scale": scale}


def _in_blocks(matrix: Array, together: int) -> Array:
    """(channels, columns) to (channels / 16, columns / together, 16, together)."""
    channels, columns = matrix.shape
    blocks = matrix.reshape(channels // LANES, LANES, columns // together, together)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def _padded(array: Array) -> Array:
    missing = -len(array) % LANES
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array


def _floats(tensor: torch.Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().float().numpy())
