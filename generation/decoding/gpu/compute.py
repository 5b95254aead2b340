"""A forward of a network of the Llama family over one batch. Knows no sequences. Start reading at ``forward``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.functional import linear, rms_norm, silu

from generation.decoding.gpu.batch import Batch
from generation.decoding.gpu.reference import rotated
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


@dataclass(frozen=True, slots=True)
class Rotary:
    """The angles of all positions.

    Attributes:
        tables: (2, positions, D / 2), float32, cosines and sines.
        backwards: the same of the opposite rotation.
    """

    tables: torch.Tensor
    backwards: torch.Tensor


@dataclass(frozen=True, slots=True)
class Found:
    """What a forward found.

    Attributes:
        logits: (N, V), float32, of the wanted rows.
        queries: (R, L, H D), not rotated; None where nobody wants them.
    """

    logits: torch.Tensor
    queries: torch.Tensor | None


def forward(weights: Weights, operations: Operations, pool: SlotPool, rotary: Rotary, batch: Batch) -> Found:
    """Logits of the wanted rows; keys and values of all rows are written to their slots.

    Every size follows from ``batch.size``, and nothing waits for the device: this is what a CUDA graph records.

    Args:
        weights: of the network.
        operations: what torch lacks.
        pool: of all sequences; changed.
        rotary: angles of all positions.
        batch: what is computed.
    """
    shape = weights.shape
    tables = rotary.tables[:, batch.positions]
    hidden = weights.embedding[batch.token_ids]
    wanted: list[torch.Tensor] = []  # queries
    for number, layer in enumerate(weights.layers):
        qkv = _times(_normed(hidden, layer.attention_norm, shape), layer.qkv)
        keys, values = pool.keys[number], pool.values[number]
        queries = operations.place(qkv, layer, shape, tables, batch.slots, keys, values)
        if batch.size.queries:
            wanted.append(rotated(queries, rotary.backwards[:, batch.positions]).flatten(1))
        found = operations.attend(queries, keys, values, batch)
        hidden = hidden + _times(found.flatten(1), layer.attention_out)
        gate, up = _times(_normed(hidden, layer.mlp_norm, shape), layer.gate_up).chunk(2, dim=-1)
        hidden = hidden + _times(silu(gate) * up, layer.down)
    logits = linear(_normed(hidden[batch.wanted], weights.final_norm, shape), weights.head).float()
    return Found(logits, torch.stack(wanted, dim=1) if wanted else None)


def rotary_of(weights: Weights, positions: int) -> Rotary:
    """The angles of so many positions."""
    steps = torch.arange(positions, dtype=torch.float32, device=weights.frequencies.device)
    angles = torch.outer(steps, weights.frequencies)
    cosines, sines = angles.cos(), angles.sin()
    factor = weights.rotary_factor
    return Rotary(torch.stack([cosines, sines]) * factor, torch.stack([cosines, -sines]) / factor)


def _times(rows: torch.Tensor, matrix: Linear) -> torch.Tensor:
    return linear(rows, matrix.weight, matrix.bias)


def _normed(rows: torch.Tensor, weight: torch.Tensor, shape: LlamaShape) -> torch.Tensor:
    return rms_norm(rows, (shape.hidden,), weight, shape.norm_epsilon)
