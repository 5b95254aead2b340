"""All keys and values of a long sequence, and the short list of them that attention runs over.

The list is a cache like any other, so the forward knows nothing of selection: its first rows are those in front
(sink and choice), then follow the last ones of the sequence, and what is scored is appended. Keys are rotated to their
places in the list. Knows no tokens. Start reading at ``LongRows.renew``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from generation.decoding.llama import native
from generation.decoding.llama.cache import KVCache
from generation.decoding.llama.packing import Array
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.selection.reference import SelectionSettings, similar

Tables = Callable[[int], tuple[Array, Array]]  # cosines and sines of a number of positions


class LongRows:
    """One sequence. ``store`` holds its rows, ``list`` those that attention sees.

    Args:
        library: the kernels.
        shape: of the network.
        int8: whether its rows are bfloat16.
        tables: of the rotation.
        settings: of the choice.
        threads: of the kernels.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        shape: LlamaShape,
        *,
        int8: bool,
        tables: Tables,
        settings: SelectionSettings,
        threads: int = 1,
    ) -> None:
        self._library, self._shape, self._tables, self._settings = library, shape, tables, settings
        self._heads = native.Heads(
            shape.layers, shape.heads, shape.key_heads, shape.head_size, int(int8), threads
        )  # fmt: skip
        self.store, self.list = KVCache(shape, int8=int8), KVCache(shape, int8=int8)
        self._front: Array | None = None  # (layers, sink + chosen); None while the list is everything
        self._chosen_by: torch.Tensor | None = None  # (layers, queries)
        self._start = 0  # of the last tokens in the list, in the sequence
        self.choices = self.kept_choices = 0

    @property
    def _front_count(self) -> int:
        return 0 if self._front is None else self._front.shape[1]

    @property
    def _unstored(self) -> int:
        """Rows at the end of the list that the store lacks."""
        return self._front_count + (self.store.length - self._start)

    def absorb(self) -> None:
        """Take what was appended to the list into the store."""
        first, count = self._unstored, self.list.length - self._unstored
        if count <= 0:
            return
        self.store.reserve(self.store.length + count)
        tables = self._tables(self.list.length)
        self._library.memberwise_absorb(
            ctypes.byref(self._heads), ctypes.byref(self.list.as_argument()), ctypes.byref(self.store.as_argument()),
            first, self.store.length, count, *(table.ctypes.data for table in tables),
        )  # fmt: skip
        self.store.length += count

    def forget(self) -> None:
        """The store was cut: nothing is chosen, and the list is everything or will be chosen by ``renew``."""
        self._front, self._chosen_by, self._start = None, None, 0
        self.list.length = 0

    def renew(self, queries: torch.Tensor, *, anew: bool) -> None:
        """Choose the list for what follows; nothing is left out of a short sequence.

        Args:
            queries: of the last token, (layers, H D), contiguous.
            anew: forget what was chosen before, and let the last tokens start where the window does. What is read from
                such a place on depends on the store only, so it can be read again from there.
        """
        self.absorb()
        settings = self._settings
        if self.store.length <= settings.least_tokens:
            if anew:  # also where nothing changes: a row that was turned back and forth is rounded once more
                self._show_all()
            return
        if anew or self._chosen_by is None:
            self._start = self.store.length - settings.window
            self._chosen_by = queries.clone()
            self._front = np.empty((self._shape.layers, settings.sink + settings.chosen), np.int32)
            self._front[:, : settings.sink] = np.arange(settings.sink)
            changed = torch.ones(self._shape.layers, dtype=torch.bool)
            self._show_end()
        else:
            changed = similar(queries, self._chosen_by) < settings.similar
            self._chosen_by[changed] = queries[changed]
        self.choices += int(changed.sum())
        self.kept_choices += int((~changed).sum())
        for layer in changed.nonzero().flatten().tolist():
            self._choose(layer, queries[layer])

    def _choose(self, layer: int, queries: torch.Tensor) -> None:
        assert self._front is not None
        settings, row = self._settings, self._front[layer]
        chosen = row[settings.sink :]
        self._library.memberwise_choose(
            ctypes.byref(self._heads), ctypes.byref(self.store.as_argument()), queries.data_ptr(),
            layer, settings.sink, self._start, settings.chosen, chosen.ctypes.data,
        )  # fmt: skip
        self._gather(layer, row, 0)

    def _show_end(self) -> None:
        """The list ends with the window."""
        last = np.arange(self._start, self.store.length, dtype=np.int32)
        self.list.reserve(self._front_count + len(last))
        self.list.length = self._front_count + len(last)
        for layer in range(self._shape.layers):
            self._gather(layer, last, self._front_count)

    def _show_all(self) -> None:
        """The list is the sequence."""
        self.forget()
        self._show_end()

    def _gather(self, layer: int, slots: Array, to: int) -> None:
        tables = self._tables(to + len(slots))
        self._library.memberwise_gather(
            ctypes.byref(self._heads), ctypes.byref(self.store.as_argument()), ctypes.byref(self.list.as_argument()),
            layer, slots.ctypes.data, len(slots), to, *(table.ctypes.data for table in tables),
        )  # fmt: skip


@dataclass(slots=True)
class LastPrompt:
    """The prompt read last: its rows may be the start of the next one.

    Attributes:
        token_ids: of whole chunks.
        rows: of these tokens and perhaps more; None when there is none.
        queries: of the last token of each chunk, (layers, H D).
    """

    token_ids: list[int] = field(default_factory=list)
    rows: LongRows | None = None
    queries: list[torch.Tensor] = field(default_factory=list)
