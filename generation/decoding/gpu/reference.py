"""The operations of a layer that are kernels on a GPU, in plain torch: what those are tested against.

``place`` rotates queries and keys and writes keys and values to their slots; ``attend`` lets rows look at the slots
they may see. Runs on any device, slowly: keys and values are gathered. Start reading at ``attend``.
"""

from __future__ import annotations

import torch

from generation.decoding.gpu.batch import Batch
from generation.decoding.gpu.slots import PAGE_SLOTS
from generation.decoding.gpu.weights import Layer, Linear
from generation.decoding.llama.shape import LlamaShape


def place(
    qkv: torch.Tensor,
    layer: Layer,
    shape: LlamaShape,
    tables: torch.Tensor,
    slots: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
) -> torch.Tensor:
    """Queries (R, H, D), rotated; keys and values are written to their slots.

    Args:
        qkv: (R, (H + 2 G) D), queries, keys and values of the heads, one behind the other.
        layer: whose norms of queries and keys are applied, where it has them.
        shape: of the network.
        tables: (2, R, D / 2) float32, cosines and sines at the position of each row.
        slots: (R,).
        keys: (all slots, G, D), of this layer; changed.
        values: the same.
    """
    heads, key_heads = shape.heads, shape.key_heads
    query, key, value = torch.split(qkv.view(len(qkv), -1, shape.head_size), [heads, key_heads, key_heads], dim=1)
    if layer.query_norm is not None and layer.key_norm is not None:
        query = torch.nn.functional.rms_norm(query, query.shape[2:], layer.query_norm, shape.norm_epsilon)
        key = torch.nn.functional.rms_norm(key, key.shape[2:], layer.key_norm, shape.norm_epsilon)
    keys.index_copy_(0, slots, rotated(key, tables))
    values.index_copy_(0, slots, value)
    return rotated(query, tables)


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """What each row finds, (R, H, D), in the committed slots of its sequence, its ancestors in the tree and itself.

    Args:
        queries: (R, H, D), rotated.
        keys: (all slots, G, D), of this layer.
        values: the same.
        batch: which slots a row may see.
    """
    found = torch.zeros_like(queries)
    for table, record in zip(batch.tables, batch.sequences.tolist(), strict=True):
        first_row, rows, length, first_node, nodes = record
        if not rows:
            continue
        seen = (table[:, None] * PAGE_SLOTS + torch.arange(PAGE_SLOTS, device=table.device)).flatten()[: length + nodes]
        enter, leave = (numbers[first_node : first_node + nodes] for numbers in (batch.enter, batch.leave))
        own = enter[nodes - rows :, None]
        visible = torch.ones((rows, length + nodes), dtype=torch.bool, device=table.device)
        visible[:, length:] = (enter <= own) & (own < leave)
        grouped = queries[first_row : first_row + rows].float().view(rows, keys.shape[1], -1, queries.shape[2])
        scores = torch.einsum("rghd,sgd->ghrs", grouped, keys[seen].float()) / queries.shape[2] ** 0.5
        weights = torch.softmax(scores.masked_fill(~visible, -torch.inf), -1)
        sums = torch.einsum("ghrs,sgd->rghd", weights, values[seen].float())
        found[first_row : first_row + rows] = sums.flatten(1, 2).to(queries.dtype)
    return found


def times(rows: torch.Tensor, matrix: Linear) -> torch.Tensor:
    """Rows (R, columns) times a matrix, (R, channels)."""
    return torch.nn.functional.linear(rows, matrix.weight, matrix.bias)


def add_norm(
    hidden: torch.Tensor, added: torch.Tensor, weight: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of two (R, hidden), and its norm times a weight (hidden,)."""
    total = hidden + added
    return total, torch.nn.functional.rms_norm(total, weight.shape, weight, epsilon)


def gated(gate_up: torch.Tensor) -> torch.Tensor:
    """SiLU of the first half of the channels (R, 2 C), times the second half."""
    gate, up = gate_up.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def rotated(heads: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Pairs of channels, half a head apart, turned by the angle of their row; computed in float32.

    Args:
        heads: (..., R, heads, D).
        tables: (2, R, D / 2), cosines and sines.
    """
    cosines, sines = tables[:, :, None]
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1).to(heads.dtype)
