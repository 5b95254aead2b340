"""Drafters: guesses of how a sequence goes on, taken from the sequence itself. A wrong guess costs time, never text."""

from __future__ import annotations

from collections.abc import Sequence


class PromptLookupDrafter:
    """Proposes what followed the last occurrence of the current n-gram earlier in the sequence.

    Source: prompt lookup decoding (Saxena 2023). Here the longest match of up to ``longest`` tokens wins, and the
    length of the proposal grows with the match (``2 n - 1``): a long match is more likely to go on.

    Args:
        longest: most tokens of an n-gram that are compared.
        shortest: fewest tokens that count as a match.
    """

    def __init__(self, longest: int = 8, shortest: int = 2) -> None:
        self._longest = longest
        self._shortest = shortest

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` tokens that may follow ``token_ids``; empty when its end occurs nowhere before."""
        position, size = self._longest_match(token_ids)
        return list(token_ids[position : position + min(limit, 2 * size - 1)]) if size else []

    def _longest_match(self, token_ids: Sequence[int]) -> tuple[int, int]:
        """Where the best earlier match ends, and its length; (0, 0) without a match. The latest of equals wins."""
        ids = list(token_ids)
        if len(ids) <= self._shortest:
            return 0, 0
        best_end, best_size = 0, 0
        last, end = ids[-1], len(ids) - 2
        while best_size < self._longest:
            end = _rindex(ids, last, end)
            if end < 0:
                break
            size = 1
            while size < self._longest and size <= end and ids[end - size] == ids[-1 - size]:
                size += 1
            if size > best_size:
                best_end, best_size = end + 1, size
            end -= 1
        return (best_end, best_size) if best_size >= self._shortest else (0, 0)


def _rindex(ids: list[int], value: int, end: int) -> int:
    """The last index <= ``end`` that holds ``value``, or -1."""
    for index in range(end, -1, -1):
        if ids[index] == value:
            return index
    return -1
