"""A forward of a network of the Llama family over one batch. Knows no sequences. Start reading at ``forward``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.functional import rms_norm

from generation.decoding.gpu.batch import Batch
from generation.decoding.gpu.slots import SlotPool
from generation.decoding.gpu.weights import Layer, Linear, Weights
from generation.decoding.llama.shape import LlamaShape

Choose = Callable[[int, torch.Tensor], None]


class Operations(Protocol):
    """The module ``reference``, or ``kernels`` on a GPU."""

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

    def times(self, rows: torch.Tensor, matrix: Linear) -> torch.Tensor:
        """See ``reference.times``."""

    def add_norm(
        self, hidden: torch.Tensor, added: torch.Tensor, weight: torch.Tensor, epsilon: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``reference.add_norm``."""

    def gated(self, gate_up: torch.Tensor) -> torch.Tensor:
        """See ``reference.gated``."""


@dataclass(frozen=True, slots=True)
class Rotary:
    """The angles of all positions.

    Attributes:
        tables: (2, positions, D / 2), float32, cosines and sines.
        backwards: the same of the opposite rotation.
    """

    tables: torch.Tensor
    backwards: torch.Tensor


def forward(
    weights: Weights,
    operations: Operations,
    pool: SlotPool,
    rotary: Rotary,
    batch: Batch,
    choose: Choose | None = None,
) -> torch.Tensor:
    """Logits (N, V), float32, of the wanted rows; keys and values of all rows are written to their slots.

    Every size follows from ``batch.size``, and nothing waits for the device: this is what a CUDA graph records, where
    there is nothing to choose.

    Args:
        weights: of the network.
        operations: what torch lacks.
        pool: of all sequences; changed.
        rotary: angles of all positions.
        batch: what is computed.
        choose: may change what is seen in a layer, which it is given with the rotated queries (R, H, D).
    """
    shape, layers = weights.shape, weights.layers
    tables = rotary.tables[:, batch.positions]
    hidden = weights.embedding[batch.token_ids]
    normed = rms_norm(hidden, (shape.hidden,), layers[0].attention_norm, shape.norm_epsilon)
    following = [*(layer.attention_norm for layer in layers[1:]), weights.final_norm]
    for number, (layer, next_norm) in enumerate(zip(layers, following, strict=True)):
        keys, values = pool.keys[number], pool.values[number]
        queries = operations.place(operations.times(normed, layer.qkv), layer, shape, tables, batch.slots, keys, values)
        if choose is not None:
            choose(number, queries)
        found = operations.attend(queries, keys, values, batch)
        added = operations.times(found.flatten(1), layer.attention_out)
        hidden, normed = operations.add_norm(hidden, added, layer.mlp_norm, shape.norm_epsilon)
        added = operations.times(operations.gated(operations.times(normed, layer.gate_up)), layer.down)
        hidden, normed = operations.add_norm(hidden, added, next_norm, shape.norm_epsilon)
    return operations.times(normed[batch.wanted], Linear(weights.head)).float()


def rotary_of(weights: Weights, positions: int) -> Rotary:
    """The angles of so many positions."""
    steps = torch.arange(positions, dtype=torch.float32, device=weights.frequencies.device)
    angles = torch.outer(steps, weights.frequencies)
    cosines, sines = angles.cos(), angles.sin()
    factor = weights.rotary_factor
    return Rotary(torch.stack([cosines, sines]) * factor, torch.stack([cosines, -sines]) / factor)
