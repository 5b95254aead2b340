"""The GPU path against full forwards of transformers and against our own kernels, on the CPU in float32."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.decoding.llama.together import TogetherModel
from generation.decoding.sequence import SequenceState
from generation.errors import CapacityError, StoppedError
from generation.types import Draft
from tests.decoding.gpu.torch_networks import READ_TOKENS, torch_model, torch_network
from tests.decoding.llama.networks import (
    FAMILIES,
    VOCABULARY,
    ancestors,
    model_of,
    network_of,
    random_ids,
    random_tree,
    truth,
)
from tests.decoding.llama.test_together import walk

every_family = pytest.mark.parametrize("family", sorted(FAMILIES))
close = partial(np.testing.assert_allclose, atol=2e-4, rtol=2e-4)


def assert_scores_are_right(family: str, state: SequenceState, draft: Draft) -> None:
    logits = state.score(draft)
    for node in range(len(draft)):
        tail = [draft.token_ids[step] for step in ancestors(draft, node)]
        close(logits[node], truth(family, [*state.token_ids, *tail])[-1])


@every_family
def test_trees_and_commits_agree_with_transformers(family: str) -> None:
    for seed in range(2):
        source = random.Random(seed)
        state = torch_model(family).start(random_ids(source, 21))
        for _ in range(6):
            draft = random_tree(source, source.randrange(1, 12))
            assert_scores_are_right(family, state, draft)
            state.commit(ancestors(draft, source.randrange(-1, len(draft))))
            close(state.next_logits, truth(family, list(state.token_ids))[-1])


@every_family
def test_it_agrees_with_our_own_kernels(family: str) -> None:
    source = random.Random(4)
    ids, draft = random_ids(source, 300), random_tree(source, 12)
    rows = [model.start(ids).score(draft) for model in (torch_model(family), model_of(family))]
    close(*rows)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_any_tree_agrees_with_transformers(seed: int) -> None:
    source = random.Random(seed)
    state = torch_model("llama").start(random_ids(source, source.randrange(1, 40)))
    assert_scores_are_right("llama", state, random_tree(source, source.randrange(1, 17)))


@pytest.mark.parametrize("length", [1, READ_TOKENS, READ_TOKENS + 1, 255, 256, 257, 530])
def test_a_prompt_of_several_chunks_and_pages(length: int) -> None:
    prompt = random_ids(random.Random(0), length)
    state = torch_model("qwen2").start(prompt)
    close(state.next_logits, truth("qwen2", prompt)[-1])
    assert_scores_are_right("qwen2", state, random_tree(random.Random(1), 6))


def test_every_width_says_the_same() -> None:
    ids = random_ids(random.Random(3), 150)
    rows = truth("qwen3", ids)
    for width in range(1, 18):
        state = torch_model("qwen3").start(ids[:100])
        close(state.score(Draft.chain(ids[100 : 100 + width])), rows[100 : 100 + width])


def test_nodes_that_were_scored_are_not_computed_again() -> None:
    """A path grows token by token, as a search does; what is known of the tree stays in its slots."""
    ids, tail = random_ids(random.Random(5), 40), random_ids(random.Random(6), 9)
    state, expected = torch_model("llama").start(ids), truth("llama", [*ids, *tail])[40:]
    for count in (1, 2, 3, 6, 9):
        close(state.score(Draft.chain(tail[:count])), expected[:count])
        assert state.remembered(tail) == count


def test_the_start_of_an_earlier_prompt_is_reused() -> None:
    model, source = torch_model("qwen2"), random.Random(1)
    prompt = random_ids(source, 300)
    reused = []
    for _ in range(8):
        state = model.start(prompt)
        reused.append(state.reused_tokens)
        close(state.next_logits, truth("qwen2", prompt)[-1])
        draft = Draft(tuple(random_ids(source, 4)), (-1, 0, -1, 2))
        assert_scores_are_right("qwen2", state, draft)
        state.commit([2, 3])
        state.close()
        cut = source.randrange(20, len(prompt))  # an edit somewhere, and text behind it
        prompt = [*prompt[:cut], *random_ids(source, source.randrange(1, 40))]
    assert reused[0] == 0
    assert min(reused[1:]) >= 20


@pytest.mark.parametrize("family", ["llama", "llama3", "qwen3"])
def test_several_sequences_together_say_what_each_says_alone(family: str) -> None:
    alone, forwards = [walk(torch_model(family), seed) for seed in range(8)], dict[int, int]()
    for together in (1, 2, 8):
        shared = TogetherModel(torch_model(family, pages=80))
        with ThreadPoolExecutor(together) as threads:
            found = list(threads.map(partial(walk, shared), range(8)))
        for seed in range(8):
            for one, other in zip(found[seed], alone[seed], strict=True):
                close(one, other)
        forwards[together] = shared.network.forwards
    assert max(forwards[2], forwards[8]) < forwards[1]


def test_all_pages_come_back() -> None:
    network = torch_network(network_of("llama"), pages=6)
    first, second = network.new_cache(), network.new_cache()
    network.forward(first, Draft.chain([1] * 300), 0)
    network.forward(second, Draft.chain([1] * 600), 1)
    with pytest.raises(CapacityError, match="1 more pages of 256 tokens do not fit: 0 of 5 are free"):
        network.forward(network.new_cache(), Draft.chain([1]), 1)
    del first
    network.forward(network.new_cache(), Draft.chain([1]), 1)
    del second
    assert network.pool.free_pages == 5


def test_ended_sequences_give_way() -> None:
    """Prompts that share nothing are read one behind the other in a pool that holds three of them."""
    model = torch_model("llama", pages=4, prefix_bytes=0)
    for seed in range(6):
        model.start(random_ids(random.Random(seed), 250)).close()
    model.start(random_ids(random.Random(9), 600))


def test_ended_sequences_of_several_threads_give_way() -> None:
    pool_bytes = torch_network(network_of("llama"), pages=9).pool.size_bytes
    shared = TogetherModel(torch_model("llama", pages=9, prefix_bytes=pool_bytes // 2))
    for seed in range(6):
        shared.start(random_ids(random.Random(seed), 300)).close()


def test_a_sequence_that_has_no_room_for_a_copy_does_without() -> None:
    TogetherModel(torch_model("llama", pages=3)).start(random_ids(random.Random(9), 300))


def test_a_sequence_that_gets_no_page_fails_alone() -> None:
    shared = TogetherModel(torch_model("llama", pages=4, prefix_bytes=0))
    states = [shared.start(random_ids(random.Random(seed), length)) for seed, length in ((1, 250), (2, 510))]
    expected = torch_model("llama").start(states[0].token_ids).score(Draft.chain([1]))
    with ThreadPoolExecutor(2) as threads:
        shared.network._last = 2  # they meet in a forward
        fits, grows = (
            threads.submit(state.score, Draft.chain([1] * rows)) for state, rows in zip(states, (1, 4), strict=True)
        )
        close(fits.result(), expected)
        with pytest.raises(CapacityError, match="1 more pages of 256 tokens do not fit: 0 of 3 are free"):
            grows.result()


def test_what_cannot_be_computed_is_refused() -> None:
    model = torch_model("llama")
    with pytest.raises(CapacityError, match="641 tokens and llama holds 640"):
        model.start([1] * 641)
    state = model.start([1] * 638)
    state.score(Draft((1, 2, 3, 4), (-1, -1, 0, 1)))  # four nodes, but only two deep
    with pytest.raises(CapacityError, match="depth 3"):
        state.score(Draft.chain([1, 2, 3]))
    with pytest.raises(ValueError, match="not tokens of a vocabulary of 67"):
        model.start([1, VOCABULARY])
    with pytest.raises(CapacityError, match="does not fit into"):
        model.network.forward(model.network.new_cache(), Draft((1,) * 4000, (-1,) * 4000), 1)


def test_a_prompt_that_is_stopped_can_be_read_later() -> None:
    model, ids = torch_model("llama"), random_ids(random.Random(8), 300)
    asked = iter([False, False, True])
    with pytest.raises(StoppedError):
        model.start(ids, lambda: next(asked))
    state = model.start(ids)
    assert state.reused_tokens == 2 * READ_TOKENS
    close(state.next_logits, truth("llama", ids)[-1])


def test_a_forward_is_timed_behind_any_number_of_tokens() -> None:
    forward = torch_network(network_of("llama")).blank_forward()
    assert forward(17, 1024).shape == (17, VOCABULARY)
    assert forward(1, 64).shape == (1, VOCABULARY)
