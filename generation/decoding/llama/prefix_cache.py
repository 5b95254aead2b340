"""Sequences that have ended, kept because the next prompt often starts like one of them.

An editor's request shares all but the last lines with the one before it, and several candidates share their prompt. A
row of keys and values depends on nothing but the tokens before it, bit by bit, so reuse changes no result. Memory is
bounded; what was used least recently goes first, and the last sequence stays however long it is: its memory is what the
next one takes over. Knows no network. Start reading at ``PrefixCache.take``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from generation.decoding.sequence import common_start

_WORTH_TOKENS = 16  # shorter starts are read again: all files of a language share some tokens


class Slots(Protocol):
    """Keys and values of one sequence of some network."""

    length: int

    @property
    def size_bytes(self) -> int:
        """Memory of all slots."""

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` in all."""

    def copy_start(self, source: Any, length: int) -> None:
        """Become the first ``length`` slots of another cache of the same network."""


@dataclass(frozen=True, slots=True)
class _Ended:
    token_ids: list[int]
    cache: Slots


class PrefixCache:
    """One for each network; may be used by several threads.

    Args:
        new_cache: makes an empty cache.
        capacity_bytes: of all sequences kept, where they are more than one; 0 keeps none.
    """

    def __init__(self, new_cache: Callable[[], Slots], capacity_bytes: int) -> None:
        self.new_cache = new_cache
        self.capacity_bytes = capacity_bytes
        self._ended: list[_Ended] = []  # used last comes last
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Memory of all sequences kept."""
        return sum(ended.cache.size_bytes for ended in self._ended)

    def take(self, prompt_ids: Sequence[int]) -> Slots:
        """A cache that holds a start of a prompt, never all of it: its last token must be read for its logits.

        A sequence of which the prompt shares more than half is taken over; of another, the shared rows are copied.
        """
        with self._lock:
            shared, best = max(
                ((common_start(ended.token_ids, prompt_ids), ended) for ended in self._ended),
                key=lambda found: found[0],
                default=(0, None),
            )
            shared = min(shared, len(prompt_ids) - 1)
            if best is None or shared < _WORTH_TOKENS:
                return self.new_cache()
            self._ended.remove(best)
            if 2 * shared > len(best.token_ids):
                best.cache.length = shared
                return best.cache
            self._ended.append(best)
            copy = self.new_cache()
            copy.copy_start(best.cache, shared)
            return copy

    def give(self, token_ids: Sequence[int], cache: Slots) -> None:
        """Keep a sequence that has ended; ``cache`` holds its rows and belongs to this object from now on."""
        if not token_ids or not self.capacity_bytes:
            return
        with self._lock:
            known = [ended for ended in self._ended if common_start(ended.token_ids, token_ids) < len(ended.token_ids)]
            self._ended = [*known, _Ended(list(token_ids), cache)]
            while len(self._ended) > 1 and self.size_bytes > self.capacity_bytes:
                del self._ended[0]
