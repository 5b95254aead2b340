"""How long to wait for the next keystroke before a completion is worth starting."""

from __future__ import annotations

_FIRST_GUESS_S = 0.08
_SHORTEST_S, _LONGEST_S = 0.02, 0.15
_PAUSE_S = 1.0  # a longer gap says nothing about how fast somebody types
_SMOOTHING = 0.3


class Rhythm:
    """The typing speed in one document, as a moving average of the gaps between changes."""

    def __init__(self) -> None:
        self._gap_s = _FIRST_GUESS_S
        self._last_s: float | None = None

    def note(self, now_s: float) -> None:
        """The document changed."""
        if self._last_s is not None and (gap_s := now_s - self._last_s) < _PAUSE_S:
            self._gap_s += _SMOOTHING * (gap_s - self._gap_s)
        self._last_s = now_s

    def delay_s(self, now_s: float) -> float:
        """What is left to wait at ``now_s``, so that a burst of keystrokes starts nothing."""
        wanted_s = min(max(1.5 * self._gap_s, _SHORTEST_S), _LONGEST_S)
        since_s = now_s - self._last_s if self._last_s is not None else 0.0
        return max(0.0, wanted_s - since_s)
