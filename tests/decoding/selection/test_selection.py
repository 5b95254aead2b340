"""Long sequences see a chosen part of themselves: what is chosen, what that computes; drafts and reuse change nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from generation.config import Selection
from generation.decoding.llama.model import LlamaModel, Network
from generation.decoding.llama.packing import pack
from generation.decoding.llama.shape import read_shape
from generation.decoding.loading import select_from
from generation.decoding.selection.reference import LongContexts, SelectionSettings, choose, votes
from generation.decoding.selection.scorer import SelectingScorer
from generation.decoding.sequence import SequenceState
from generation.errors import CapacityError, StoppedError
from generation.types import Draft
from tests.decoding.llama.networks import SHAPE, NoTokenizer, kernels, network_of, random_ids

SETTINGS = SelectionSettings(sink=16, chosen=24, window=16, chunk=32, step=8)
both_types = pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])


def model_of(
    network: object, settings: SelectionSettings = SETTINGS, int8: bool = False, select: int | None = 56
) -> LlamaModel:
    shape = read_shape(network.config.to_dict())  # type: ignore[attr-defined]
    assert shape is not None
    return LlamaModel(
        Network(pack(network, shape, int8=int8), kernels(), 1), NoTokenizer(), "tiny",
        long=LongContexts(select, 2000, settings),
    )  # fmt: skip


def scorer_of(state: SequenceState) -> SelectingScorer:
    scorer = state._scorer
    assert isinstance(scorer, SelectingScorer)
    return scorer


def stored_keys(scorer: SelectingScorer, layer: int) -> torch.Tensor:
    """(tokens, key heads, head size) as the kernels keep them."""
    blocks = torch.from_numpy(scorer.rows.store._keys[layer])
    heads, count, size, lanes = blocks.shape
    return blocks.permute(1, 3, 0, 2).reshape(count * lanes, heads, size)[: scorer.rows.store.length]


@pytest.mark.parametrize("family", ["llama", "qwen3", "qwen2"])
def test_the_kernel_chooses_what_the_reference_chooses(family: str) -> None:
    network = network_of(family)
    for seed in range(3):
        scorer = scorer_of(model_of(network).start(random_ids(random.Random(seed), 32 * 9 + 8)))
        rows, shape = scorer.rows, read_shape(network.config.to_dict())
        assert shape is not None
        assert rows._front is not None
        rows.renew(scorer._last_queries, anew=True)
        for layer in range(shape.layers):
            queries = scorer._last_queries[layer].view(shape.heads, shape.head_size)
            candidates = stored_keys(scorer, layer)[SETTINGS.sink : rows._start]
            expected = choose(queries, candidates, SETTINGS.chosen)
            found = torch.from_numpy(rows._front[layer, SETTINGS.sink :]).long() - SETTINGS.sink
            worth = votes(queries, candidates)  # a token that comes twice has the same key twice: a tie
            torch.testing.assert_close(worth[found].sort().values, worth[expected].sort().values, atol=1e-6, rtol=1e-4)
            assert (found.diff() > 0).all()
            assert rows._front[layer, : SETTINGS.sink].tolist() == list(range(SETTINGS.sink))


def test_one_layer_computes_what_transformers_says_of_the_list() -> None:
    """In one layer a key depends on its own token only, so the list is a short text, at the positions of a short text."""
    torch.manual_seed(3)
    network = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "num_hidden_layers": 1})).eval()
    ids = random_ids(random.Random(1), 500)
    state = model_of(network).start(ids)
    for token_id in random_ids(random.Random(2), 40):
        rows = scorer_of(state).rows
        assert rows._front is not None
        seen = [*(list(state.token_ids)[slot] for slot in rows._front[0]), *list(state.token_ids)[rows._start :]]
        state.score(Draft.chain([token_id]))
        state.commit([0])
        with torch.inference_mode():
            expected = network(input_ids=torch.tensor([[*seen, token_id]])).logits[0, -1]
        torch.testing.assert_close(state.next_logits, expected, atol=2e-4, rtol=2e-4)


def test_a_short_prompt_sees_everything() -> None:
    network, ids = network_of("llama"), random_ids(random.Random(0), 300)
    wide = replace(SETTINGS, chosen=1000)
    everything = model_of(network, wide).start(ids).next_logits
    torch.testing.assert_close(everything, model_of(network, select=None).start(ids).next_logits, atol=1e-4, rtol=1e-4)
    assert not torch.equal(
        model_of(network).start(ids).next_logits, model_of(network, select=None).start(ids).next_logits
    )


def greedy(model: LlamaModel, ids: list[int], count: int, drafts: random.Random | None) -> list[int]:
    """Written tokens; drafts are the true text, random, or both, and never longer than the state allows."""
    state = model.start(ids)
    truth = greedy(model, ids, count, None) if drafts else []
    written = list[int]()
    while len(written) < count:
        chain = [int(state.next_logits.argmax())]
        if drafts:
            right = truth[len(written) + 1 :][: drafts.randrange(17)]
            chain = (chain + right + random_ids(drafts, 3))[: min(17, state.draft_room_tokens)]
        following = state.score(Draft.chain(chain)).argmax(-1).tolist()
        accepted = 1
        while accepted < len(chain) and chain[accepted] == following[accepted - 1]:
            accepted += 1
        state.commit(range(accepted))
        written += chain[:accepted]
    state.close()
    return written[:count]


@both_types
@pytest.mark.parametrize("similar", [0.9, 2.0, -1.0], ids=["as set", "chosen every time", "kept between chunks"])
def test_drafts_change_no_text(int8: bool, similar: float) -> None:
    model = model_of(network_of("llama"), replace(SETTINGS, similar=similar), int8)
    for length in (57, 150, 231):
        ids = random_ids(random.Random(length), length)
        plain = greedy(model, ids, 70, None)
        for seed in range(3):
            assert greedy(model, ids, 70, random.Random(seed)) == plain


@both_types
def test_the_selection_cache_keeps_similar_choices(int8: bool) -> None:
    ids = random_ids(random.Random(4), 200)
    for similar, kept in ((2.0, False), (-1.0, True)):
        rows = scorer_of(model_of(network_of("llama"), replace(SETTINGS, similar=similar), int8).start(ids)).rows
        assert bool(rows.kept_choices) is kept


@both_types
def test_reuse_changes_nothing(int8: bool) -> None:
    network = network_of("qwen2")
    ids = random_ids(random.Random(6), 400)
    model = model_of(network, int8=int8)
    prompts = [ids[:130], [*ids[:110], 7, 7, 7, *ids[110:260]], ids[:120] + ids[300:], ids[:300], ids[:60], ids[5:]]
    model.start(ids[:290]).close()
    reused = []
    for prompt in prompts:
        state = model.start(prompt)
        reused.append(state.reused_tokens)
        assert torch.equal(state.next_logits, model_of(network, int8=int8).start(prompt).next_logits)
        state.close()
    assert reused == [128, 96, 96, 96, 32, 0]
    model.start(ids[:290]).close()
    again = model.start(ids)
    assert again.reused_tokens == 288
    assert torch.equal(again.next_logits, model_of(network, int8=int8).start(ids).next_logits)


def test_a_prompt_that_is_stopped_can_be_read_later() -> None:
    network, ids = network_of("llama"), random_ids(random.Random(8), 300)
    model, asked = model_of(network), iter([False] * 11 + [True] * 99)
    with pytest.raises(StoppedError):
        model.start(ids, lambda: next(asked))
    state = model.start(ids)
    assert state.reused_tokens > 0
    assert torch.equal(state.next_logits, model_of(network).start(ids).next_logits)


def test_a_context_longer_than_the_model_was_trained_for() -> None:
    model = model_of(network_of("llama"))
    ids = random_ids(random.Random(0), 1900)  # trained for 640
    state = model.start(ids)
    assert state.next_logits.isfinite().all()
    assert state.room_tokens == 100
    with pytest.raises(CapacityError, match="2001 tokens and tiny holds 2000"):
        model.start([*ids, *ids[:101]])


def test_when_something_is_chosen() -> None:
    shape = read_shape({**network_of("llama").config.to_dict(), "max_position_embeddings": 8192})
    assert shape is not None
    assert [select_from(shape, one, 32768) for one in Selection] == [7680, 2688, None]
    assert [select_from(shape, one) for one in Selection] == [None, 2688, None]
