"""All keys and values of a long sequence, and the short list of them that attention runs over.

The list is a cache like any other, so the forward knows nothing of selection: its first rows are those in front
(sink and choice), then follow the last ones of the sequence, and what is scored is appended. Keys are rotated to their
places in the list. Knows no tokens. Start reading at ``LongRows.renew``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from generation.decoding.selection.reference import similar
from generation.decoding.selection.settings import SelectionSettings


class RowMoves(Protocol):
    """What moves rows between the two caches of a sequence: ``gpu.long_rows.TorchMoves``."""

    @property
    def read_tokens(self) -> int:
        """How many tokens of a prompt are read in one forward."""

    def absorb(self, listed: Any, store: Any, first: int, count: int) -> None:
        """Copy rows of the list from place ``first`` on behind those of the store, turned back; no length changes."""

    def choose(
        self, store: Any, queries: torch.Tensor, layers: torch.Tensor, first: int, end: int, count: int
    ) -> torch.Tensor:
        """The ``count`` places between ``first`` and ``end`` that get most votes in each layer, (n, count), ascending.

        Args:
            store: rows of the sequence.
            queries: (n, H D), of these layers, not rotated.
            layers: (n,), in which is chosen.
            first: of the places to choose from.
            end: behind the last of them.
            count: how many are chosen.
        """

    def gather(self, store: Any, listed: Any, layers: torch.Tensor, places: torch.Tensor, to: int) -> None:
        """Copy rows of some layers of the store, at places (n, count), to the list from ``to`` on, rotated to there."""


class LongRows:
    """One sequence. ``store`` holds its rows, ``list`` those that attention sees.

    Args:
        moves: what moves rows.
        new_cache: makes an empty cache of the network.
        layers: of the network.
        settings: of the choice.
    """

    def __init__(self, moves: RowMoves, new_cache: Callable[[], Any], layers: int, settings: SelectionSettings) -> None:
        self._moves, self._layers, self._settings = moves, layers, settings
        self.store, self.list = new_cache(), new_cache()
        self._front: torch.Tensor | None = None  # (layers, sink + chosen); None while the list is everything
        self._chosen_by: torch.Tensor | None = None  # (layers, queries)
        self._start = 0  # of the last tokens in the list, in the sequence
        self.choices = self.kept_choices = 0

    @property
    def read_tokens(self) -> int:
        """How many tokens of a prompt are read in one forward."""
        return self._moves.read_tokens

    @property
    def _front_count(self) -> int:
        return 0 if self._front is None else self._front.shape[1]

    @property
    def _unstored(self) -> int:
        """Rows at the end of the list that the store lacks."""
        return self._front_count + int(self.store.length) - self._start

    def absorb(self) -> None:
        """Take what was appended to the list into the store."""
        first, count = self._unstored, self.list.length - self._unstored
        if count <= 0:
            return
        self.store.reserve(self.store.length + count)
        self._moves.absorb(self.list, self.store, first, count)
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
                self._show_all(queries.device)
            return
        if anew or self._chosen_by is None:
            self._start = self.store.length - settings.window
            self._chosen_by = queries.clone()
            front = torch.arange(settings.sink + settings.chosen, device=queries.device)
            self._front = front.repeat(self._layers, 1)
            layers = torch.arange(self._layers, device=queries.device)
            self._show_end(queries.device)
        else:
            changed = similar(queries, self._chosen_by) < settings.similar
            layers = changed.nonzero().flatten()
            self._chosen_by[layers] = queries[layers]
        self.choices += len(layers)
        self.kept_choices += self._layers - len(layers)
        if len(layers):
            self._choose(layers, queries[layers])

    def _choose(self, layers: torch.Tensor, queries: torch.Tensor) -> None:
        assert self._front is not None
        sink, chosen = self._settings.sink, self._settings.chosen
        self._front[layers, sink:] = self._moves.choose(self.store, queries, layers, sink, self._start, chosen)
        self._moves.gather(self.store, self.list, layers, self._front[layers], 0)

    def _show_end(self, device: torch.device) -> None:
        """The list ends with the window."""
        last = torch.arange(self._start, self.store.length, device=device)
        self.list.reserve(self._front_count + len(last))
        self.list.length = self._front_count + len(last)
        layers = torch.arange(self._layers, device=device)
        self._moves.gather(self.store, self.list, layers, last.expand(self._layers, -1), self._front_count)

    def _show_all(self, device: torch.device) -> None:
        """The list is the sequence."""
        self.forget()
        self._show_end(device)


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
