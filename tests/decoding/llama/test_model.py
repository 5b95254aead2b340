"""The accelerated core against full forwards of transformers, and against itself at every width."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.native import Build
from generation.decoding.sequence import SequenceState
from generation.errors import CapacityError
from generation.types import Draft
from tests.decoding.llama.networks import (
    FAMILIES,
    VOCABULARY,
    ancestors,
    model_of,
    network_of,
    packed_model,
    random_ids,
    random_tree,
    truth,
)

if TYPE_CHECKING:
    from generation.interfaces import Logits

every_family = pytest.mark.parametrize("family", sorted(FAMILIES))
every_build = pytest.mark.parametrize("build", get_args(Build))
both_types = pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])


def assert_scores_are_right(family: str, state: SequenceState, draft: Draft) -> None:
    logits = state.score(draft)
    for node in range(len(draft)):
        tail = [draft.token_ids[step] for step in ancestors(draft, node)]
        expected = truth(family, [*state.token_ids, *tail])[-1]
        np.testing.assert_allclose(logits[node], expected, atol=1e-4, rtol=1e-4)


@every_family
@every_build
def test_trees_and_commits_agree_with_transformers(family: str, build: Build) -> None:
    for seed in range(2):
        source = random.Random(seed)
        state = model_of(family, build=build).start(random_ids(source, 21))
        for _ in range(6):
            draft = random_tree(source, source.randrange(1, 12))
            assert_scores_are_right(family, state, draft)
            state.commit(ancestors(draft, source.randrange(-1, len(draft))))
            expected = truth(family, list(state.token_ids))[-1]
            np.testing.assert_allclose(state.next_logits, expected, atol=1e-4, rtol=1e-4)


@every_family
def test_a_prompt_of_several_chunks(family: str) -> None:
    prompt = random_ids(random.Random(0), 530)
    state = model_of(family).start(prompt)
    np.testing.assert_allclose(state.next_logits, truth(family, prompt)[-1], atol=2e-4, rtol=2e-4)
    assert_scores_are_right(family, state, random_tree(random.Random(1), 6))


@every_build
@every_family
def test_int8_stays_close_to_float32(family: str, build: Build) -> None:
    prompt = random_ids(random.Random(0), 150)
    exact, rounded = truth(family, prompt)[-1], model_of(family, int8=True, build=build).start(prompt).next_logits
    assert np.corrcoef(np.stack([exact, rounded]))[0, 1] > 0.995


@every_build
def test_keys_that_lie_along_all_queries_overflow_nothing(build: Build) -> None:
    """A sum of products of integers is as large as it can be where a key and a query have one direction."""
    network = deepcopy(network_of("qwen2"))
    for layer in network.model.layers:
        torch.nn.init.constant_(layer.self_attn.q_proj.bias, 3.0)
        torch.nn.init.constant_(layer.self_attn.k_proj.bias, 3.0)
    prompt = random_ids(random.Random(0), 150)
    with torch.inference_mode():
        exact = network(input_ids=torch.tensor([prompt])).logits[0, -1].numpy()
    rounded = packed_model(network, int8=True, build=build).start(prompt).next_logits
    assert np.corrcoef(np.stack([exact, rounded]))[0, 1] > 0.995


@both_types
@every_family
def test_all_builds_of_the_kernels_agree(family: str, int8: bool) -> None:
    prompt = random_ids(random.Random(0), 40)
    rows = [model_of(family, int8=int8, build=build).start(prompt).next_logits for build in get_args(Build)]
    if int8:  # rows are rounded in a way of their own by each
        assert np.corrcoef(np.stack(rows)).min() > 0.998
    else:
        for other in rows[1:]:
            np.testing.assert_allclose(rows[0], other, atol=1e-4, rtol=1e-4)


def stepwise(model: LlamaModel, token_ids: list[int]) -> Logits:
    """Logits after each token, one at a time."""
    state = model.start(token_ids[:1])
    rows = [state.next_logits]
    for token_id in token_ids[1:]:
        state.score(Draft.chain([token_id]))
        state.commit([0])
        rows.append(state.next_logits)
    return np.stack(rows)


@both_types
@every_build
@every_family
def test_a_row_does_not_depend_on_the_rows_beside_it(family: str, build: Build, int8: bool) -> None:
    """Bit by bit: read as a prompt, one by one, in chains of every width, and as a path of a tree among others."""
    model, source = model_of(family, build=build, int8=int8), random.Random(3)
    token_ids = random_ids(source, 150)
    rows = stepwise(model, token_ids)
    for start in (1, 2, 15, 16, 17, 131, 150):
        assert np.array_equal(model.start(token_ids[:start]).next_logits, rows[start - 1])
    for width in (*range(1, 18), 19, 24, 49):  # more than 16 rows are taken in another way
        state = model.start(token_ids[:100])
        assert np.array_equal(state.score(Draft.chain(token_ids[100 : 100 + width])), rows[100 : 100 + width])
    assert_tree_rows_are_the_chain_rows(model, source, token_ids, rows)


def assert_tree_rows_are_the_chain_rows(
    model: LlamaModel, source: random.Random, token_ids: list[int], rows: Logits
) -> None:
    state, position = model.start(token_ids[:100]), 100
    while position < 140:
        length = source.randrange(1, 6)
        draft, path = hidden_path(source, token_ids[position : position + length])
        assert np.array_equal(state.score(draft)[path], rows[position : position + length])
        state.commit(path)
        position += length
        assert np.array_equal(state.next_logits, rows[position - 1])


def hidden_path(source: random.Random, token_ids: list[int]) -> tuple[Draft, list[int]]:
    """A random tree that holds the given tokens as a path, and where."""
    tokens, parents, path = list[int](), list[int](), list[int]()
    for token_id in token_ids:
        for _ in range(source.randrange(3)):
            parents.append(source.randrange(-1, len(tokens)))
            tokens.append(source.randrange(VOCABULARY))
        parents.append(path[-1] if path else -1)
        path.append(len(tokens))
        tokens.append(token_id)
    return Draft(tuple(tokens), tuple(parents)), path


@both_types
def test_threads_change_nothing(int8: bool) -> None:
    token_ids = random_ids(random.Random(5), 300)
    for count in (2, 3):
        alone, together = model_of("qwen2", int8=int8), model_of("qwen2", int8=int8, threads=count)
        assert np.array_equal(alone.start(token_ids).next_logits, together.start(token_ids).next_logits)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_any_tree_agrees_with_transformers(seed: int) -> None:
    source = random.Random(seed)
    state = model_of("llama").start(random_ids(source, source.randrange(1, 40)))
    assert_scores_are_right("llama", state, random_tree(source, source.randrange(1, 17)))


def test_two_sequences_do_not_disturb_each_other() -> None:
    model = model_of("llama")
    first, second = model.start([1, 2, 3]), model.start([9, 8])
    first.score(Draft((5, 6), (-1, -1)))
    second.score(Draft((7,), (-1,)))
    first.commit([1])
    assert_scores_are_right("llama", first, Draft((4, 4), (-1, 0)))
    assert_scores_are_right("llama", second, Draft((4, 4), (-1, 0)))


def test_what_does_not_fit_is_refused() -> None:
    model = model_of("llama")
    assert model.context_tokens == 640
    with pytest.raises(CapacityError, match="641 tokens and llama holds 640"):
        model.start([1] * 641)
    with pytest.raises(ValueError, match="at least one token"):
        model.start([])
    state = model.start([1] * 638)
    state.score(Draft((1, 2, 3, 4), (-1, -1, 0, 1)))  # four nodes, but only two deep
    with pytest.raises(CapacityError, match="depth 3"):
        state.score(Draft.chain([1, 2, 3]))
    assert state.score(Draft((), ())).shape == (0, VOCABULARY)
    with pytest.raises(ValueError, match="at least one node"):
        model.network.forward(model.network.new_cache(), Draft((), ()), 0)


@pytest.mark.parametrize("token_id", [-1, VOCABULARY])
def test_only_tokens_of_the_vocabulary_are_read(token_id: int) -> None:
    with pytest.raises(ValueError, match="not tokens of a vocabulary of 67"):
        model_of("llama").start([1, token_id])
