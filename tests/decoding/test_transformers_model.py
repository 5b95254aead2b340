"""Scoring trees and committing paths, against full forwards of tiny random models of four families."""

from __future__ import annotations

import functools
import gc
import random
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from generation.decoding.sequence import SequenceState
from generation.decoding.through_transformers.kv_rows import KVRows
from generation.decoding.through_transformers.scoring import ChainScorer, RecomputeScorer, TreeScorer, fitting_scorer
from generation.decoding.through_transformers.transformers_model import TransformersModel
from generation.errors import CapacityError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

VOCABULARY = 64
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 640,
    "initializer_range": 0.3,  # large enough for attention to matter
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}


class NoTokenizer:
    """These tests are about ids."""

    token_bytes = (b"",) * VOCABULARY
    eos_ids = frozenset({0})
    bos_id = None
    mark_id = None

    def encode(self, text: str) -> list[int]:
        raise AssertionError(text)


def network_of(family: str) -> Any:
    torch.manual_seed(1)
    if family == "gpt2":
        gpt2 = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=640, initializer_range=0.3)
        return GPT2LMHeadModel(gpt2).eval()
    configs = {"llama": LlamaConfig, "qwen2": Qwen2Config, "starcoder2": Starcoder2Config}
    classes = {"llama": LlamaForCausalLM, "qwen2": Qwen2ForCausalLM, "starcoder2": Starcoder2ForCausalLM}
    extra = {"sliding_window": 600} if family == "starcoder2" else {}
    return classes[family](configs[family](**SHAPE, **extra)).eval()


NETWORKS = {family: network_of(family) for family in ("llama", "qwen2", "gpt2", "starcoder2")}
MODELS = {family: TransformersModel(network, NoTokenizer(), family) for family, network in NETWORKS.items()}
every_family = pytest.mark.parametrize("family", sorted(NETWORKS))


def truth(network: Any, token_ids: list[int]) -> Logits:
    with torch.inference_mode():
        return network(input_ids=torch.tensor([token_ids])).logits[0].numpy()


def ancestors(draft: Draft, node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(node)
        node = draft.parents[node]
    return path[::-1]


def random_tree(source: random.Random, size: int) -> Draft:
    parents = tuple(source.randrange(-1, node) for node in range(size))
    return Draft(tuple(source.randrange(VOCABULARY) for _ in range(size)), parents)


def assert_scores_are_right(network: Any, state: SequenceState, draft: Draft) -> None:
    logits = state.score(draft)
    for node in range(len(draft)):
        tail = [draft.token_ids[step] for step in ancestors(draft, node)]
        expected = truth(network, [*state.token_ids, *tail])[-1]
        np.testing.assert_allclose(logits[node], expected, atol=1e-4, rtol=1e-4)


def walk(network: Any, state: SequenceState, seed: int, rounds: int = 6) -> None:
    """Score random trees, commit random paths of them, compare everything with full forwards."""
    source = random.Random(seed)
    for _ in range(rounds):
        draft = random_tree(source, source.randrange(1, 9))
        assert_scores_are_right(network, state, draft)
        path = ancestors(draft, source.randrange(-1, len(draft)))
        before = list(state.token_ids)
        state.commit(path)
        assert list(state.token_ids) == before + [draft.token_ids[node] for node in path]
        expected = truth(network, list(state.token_ids))[-1]
        np.testing.assert_allclose(state.next_logits, expected, atol=1e-4, rtol=1e-4)


@every_family
def test_the_fast_way_is_found_for_common_families(family: str) -> None:
    assert isinstance(fitting_scorer(NETWORKS[family])(), TreeScorer)


@every_family
def test_trees_and_commits_agree_with_full_forwards(family: str) -> None:
    for seed in range(3):
        walk(NETWORKS[family], MODELS[family].start([3, 1, 4, 1, 5]), seed)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_any_tree_agrees_with_full_forwards(seed: int) -> None:
    walk(NETWORKS["llama"], MODELS["llama"].start([2, 7]), seed, rounds=3)


@pytest.mark.parametrize("kind", [ChainScorer, RecomputeScorer])
def test_the_slower_ways_are_right_too(kind: type[ChainScorer] | type[RecomputeScorer]) -> None:
    network = NETWORKS["llama"]
    for seed in range(3):
        walk(network, SequenceState(kind(network), [3, 1, 4], context_tokens=640), seed)


@every_family
def test_a_prompt_longer_than_a_chunk(family: str) -> None:
    source = random.Random(0)
    prompt = [source.randrange(VOCABULARY) for _ in range(530)]
    state = MODELS[family].start(prompt)
    np.testing.assert_allclose(state.next_logits, truth(NETWORKS[family], prompt)[-1], atol=1e-4, rtol=1e-4)
    assert_scores_are_right(NETWORKS[family], state, random_tree(source, 6))


class MaskBlindLlama(LlamaForCausalLM):
    """A model that drops 4-D masks, as some do."""

    @functools.wraps(LlamaForCausalLM.forward)
    def forward(self, *args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> Any:
        return super().forward(*args, attention_mask=None, **kwargs)


def test_a_model_that_ignores_masks_is_served_path_by_path() -> None:
    torch.manual_seed(1)
    blind = MaskBlindLlama(LlamaConfig(**SHAPE)).eval()
    model = TransformersModel(blind, NoTokenizer(), "blind")
    assert isinstance(fitting_scorer(blind)(), ChainScorer)
    walk(blind, model.start([3, 1, 4]), seed=0)


def test_a_model_without_a_kv_cache_is_recomputed() -> None:
    torch.manual_seed(1)
    mamba = MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, state_size=4, num_hidden_layers=2)
    ).eval()
    assert isinstance(fitting_scorer(mamba)(), RecomputeScorer)
    walk(mamba, TransformersModel(mamba, NoTokenizer(), "mamba").start([3, 1, 4]), seed=0, rounds=2)


def test_bfloat16_takes_the_fast_way_and_answers_in_float32() -> None:
    network = network_of("llama").to(torch.bfloat16)
    state = TransformersModel(network, NoTokenizer(), "half").start([3, 1, 4])
    assert isinstance(fitting_scorer(network)(), TreeScorer)
    assert state.next_logits.dtype == state.score(Draft((1, 2), (-1, -1))).dtype == np.float32


def test_a_sliding_window_bounds_the_context() -> None:
    assert MODELS["starcoder2"].context_tokens == 600
    assert MODELS["llama"].context_tokens == MODELS["gpt2"].context_tokens == 640


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CapacityError, match="641 tokens and llama holds 640"):
        MODELS["llama"].start([1] * 641)
    state = MODELS["llama"].start([1] * 638)
    assert state.room_tokens == 2
    state.score(Draft((1, 2, 3, 4), (-1, -1, 0, 1)))  # four nodes, but only two deep
    with pytest.raises(CapacityError, match="depth 3"):
        state.score(Draft.chain([1, 2, 3]))
    assert len(state.token_ids) == 638


def test_an_empty_draft_scores_and_commits_nothing() -> None:
    state = MODELS["llama"].start([1, 2])
    before = state.next_logits.copy()
    assert state.score(Draft((), ())).shape == (0, VOCABULARY)
    state.commit([])
    assert np.array_equal(state.next_logits, before)


@pytest.mark.parametrize("path", [[1], [0, 2], [0, 0], [3], [-1]])
def test_only_paths_of_the_draft_can_be_committed(path: list[int]) -> None:
    state = MODELS["llama"].start([1, 2])
    state.score(Draft((5, 6, 7), (-1, 0, -1)))
    with pytest.raises(ValueError, match="not a path"):
        state.commit(path)
    assert list(state.token_ids) == [1, 2]


def test_one_commit_follows_one_score() -> None:
    state = MODELS["llama"].start([1, 2])
    state.score(Draft((5,), (-1,)))
    state.commit([0])
    with pytest.raises(ValueError, match="not a path"):
        state.commit([0])


def test_what_could_not_be_scored_cannot_be_committed() -> None:
    state = MODELS["llama"].start([1, 2])
    state.score(Draft((5,), (-1,)))
    with pytest.raises(IndexError):
        state.score(Draft((VOCABULARY,), (-1,)))
    with pytest.raises(ValueError, match="not a path"):
        state.commit([0])
    assert list(state.token_ids) == [1, 2]


def test_a_draft_must_be_a_tree() -> None:
    with pytest.raises(ValueError, match="not a tree"):
        MODELS["llama"].start([1]).score(Draft((5, 6), (-1, 1)))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        MODELS["llama"].start([])


def test_closing_gives_the_rows_back() -> None:
    created: list[weakref.ref[KVRows]] = []

    class Watched(TreeScorer):
        def __init__(self, network: Any) -> None:
            super().__init__(network)
            created.append(weakref.ref(self._rows))

    state = SequenceState(Watched(NETWORKS["llama"]), [1, 2], context_tokens=640)
    state.score(Draft((5,), (-1,)))
    assert created[0]() is not None
    state.close()
    state.close()
    gc.collect()
    assert created[0]() is None
    with pytest.raises(ValueError, match="closed"):
        state.score(Draft((5,), (-1,)))


def test_two_sequences_do_not_disturb_each_other() -> None:
    network, model = NETWORKS["llama"], MODELS["llama"]
    first, second = model.start([1, 2, 3]), model.start([9, 8])
    first.score(Draft((5, 6), (-1, -1)))
    second.score(Draft((7,), (-1,)))
    first.commit([1])
    assert_scores_are_right(network, first, Draft((4, 4), (-1, 0)))
    assert_scores_are_right(network, second, Draft((4, 4), (-1, 0)))
