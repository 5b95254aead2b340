"""A forward of a network of the Llama family over one batch. Knows no sequences. Start reading at ``forward``."""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn.functional import linear, rms_norm, silu

from generation.decoding.gpu.batch import Batch
from generation.decoding.gpu.slots import SlotPool
from generation.decoding.gpu.weights import Layer, Linear, Weights
from generation.decoding.llama.shape import LlamaShape


class Operations(Protocol):
    """What torch lacks: the module ``reference``, or ``kernels`` on a GPU."""

    def place(
        self,
        qkv: torch.Tensor,
        layer: Layer,
        shape: LlamaShape,
        tables: torch.Tensor,
        slots: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """See ``reference.place``."""

    def attend(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """See ``reference.attend``."""


def forward(
    weights: Weights, operations: Operations, pool: SlotPool, rotary: torch.Tensor, batch: Batch
) -> torch.Tensor:
    """Logits (N, V), float32, of the wanted rows; keys and values of all rows are written to their slots.

    Every size follows from ``batch.size``, and nothing waits for the device: this is what a CUDA graph records.

    Args:
        weights: of the network.
        operations: what torch lacks.
        pool: of all sequences; changed.
        rotary: (2, positions, D / 2), float32, cosines and sines.
        batch: what is computed.
    """
    shape = weights.shape
    tables = rotary[:, batch.positions]
    hidden = weights.embedding[batch.token_ids]
    for number, layer in enumerate(weights.layers):
        qkv = _times(_normed(hidden, layer.attention_norm, shape), layer.qkv)
        keys, values = pool.keys[number], pool.values[number]
        queries = operations.place(qkv, layer, shape, tables, batch.slots, keys, values)
        found = operations.attend(queries, keys, values, batch)
        hidden = hidden + _times(found.flatten(1), layer.attention_out)
        gate, up = _times(_normed(hidden, layer.mlp_norm, shape), layer.gate_up).chunk(2, dim=-1)
        hidden = hidden + _times(silu(gate) * up, layer.down)
    return linear(_normed(hidden[batch.wanted], weights.final_norm, shape), weights.head).float()


def rotary_tables(weights: Weights, positions: int) -> torch.Tensor:
    """Cosines and sines (2, positions, D / 2), float32."""
    steps = torch.arange(positions, dtype=torch.float32, device=weights.frequencies.device)
    angles = torch.outer(steps, weights.frequencies)
    return torch.stack([angles.cos(), angles.sin()]) * weights.rotary_factor


def _times(rows: torch.Tensor, matrix: Linear) -> torch.Tensor:
    return linear(rows, matrix.weight, matrix.bias)


def _normed(rows: torch.Tensor, weight: torch.Tensor, shape: LlamaShape) -> torch.Tensor:
    return rms_norm(rows, (shape.hidden,), weight, shape.norm_epsilon)
