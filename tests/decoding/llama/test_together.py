"""Several sequences in one forward: bit by bit what each gives alone, whoever meets whom."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from generation.decoding.llama.network import Network
from generation.decoding.llama.together import TogetherModel
from generation.errors import StoppedError
from generation.interfaces import LanguageModel
from generation.types import Draft
from tests.decoding.llama.networks import VOCABULARY, model_of, random_ids, random_tree

if TYPE_CHECKING:
    from generation.interfaces import Logits

COMMON = random_ids(random.Random(7), 70)


def walk(model: LanguageModel, seed: int) -> list[Logits]:
    """All logits of one sequence that scores trees and commits parts of them."""
    source = random.Random(seed)
    state = model.start(COMMON[: source.choice((0, 30, 70))] + random_ids(source, source.randrange(1, 90)))
    seen = [state.next_logits.copy()]
    for _ in range(12):
        size = source.choice((1, 1, 3, 8))
        draft = random_tree(source, size)
        seen.append(state.score(draft).copy())
        node = source.randrange(len(draft))
        path: list[int] = []
        while node >= 0:
            path.insert(0, node)
            node = draft.parents[node]
        state.commit(path)
        seen.append(state.next_logits.copy())
    state.close()
    return seen


@pytest.fixture
def slow_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a network that is not tiny; else two sequences hardly meet."""
    quick = Network.forward_together

    def slow(*args: Any) -> list[Logits]:
        time.sleep(0.005)
        return quick(*args)

    monkeypatch.setattr(Network, "forward_together", slow)


@pytest.mark.usefixtures("slow_forwards")
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("family", ["llama", "llama3", "qwen3"])
def test_neither_number_nor_order_changes_a_bit(family: str, int8: bool) -> None:
    alone, forwards = [walk(model_of(family, int8=int8), seed) for seed in range(12)], dict[int, int]()
    for together, order_seed in ((1, 0), (2, 1), (5, 2), (12, 3)):
        shared = TogetherModel(model_of(family, int8=int8, threads=2))
        order = random.Random(order_seed).sample(range(12), 12)
        with ThreadPoolExecutor(together) as threads:
            found = dict(zip(order, threads.map(partial(walk, shared), order), strict=True))
        for seed in range(12):
            assert all(map(np.array_equal, found[seed], alone[seed]))
        forwards[together] = shared.network.forwards
    assert max(forwards[5], forwards[12]) < forwards[1]  # two have a network each


@pytest.mark.usefixtures("slow_forwards")
def test_sequences_meet_in_a_forward_and_share_what_was_read() -> None:
    shared = TogetherModel(model_of("llama"))
    states = [shared.start([*COMMON, number]) for number in range(1, 5)]
    assert [state.reused_tokens for state in states] == [0, 70, 70, 70]
    before, rows = shared.network.forwards, shared.network.rows
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda state: [state.score(Draft.chain([number])) for number in range(1, 41)], states))
    assert shared.network.rows - rows == 160
    assert shared.network.forwards - before < 120  # beside busy programs fewer meet


def test_what_goes_wrong_with_one_is_told_to_it_and_the_others_go_on() -> None:
    shared = TogetherModel(model_of("llama"))
    state = shared.start(COMMON)
    with pytest.raises(ValueError, match="not tokens"):
        state.score(Draft.chain([VOCABULARY]))
    with pytest.raises(StoppedError):
        shared.start(COMMON[::-1], lambda: True)
    assert np.array_equal(state.score(Draft.chain([1])), model_of("llama").start(COMMON).score(Draft.chain([1])))
