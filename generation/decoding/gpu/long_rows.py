"""What ``selection.long_rows.LongRows`` does with rows, where they lie in pages of a GPU. Start at ``TorchMoves``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from generation.decoding.gpu.reference import rotated
from generation.decoding.gpu.slots import SequenceSlots, SlotPool
from generation.decoding.llama.packing import Array
from generation.decoding.selection import reference

Votes = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        self, store: SequenceSlots, queries: torch.Tensor, layer: int, first: int, end: int, chosen: Array
    ) -> None:
        """See ``RowMoves``."""
        keys = self._pool.keys[layer].index_select(0, store.slots_at(np.arange(first, end)))
        votes = self._votes(queries.view(-1, keys.shape[2]).to(keys.dtype), keys)
        chosen[:] = torch.topk(votes, len(chosen)).indices.sort().values.cpu().numpy() + first

    @torch.no_grad()
    def gather(self, store: SequenceSlots, listed: SequenceSlots, layer: int, slots: Array, to: int) -> None:
        """See ``RowMoves``."""
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        of, target = store.slots_at(slots), listed.slots_at(np.arange(to, to + len(slots)))
        tables = self._rotary[:, to : to + len(slots)]
        keys.index_copy_(0, target, rotated(keys.index_select(0, of), tables))
        values.index_copy_(0, target, values.index_select(0, of))


def votes_for(device: torch.device) -> Votes:
    """The votes of ``selection.reference``, by Triton kernels on a GPU."""
    if device.type != "cuda":
        return reference.votes
    from generation.decoding.selection import votes_gpu

    return votes_gpu.votes
