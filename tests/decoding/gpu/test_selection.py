"""Long sequences on the GPU path see a chosen list of themselves, in float32 on the CPU."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from generation.decoding.gpu.long_rows import LongRows
from generation.decoding.gpu.reference import rotated
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.together import TogetherModel
from generation.decoding.selection.reference import block_votes
from generation.decoding.selection.scorer import SelectingScorer
from generation.decoding.selection.settings import BLOCK, LongContexts, SelectionSettings
from generation.decoding.sequence import SequenceState
from generation.errors import StoppedError
from generation.interfaces import LanguageModel
from generation.types import Draft
from tests.decoding.gpu.torch_networks import torch_network
from tests.decoding.llama.networks import FAMILIES, SHAPE, NoTokenizer, network_of, random_ids

if TYPE_CHECKING:
    from generation.interfaces import Logits

SETTINGS = SelectionSettings(sink=16, chosen=32, window=16, chunk=32, step=8)
close = partial(torch.testing.assert_close, atol=1e-3, rtol=1e-3)


def model_of(network: Any, settings: SelectionSettings = SETTINGS) -> LlamaModel:
    return LlamaModel(torch_network(network), NoTokenizer(), "tiny", long=LongContexts(64, 2000, settings))


def scorer_of(state: SequenceState) -> SelectingScorer:
    scorer = state._scorer
    assert isinstance(scorer, SelectingScorer)
    return scorer


def without_twins(family: str) -> Any:
    """A network with so many tokens that none comes twice: which of two equal rows is chosen is chance."""
    config, kind, extra = FAMILIES[family]
    torch.manual_seed(2)
    return kind(config(**{**SHAPE, **extra, "vocab_size": 400})).eval()


@pytest.mark.parametrize("family", ["llama", "llama3", "qwen3"])
def test_it_chooses_what_the_reference_chooses(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(without_twins(family))
    rotary, shape, compared = model.network._rotary, model.network.shape, set()  # type: ignore[attr-defined]
    plain = LongRows.choose

    def choose(rows: LongRows, layer: int, queries: torch.Tensor) -> None:
        plain(rows, layer, queries)
        assert rows._front is not None
        voters = queries if len(queries) <= SETTINGS.step else queries[-1:]
        last = rows.list.length + len(queries)
        turned = rotated(voters, rotary.backwards[:, last - len(voters) : last])
        places = rows.store.slots_at(np.arange(SETTINGS.sink, rows._start))
        worth = block_votes(turned, model.network.pool.keys[layer, places])  # type: ignore[attr-defined]
        found = rows._front[layer, SETTINGS.sink :] - SETTINGS.sink
        close(
            worth[found[::BLOCK] // BLOCK].sort().values,
            torch.topk(worth, SETTINGS.chosen // BLOCK).values.sort().values,
        )
        assert (found.diff() > 0).all() and found[0] % BLOCK == 0
        assert rows._front[layer, : SETTINGS.sink].tolist() == list(range(SETTINGS.sink))
        compared.add((layer, len(queries)))

    monkeypatch.setattr(LongRows, "choose", choose)
    state = model.start(random.Random(1).sample(range(400), 32 * 9 + 8))
    assert compared == {(layer, rows) for layer in range(shape.layers) for rows in (32, 8)}
    for token_id in range(9):
        state.score(Draft.chain([token_id]))
        state.commit([0])
    assert {rows for _, rows in compared} == {32, 8, 1}


def test_one_layer_computes_what_transformers_says_of_the_list() -> None:
    """In one layer a key depends on its own token only, so the list is a short text, at the positions of a short text."""
    torch.manual_seed(3)
    network = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "num_hidden_layers": 1})).eval()
    ids = random_ids(random.Random(1), 500)
    state = model_of(network).start(ids)
    for token_id in random_ids(random.Random(2), 40):
        rows = scorer_of(state).rows
        assert rows._front is not None
        seen = [
            *(list(state.token_ids)[slot] for slot in rows._front[0].tolist()),
            *list(state.token_ids)[rows._start :],
        ]
        state.score(Draft.chain([token_id]))
        state.commit([0])
        with torch.inference_mode():
            expected = network(input_ids=torch.tensor([[*seen, token_id]])).logits[0, -1]
        np.testing.assert_allclose(state.next_logits, expected, atol=2e-4, rtol=2e-4)


def test_the_selection_cache_keeps_similar_choices() -> None:
    ids = random_ids(random.Random(4), 200)
    for similar, kept in ((2.0, False), (-1.0, True)):
        state = model_of(network_of("llama"), replace(SETTINGS, similar=similar)).start(ids)
        for token_id in range(9):
            state.score(Draft.chain([token_id]))
            state.commit([0])
        assert bool(scorer_of(state).rows.kept_choices) is kept


def test_a_prompt_that_is_stopped_can_be_read_later() -> None:
    network, ids = network_of("llama"), random_ids(random.Random(8), 300)
    model, asked = model_of(network), iter([False] * 5 + [True] * 99)
    with pytest.raises(StoppedError):
        model.start(ids, lambda: next(asked))
    state = model.start(ids)
    assert state.reused_tokens > 0
    close(state.next_logits, model_of(network).start(ids).next_logits)


@pytest.mark.parametrize("length", [65, 231])
def test_drafts_change_nothing(length: int) -> None:
    """Right drafts and wrong ones, as long as they may be, against one token at a time."""
    network, source = without_twins("llama"), random.Random(length)
    ids = source.sample(range(400), length + 60)
    state, plain = model_of(network).start(ids[:length]), model_of(network).start(ids[:length])
    while len(state.token_ids) < len(ids):
        right = ids[len(state.token_ids) :][: source.randrange(1, 1 + state.draft_room_tokens)]
        wrong = random_ids(source, state.draft_room_tokens - len(right))
        logits = state.score(Draft.chain([*right, *wrong]))
        for row, token_id in zip(logits, right, strict=False):
            plain.score(Draft.chain([token_id]))
            plain.commit([0])
            close(row, plain.next_logits)
        state.commit(range(len(right)))


def test_reuse_changes_nothing() -> None:
    ids = random_ids(random.Random(6), 400)
    model = model_of(network_of("qwen2"))
    model.start(ids[:290]).close()
    reused = []
    for prompt in (ids[:130], [*ids[:110], 7, 7, 7, *ids[110:260]], ids[:300]):
        state = model.start(prompt)
        reused.append(state.reused_tokens)
        torch.testing.assert_close(
            state.next_logits, model_of(network_of("qwen2")).start(prompt).next_logits, atol=1e-4, rtol=1e-4
        )
        state.close()
    assert reused == [128, 96, 96]


def test_several_sequences_together_choose_what_each_chooses_alone() -> None:
    network = without_twins("llama")
    texts = [random.Random(length).sample(range(400), length + 40) for length in (40, 66, 231, 300)]

    def walk(model: LanguageModel, ids: list[int]) -> list[Logits]:
        state = model.start(ids[:-40])
        seen = [state.next_logits]
        for token_id in ids[-40:]:
            state.score(Draft.chain([token_id]))
            state.commit([0])
            seen.append(state.next_logits)
        state.close()
        return seen

    with ThreadPoolExecutor(len(texts)) as threads:
        found = list(threads.map(partial(walk, TogetherModel(model_of(network))), texts))
    for ids, rows in zip(texts, found, strict=True):
        for row, expected in zip(rows, walk(model_of(network), ids), strict=True):
            close(row, expected)


@pytest.mark.parametrize("shared", [False, True])
def test_a_context_longer_than_the_model_was_trained_for(shared: bool) -> None:
    model = model_of(network_of("llama"))
    state = (TogetherModel(model) if shared else model).start(random_ids(random.Random(0), 1500))  # trained for 640
    assert np.isfinite(state.next_logits).all()
    assert state.room_tokens == 500
