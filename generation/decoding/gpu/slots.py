"""Keys and values of all sequences in one tensor that is allocated once; a sequence holds pages of it.

A slot is one token's row. Addresses never change, so a recorded forward finds every sequence by the numbers of its
pages. Page 0 belongs to nobody: rows that only fill a forward up to its size are written there. Knows no tokens. Start
reading at ``SequenceSlots``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from generation.decoding.llama.shape import LlamaShape
from generation.errors import CapacityError

PAGE_SLOTS = 256


class SlotPool:
    """All pages; may be used by several threads.

    Args:
        shape: of the network.
        pages: how many, page 0 included.
        dtype: of keys and values.
        device: where they lie.

    Attributes:
        keys: (L, pages * PAGE_SLOTS, G, D).
        values: the same.
    """

    def __init__(self, shape: LlamaShape, pages: int, dtype: torch.dtype, device: torch.device) -> None:
        sizes = (shape.layers, pages * PAGE_SLOTS, shape.key_heads, shape.head_size)
        self.keys = torch.zeros(sizes, dtype=dtype, device=device)
        self.values = torch.zeros(sizes, dtype=dtype, device=device)
        self.page_bytes = page_bytes(shape, dtype)
        self.device = device
        self._free = list(range(pages - 1, 0, -1))
        self._pages = pages - 1
        self._lock = threading.RLock()  # a sequence may be collected while pages are taken

    @property
    def free_pages(self) -> int:
        """How many no sequence holds."""
        return len(self._free)

    @property
    def size_bytes(self) -> int:
        """Memory of all pages."""
        return self._pages * self.page_bytes

    def take(self, count: int) -> list[int]:
        """Pages for a sequence.

        Raises:
            CapacityError: there are not so many.
        """
        with self._lock:
            if count > len(self._free):
                raise CapacityError(
                    f"{count} more pages of {PAGE_SLOTS} tokens do not fit: {len(self._free)} of {self._pages} are "
                    "free; use shorter prompts or fewer sequences at a time"
                )
            return [self._free.pop() for _ in range(count)]

    def give(self, pages: Iterable[int]) -> None:
        """Take pages back."""
        with self._lock:
            self._free += pages

    def copy(self, of: torch.Tensor, to: torch.Tensor) -> None:
        """Copy slots of all layers; all are read before one is written."""
        for tensor in (self.keys, self.values):
            tensor.index_copy_(1, to, tensor.index_select(1, of))


class SequenceSlots:
    """The slots of one sequence; the first ``length`` are committed, behind them lies what was scored last.

    The pages go back when nobody refers to this object any more.
    """

    def __init__(self, pool: SlotPool) -> None:
        self._pool = pool
        self.length = 0
        self.pages: list[int] = []
        weakref.finalize(self, pool.give, self.pages).atexit = False

    @property
    def size_bytes(self) -> int:
        """Memory of all pages."""
        return len(self.pages) * self._pool.page_bytes

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` in all.

        Raises:
            CapacityError: there are no pages left.
        """
        missing = -(-slots // PAGE_SLOTS) - len(self.pages)
        if missing > 0:
            self.pages += self._pool.take(missing)

    def copy_start(self, source: SequenceSlots, length: int) -> None:
        """Become the first ``length`` slots of another sequence."""
        self.reserve(length)
        places = np.arange(length)
        self._pool.copy(source.slots_at(places), self.slots_at(places))
        self.length = length

    def keep(self, path: Sequence[int]) -> None:
        """Move slots behind the committed ones together, as increasing indices; ``length`` stays."""
        of, to = np.array(path), np.arange(len(path))
        moved = of != to
        if moved.any():
            self._pool.copy(self.slots_at(self.length + of[moved]), self.slots_at(self.length + to[moved]))

    def slots_at(self, places: npt.NDArray[Any]) -> torch.Tensor:
        """Where the tokens at these places are in the pool, on its device."""
        pages = np.array(self.pages, dtype=np.int64)
        return torch.from_numpy(pages[places // PAGE_SLOTS] * PAGE_SLOTS + places % PAGE_SLOTS).to(self._pool.device)

    def all_slots(self) -> torch.Tensor:
        """Where all places of this sequence are in the pool, (places,), on its device."""
        pages = torch.tensor(self.pages, dtype=torch.int64).to(self._pool.device, non_blocking=True)
        return (pages[:, None] * PAGE_SLOTS + torch.arange(PAGE_SLOTS, device=pages.device)).flatten()

    def slot(self, place: int) -> int:
        """Where the token at ``place`` of this sequence is in the pool."""
        return self.pages[place // PAGE_SLOTS] * PAGE_SLOTS + place % PAGE_SLOTS


def page_bytes(shape: LlamaShape, dtype: torch.dtype) -> int:
    """Memory of one page."""
    return 2 * shape.layers * PAGE_SLOTS * shape.key_heads * shape.head_size * dtype.itemsize


def fitting_pages(shape: LlamaShape, dtype: torch.dtype, free_bytes: int, tokens: int) -> int:
    """Pages for so many tokens of sequences that are written, and of those that have ended.

    No more than half of the memory that is free is taken, whatever that leaves: others may need the GPU too.
    """
    wanted = 2 * -(-tokens // PAGE_SLOTS)
    return 1 + min(wanted, free_bytes // 2 // page_bytes(shape, dtype))
