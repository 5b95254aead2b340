"""What has been written, token by token, so that the end of it can be taken back; and what was refused where.

Knows neither text nor model, only lengths. Start reading at ``History.add``.
"""

from __future__ import annotations

from itertools import pairwise


class History:
    """The tokens of one generation.

    Args:
        start: length of the text before the first.

    Attributes:
        rewinds, retreats: how often text was taken back (``taking_back``).
    """

    def __init__(self, start: int) -> None:
        self.rewinds = self.retreats = 0
        self._start = start
        self._behind: list[tuple[int, float]] = []  # length of the text behind each token, and log-probability so far
        self._refused: dict[int, list[int]] = {}  # by length of the sequence

    def __len__(self) -> int:
        return len(self._behind)

    @property
    def lengths(self) -> list[int]:
        """Of the text before the first token and behind each."""
        return [self._start, *(length for length, _ in self._behind)]

    def add(self, length: int, logprob: float) -> None:
        """A token was written; the text is so long now, and this likely."""
        self._behind.append((length, logprob))

    def up_to(self, position: int, shown: int) -> int:
        """How many tokens reach no further than a position, or into what somebody has seen."""
        return sum(behind <= position or before < shown for before, behind in pairwise(self.lengths))

    def before(self, position: int) -> int:
        """How many tokens there are before the one that the character at a position belongs to."""
        return max(count for count, length in enumerate(self.lengths) if length <= max(position, self._start))

    def keep(self, count: int) -> tuple[int, float]:
        """Forget all tokens behind so many; length of the text behind these, and log-probability so far."""
        del self._behind[count:]
        return self._behind[-1] if count else (self._start, 0.0)

    def refuse(self, place: int, token_id: int) -> None:
        """A token must not be written again where the sequence is so long; what was refused behind it is other text."""
        self._refused = {earlier: ids for earlier, ids in self._refused.items() if earlier <= place}
        self._refused.setdefault(place, []).append(token_id)

    def refused_at(self, place: int) -> list[int]:
        """What must not be written where the sequence is so long."""
        return self._refused.get(place, [])
