"""Drafters for tests, and costs of forwards that nobody measured."""

from __future__ import annotations

import random
from collections.abc import Sequence

from generation.decoding.drafts.drafting import LookupDrafter
from generation.decoding.drafts.suffix_index import SuffixIndex
from generation.decoding.step_costs import MOST_ROWS, StepCosts
from tests.decoding.llama.networks import kernels


def rising(per_row: float) -> StepCosts:
    """The first row costs 1, every other ``per_row``."""
    steps = tuple(1.0 + per_row * row for row in range(MOST_ROWS))
    return StepCosts((0, 1000), steps, steps)


FREE = rising(0.0)


def lookup(costs: StepCosts = FREE, *texts: Sequence[int]) -> LookupDrafter:
    return LookupDrafter(SuffixIndex(kernels()), costs, [SuffixIndex(kernels(), text) for text in texts])


class Garbage:
    def __init__(self, alphabet: bytes) -> None:
        self.source = random.Random(0)
        self.alphabet = alphabet

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        return [self.source.choice(self.alphabet) for _ in range(self.source.randrange(limit + 1))]
