"""What is chosen for a list: the readable form, which all kernels are tested against.

How a row chooses for itself on the processor is in ``rows``. Start reading at ``block_votes``.
"""

from __future__ import annotations

import torch

from generation.decoding.selection.settings import BLOCK


def block_votes(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """What each block of keys is worth, (N // BLOCK,) float32: the softmax of their scores, summed over all queries.

    Args:
        queries: (R, H, D), not rotated.
        keys: (N, G, D), not rotated; query head h looks at key head h // (H / G).
    """
    grouped = queries.float().view(len(queries), keys.shape[1], -1, keys.shape[2])
    scores = torch.einsum("rghd,ngd->rghn", grouped, keys.float()) / keys.shape[2] ** 0.5
    votes = torch.softmax(scores, -1).sum((0, 1, 2))
    return votes[: len(votes) // BLOCK * BLOCK].view(-1, BLOCK).sum(-1)


def best_places(votes: torch.Tensor, count: int) -> torch.Tensor:
    """The places of the blocks with most votes, ``count`` in all, ascending."""
    blocks = torch.topk(votes, count // BLOCK, sorted=False).indices.sort().values
    return (blocks[:, None] * BLOCK + torch.arange(BLOCK, device=votes.device)).flatten()


def similar(queries: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The cosine of two queries (H D)."""
    return torch.cosine_similarity(queries, others, dim=-1)
