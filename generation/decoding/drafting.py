"""Drafters: guesses of how a sequence goes on, taken from text that is known. A wrong guess costs time, never text.

``NGramIndex`` finds where the end of a sequence stood before; ``LookupDrafter`` asks one for the sequence itself, which
grows with it, and others for texts that stay: the file around the cursor, files beside it. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence

_SIZES = (12, 6, 3, 2)  # of the n-grams that are looked up, longest first
_LONGEST = 16  # tokens of a match that are counted


class NGramIndex:
    """Where each n-gram of a token sequence stood last.

    The sequence may be rewritten from some place on. What the tables say of the tokens that were there is then wrong,
    and is found out when it is read: every hit is compared with the tokens.
    """

    def __init__(self, token_ids: Sequence[int] = ()) -> None:
        self._ids: list[int] = []
        self._ends: dict[int, dict[tuple[int, ...], int]] = {size: {} for size in _SIZES}
        self.update(token_ids)

    def update(self, token_ids: Sequence[int]) -> None:
        """Make this the sequence."""
        ids = list(token_ids)
        same = len(self._ids) if ids[: len(self._ids)] == self._ids else _common(self._ids, ids)
        self._ids = ids
        for size, ends in self._ends.items():
            for end in range(max(same, size), len(ids)):  # an n-gram that nothing follows yet is not looked for
                ends[tuple(ids[end - size : end])] = end

    def find(self, tail: Sequence[int]) -> tuple[int, int]:
        """How many tokens at the end of ``tail`` stood here before, at most 16, and where they ended; or (0, 0)."""
        for size in _SIZES:
            end = self._ends[size].get(tuple(tail[-size:]), 0)
            match = self._match(tail, end)
            if match >= size:
                return match, end
        return 0, 0

    def following(self, end: int, count: int) -> list[int]:
        """At most ``count`` tokens from a place on."""
        return self._ids[end : end + count]

    def _match(self, tail: Sequence[int], end: int) -> int:
        if end >= len(self._ids):
            return 0
        match = 0
        for one, other in zip(
            reversed(tail[-_LONGEST:]), reversed(self._ids[max(0, end - _LONGEST) : end]), strict=False
        ):
            if one != other:
                break
            match += 1
        return match


class LookupDrafter:
    """Proposes what followed the longest end of the sequence that was seen before.

    The proposal grows with the match (``2 n - 1``): a long match is more likely to go on. Of equal matches the sequence
    itself wins, then the first text.

    Source: prompt lookup decoding (Saxena 2023); the texts beside the prompt, the length and the index are ours.

    Args:
        texts: indices of texts that are known beside the sequence.
    """

    def __init__(self, texts: Sequence[NGramIndex] = ()) -> None:
        self._own = NGramIndex()
        self._texts = texts

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` tokens that may follow ``token_ids``; empty when its end occurs nowhere before."""
        self._own.update(token_ids)
        best, best_match, best_end = self._own, 0, 0
        for index in (self._own, *self._texts):
            match, end = index.find(token_ids)
            if match > best_match:
                best, best_match, best_end = index, match, end
        return best.following(best_end, min(limit, 2 * best_match - 1)) if best_match else []


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    same = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        same += 1
    return same
