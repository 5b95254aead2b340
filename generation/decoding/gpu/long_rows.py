"""What ``selection.long_rows.LongRows`` does with rows, where they lie in pages of a GPU. Start at ``TorchMoves``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from generation.decoding.gpu.reference import rotated
from generation.decoding.gpu.slots import SequenceSlots, SlotPool
from generation.decoding.selection import reference

Votes = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class TorchMoves:
    """Rows of the sequences of one pool; implements ``RowMoves``. A device's queue keeps moves and forwards in order.

    Args:
        pool: of both caches.
        rotary: (2, positions, D / 2), float32, cosines and sines.
        backwards: the same of the opposite rotation.
    """

    read_tokens = 512  # a chunk: all of it sees one list

    def __init__(self, pool: SlotPool, rotary: torch.Tensor, backwards: torch.Tensor) -> None:
        self._pool, self._rotary, self._backwards = pool, rotary, backwards
        self._votes = votes_for(pool.keys.device)

    @torch.no_grad()
    def absorb(self, listed: SequenceSlots, store: SequenceSlots, first: int, count: int) -> None:
        """See ``RowMoves``."""
        keys, values, places = self._pool.keys, self._pool.values, np.arange(count)
        of, to = listed.slots_at(first + places), store.slots_at(store.length + places)
        keys.index_copy_(1, to, rotated(keys.index_select(1, of), self._backwards[:, first : first + count]))
        values.index_copy_(1, to, values.index_select(1, of))

    @torch.no_grad()
    def choose(
        self, store: SequenceSlots, queries: torch.Tensor, layers: torch.Tensor, first: int, end: int, count: int
    ) -> torch.Tensor:
        """See ``RowMoves``."""
        keys = self._pool.keys
        heads = queries.view(len(queries), -1, keys.shape[3]).to(keys.dtype)
        votes = self._votes(heads, keys, layers, store.all_slots()[first:end])
        return torch.topk(votes, count, sorted=False).indices.sort().values + first

    @torch.no_grad()
    def gather(
        self, store: SequenceSlots, listed: SequenceSlots, layers: torch.Tensor, places: torch.Tensor, to: int
    ) -> None:
        """See ``RowMoves``."""
        keys, values, count = self._pool.keys, self._pool.values, places.shape[1]
        of = (layers[:, None], store.all_slots()[places])
        target = (layers[:, None], listed.all_slots()[to : to + count])
        keys[target] = rotated(keys[of], self._rotary[:, to : to + count])
        values[target] = values[of]


def votes_for(device: torch.device) -> Votes:
    """The votes of ``selection.reference`` in layers of a pool, by Triton kernels on a GPU."""
    if device.type != "cuda":
        return _plain_votes
    from generation.decoding.selection import votes_gpu

    return votes_gpu.votes


def _plain_votes(queries: torch.Tensor, keys: torch.Tensor, layers: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [reference.votes(query, keys[layer, slots]) for query, layer in zip(queries, layers.tolist(), strict=True)]
    )
