"""What is chosen for a list: the readable form, which all kernels are tested against.

How a row chooses for itself is in ``rows``. Start reading at ``choose``.
"""

from __future__ import annotations

import torch


def votes(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """What each of N keys is worth: the sum over H query heads of the softmax of their scores, (N,) float32.

    Args:
        queries: (H, D), of one token, not rotated.
        keys: (N, G, D), not rotated; query head h looks at key head h // (H / G).
    """
    heads, size = queries.shape
    group = heads // keys.shape[1]
    grouped = queries.float().view(-1, group, size)
    scores = torch.einsum("ghd,ngd->ghn", grouped, keys.float()) / size**0.5
    return torch.softmax(scores, -1).sum((0, 1))


def choose(queries: torch.Tensor, keys: torch.Tensor, count: int) -> torch.Tensor:
    """The ``count`` keys with most votes, in order of position."""
    return torch.sort(torch.topk(votes(queries, keys), count).indices).values


def similar(queries: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The cosine of two queries (layers, H D), layer by layer."""
    return torch.cosine_similarity(queries, others, dim=-1)
