"""The operations of a layer that are kernels on a GPU, in plain torch: what those are tested against.

``place`` rotates queries and keys and writes keys and values to their slots; ``attend`` lets rows look at the slots
they may see. Runs on any device, slowly: each row gathers all of its sequence's pages. Start reading at ``attend``.
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
    rows, heads, size = queries.shape
    key_heads = keys.shape[1]
    slots = batch.tables[:, :, None] * PAGE_SLOTS + torch.arange(PAGE_SLOTS, device=keys.device)
    seen = slots.flatten(1)[batch.row_sequences]
    grouped = queries.float().view(rows, key_heads, heads // key_heads, size)
    scores = torch.einsum("rghd,rsgd->rghs", grouped, keys[seen].float()) / size**0.5
    scores = scores.masked_fill(~_visible(batch, seen.shape[1])[:, None, None], -torch.inf)
    found = torch.einsum("rghs,rsgd->rghd", torch.softmax(scores, -1), values[seen].float())
    return found.reshape(rows, heads, size).to(queries.dtype)


def _visible(batch: Batch, places: int) -> torch.Tensor:
    """Which places of its sequence each row may see, (R, places)."""
    _, _, length, first_node, nodes = torch.split(batch.sequences[batch.row_sequences], 1, dim=1)
    place = torch.arange(places, device=length.device)
    in_tree = (place >= length) & (place < length + nodes)
    node = torch.clamp(first_node + place - length, 0, batch.size.nodes - 1)
    own = batch.enter[batch.row_nodes][:, None]
    seen: torch.Tensor = (batch.enter[node] <= own) & (own < batch.leave[node])
    return (place < length) | (in_tree & seen)


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
