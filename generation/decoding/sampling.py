"""From logits to a token: greedy, or temperature and top-p with a seed."""

from __future__ import annotations

import math

import numpy as np
import torch

from generation.config import SamplingConfig


def log_total(logits: torch.Tensor) -> float:
    """What logits (V,) float32 are less than log-probabilities: twice as fast as torch's ``logsumexp``."""
    row = logits.numpy()
    peak = float(row.max())
    return peak + math.log(float(np.exp(row - peak).sum()))


class Sampler:
    """Chooses tokens and, among alternatives with known probabilities, one of them. One per generation.

    Args:
        config: temperature 0 is greedy; then seed and top-p mean nothing.
        seed: of this generation.
    """

    def __init__(self, config: SamplingConfig, seed: int) -> None:
        self._temperature = config.temperature
        self._top_p = config.top_p
        self._random = torch.Generator().manual_seed(seed)

    @property
    def greedy(self) -> bool:
        """Whether every choice is the most probable one."""
        return self._temperature <= 0

    def choose(self, logits: torch.Tensor, barred: torch.Tensor | None = None) -> int:
        """A token id from logits (V,) float32, none of ``barred`` (V,) bool. Ties go to the lowest id."""
        if self.greedy:
            best = int(logits.numpy().argmax())  # ten times as fast as torch's
            if barred is None or not barred[best]:
                return best  # mostly so, and then nothing of the size of the vocabulary is written
        if barred is not None:
            logits = logits.masked_fill(barred, -torch.inf)
        if self.greedy:
            return int(logits.argmax())
        probabilities = torch.softmax(logits / self._temperature, -1)
        return self._draw(self._nucleus(probabilities))

    def choose_weighted(self, log_probabilities: list[float]) -> int:
        """An index, by probability to the power of 1 / temperature."""
        return self.choose(torch.tensor(log_probabilities))

    def _nucleus(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Zero outside the smallest set of tokens whose probability reaches top-p (Holtzman et al. 2020)."""
        if self._top_p >= 1:
            return probabilities
        ordered, order = probabilities.sort(descending=True)
        beyond = ordered.cumsum(0) - ordered >= self._top_p
        return probabilities.scatter(0, order[beyond], 0.0)

    def _draw(self, probabilities: torch.Tensor) -> int:
        return int(torch.multinomial(probabilities, 1, generator=self._random))
