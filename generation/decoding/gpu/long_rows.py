"""All keys and values of a long sequence, and the short list of them that attention runs over.

The list is a sequence like any other, so the forward knows nothing of it: its first rows are those in front (sink and
choice), then follow the last ones of the sequence, and what is scored is appended. Keys are rotated to their places in
the list; the store holds them as they were before. Rows that are read choose the front for themselves, in every layer
as soon as their queries are known: what a layer finds is part of what the next one looks for. Knows no tokens. Start
reading at ``LongRows.begin``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from generation.decoding.gpu.compute import Rotary
from generation.decoding.gpu.reference import rotated
from generation.decoding.gpu.slots import SequenceSlots, SlotPool
from generation.decoding.selection import reference
from generation.decoding.selection.settings import SelectionSettings

Votes = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class LongRows:
    """One sequence. ``store`` holds its rows, ``list`` those that attention sees.

    Args:
        pool: of both.
        rotary: angles of all places.
        settings: of the choice.
    """

    def __init__(self, pool: SlotPool, rotary: Rotary, settings: SelectionSettings) -> None:
        self._pool, self._rotary, self._settings = pool, rotary, settings
        self._votes = votes_for(pool.device)
        self.store, self.list = SequenceSlots(pool), SequenceSlots(pool)
        self._all = torch.arange(len(pool.keys), device=pool.device)[:, None]  # layers
        self._front: torch.Tensor | None = None  # (layers, sink + chosen); None while the list is everything
        self._chosen_by: dict[int, torch.Tensor] = {}  # (H D), by layer
        self._slots = self._all, self._all  # of the store and of the list, while rows choose
        self._start = 0  # of the last tokens in the list, in the sequence
        self.kept_choices = 0

    def forget(self) -> None:
        """The store was cut; ``begin`` makes the list anew."""
        self._front, self._start = None, 0
        self.list.length = 0

    @torch.no_grad()
    def begin(self, *, anew: bool) -> bool:
        """Make ready for rows behind those that there are; whether they are to ``choose``. A short list is everything.

        Args:
            anew: forget what was chosen before, and let the last tokens start where the window does. What is read from
                such a place on depends on the store only, so it can be read again from there.
        """
        self._absorb()
        settings = self._settings
        if self.store.length <= settings.least_tokens:
            if anew:  # also where nothing changes: a row that was turned back and forth is rounded once more
                self.forget()
                self._show(0, 0)
            return False
        if anew or self._front is None:
            count = settings.sink + settings.chosen
            self._front = torch.arange(count, device=self._pool.device).repeat(len(self._all), 1)
            self._chosen_by = {}
            self._show(self.store.length - settings.window, count)
        self._slots = self.store.all_slots(), self.list.all_slots()
        return True

    @torch.no_grad()
    def choose(self, layer: int, queries: torch.Tensor) -> None:
        """Choose the front of the list in one layer, by rows that are about to be appended.

        A layer keeps the choice of one row for the next one, if their queries are similar.

        Args:
            layer: that computes.
            queries: (R, H, D), rotated.
        """
        assert self._front is not None
        settings, rows = self._settings, len(queries)
        first = 0 if rows <= settings.step else rows - 1
        places = slice(self.list.length + first, self.list.length + rows)
        voters = rotated(queries[first:], self._rotary.backwards[:, places])
        last, before = voters[-1].flatten(), self._chosen_by.get(layer)
        if rows == 1 and before is not None and reference.similar(last, before) >= settings.similar:
            self.kept_choices += 1
            return
        self._chosen_by[layer] = last
        candidates = self._slots[0][settings.sink : self._start]
        votes = self._votes(voters, self._pool.keys[layer], candidates)
        self._front[layer, settings.sink :] = reference.best_places(votes, settings.chosen) + settings.sink
        self._gather(self._all[layer], self._front[layer : layer + 1], 0)

    def _absorb(self) -> None:
        """Take what was appended to the list into the store."""
        front = 0 if self._front is None else self._front.shape[1]
        first = front + self.store.length - self._start
        count = self.list.length - first
        if count <= 0:
            return
        self.store.reserve(self.store.length + count)
        keys, values, places = self._pool.keys, self._pool.values, np.arange(count)
        of, to = self.list.slots_at(first + places), self.store.slots_at(self.store.length + places)
        keys.index_copy_(1, to, rotated(keys.index_select(1, of), self._rotary.backwards[:, first : first + count]))
        values.index_copy_(1, to, values.index_select(1, of))
        self.store.length += count

    def _show(self, start: int, front: int) -> None:
        """The list ends with the tokens from ``start`` on; in front of them is room."""
        self._start = start
        last = torch.arange(start, self.store.length, device=self._pool.device)
        self.list.reserve(front + len(last))
        self.list.length = front + len(last)
        self._slots = self.store.all_slots(), self.list.all_slots()
        self._gather(self._all, last[None], front)

    def _gather(self, layers: torch.Tensor, places: torch.Tensor, to: int) -> None:
        """Copy rows of layers (n, 1) of the store, at places (1, count), to the list from ``to`` on."""
        keys, values = self._pool.keys, self._pool.values
        target = slice(to, to + places.shape[1])
        of, into = (layers, self._slots[0][places]), (layers, self._slots[1][None, target])
        keys[into] = rotated(keys[of], self._rotary.tables[:, target])
        values[into] = values[of]


def votes_for(device: torch.device) -> Votes:
    """The votes of ``selection.reference`` for keys that lie in slots, by Triton kernels on a GPU."""
    if device.type != "cuda":
        return lambda queries, keys, slots: reference.block_votes(queries, keys[slots])
    from generation.decoding.selection import votes_gpu

    return votes_gpu.block_votes
