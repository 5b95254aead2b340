"""Drawing tokens, at the edges of what float32 holds."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from generation.config import SamplingConfig
from generation.decoding.tokens.logits import softmax
from generation.decoding.tokens.sampling import Sampler

LOGITS = np.random.default_rng(0).normal(0.0, 3.0, 49_152).astype(np.float32)


def test_the_nucleus_of_a_large_vocabulary_is_counted_exactly() -> None:
    probabilities = softmax(LOGITS)
    total = np.sort(probabilities.astype(np.float64))[::-1].cumsum()
    kept = Sampler(SamplingConfig(temperature=1.0, top_p=0.9999), seed=0)._nucleus(probabilities)
    assert np.count_nonzero(kept) == np.searchsorted(total, 0.9999) + 1


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-38, 1e-7, 1.0, 1e39, inf, nan])
@pytest.mark.parametrize("top_p", [-1.0, 0.0, 1e-9, 0.5, 1.0, nan])
def test_no_setting_draws_what_is_no_token(temperature: float, top_p: float) -> None:
    barred = np.arange(len(LOGITS)) % 2 == 0
    best = int(np.where(barred, -np.inf, LOGITS).argmax())
    sampler = Sampler(SamplingConfig(temperature, top_p), seed=1)
    for _ in range(20):
        token_id = sampler.choose(LOGITS, barred)
        assert token_id < len(LOGITS)
        assert not barred[token_id]
        assert token_id == best or (temperature >= 1 and not top_p < 0.5)
