"""From logits to a token: greedy, or temperature and top-p with a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from generation.config import SamplingConfig
from generation.decoding.tokens.logits import softmax, without

if TYPE_CHECKING:
    from generation.interfaces import Barred, Logits


_COLDEST, _HOTTEST = 1e-6, 1e6  # temperatures; beyond, float32 has no numbers for what comes of logits


class Sampler:
    """Chooses tokens and, among alternatives with known probabilities, one of them. One per generation.

    Args:
        config: temperature 0 is greedy; then seed and top-p mean nothing.
        seed: of this generation.
    """

    def __init__(self, config: SamplingConfig, seed: int) -> None:
        self._temperature = min(config.temperature, _HOTTEST)
        self._top_p = config.top_p
        self._random = np.random.default_rng(seed % (1 << 64))

    @property
    def greedy(self) -> bool:
        """Whether every choice is the most probable one."""
        return not self._temperature >= _COLDEST  # NaN too

    def choose(self, logits: Logits, barred: Barred | None = None) -> int:
        """A token id from logits (V,) float32, none of ``barred`` (V,) bool. Ties go to the lowest id."""
        if self.greedy:
            best = int(logits.argmax())
            if barred is None or not barred[best]:
                return best  # mostly so, and then nothing of the size of the vocabulary is written
        if barred is not None:
            logits = without(logits, barred)
        if self.greedy:
            return int(logits.argmax())
        return self._draw(self._nucleus(softmax(logits / np.float32(self._temperature))))

    def choose_weighted(self, log_probabilities: list[float]) -> int:
        """An index, by probability to the power of 1 / temperature."""
        return self.choose(np.array(log_probabilities, np.float32))

    def _nucleus(self, probabilities: Logits) -> Logits:
        """Zero outside the smallest set of tokens whose probability reaches top-p (Holtzman et al. 2020)."""
        if self._top_p >= 1:
            return probabilities
        order = np.argsort(-probabilities, kind="stable")
        before = probabilities[order].cumsum(dtype=np.float64)[:-1]  # of all but the first token, which always stays
        kept = probabilities.copy()
        kept[order[1:][before >= self._top_p]] = 0.0
        return kept

    def _draw(self, probabilities: Logits) -> int:
        ends = probabilities.cumsum(dtype=np.float64)
        return int(np.searchsorted(ends, self._random.random() * ends[-1], side="right"))
