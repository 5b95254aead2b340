"""Long sequences on the GPU path see the same chosen part of themselves as on our own kernels, in float32 on the CPU."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from generation.decoding.llama.model import LlamaModel
from generation.decoding.selection.reference import LongContexts
from generation.types import Draft
from tests.decoding.gpu.torch_networks import torch_network
from tests.decoding.llama.networks import FAMILIES, SHAPE, NoTokenizer, network_of, random_ids
from tests.decoding.selection.test_selection import SETTINGS, scorer_of
from tests.decoding.selection.test_selection import model_of as kernels_model

close = partial(torch.testing.assert_close, atol=1e-3, rtol=1e-3)


def model_of(network: Any) -> LlamaModel:
    return LlamaModel(torch_network(network), NoTokenizer(), "tiny", long=LongContexts(56, 2000, SETTINGS))


def without_twins(family: str) -> Any:
    """A network with so many tokens that none comes twice: which of two equal rows is chosen is chance."""
    config, kind, extra = FAMILIES[family]
    torch.manual_seed(2)
    return kind(config(**{**SHAPE, **extra, "vocab_size": 400})).eval()


@pytest.mark.parametrize("family", ["llama", "llama3", "qwen3"])
@pytest.mark.parametrize("length", [57, 150, 296])
def test_it_agrees_with_our_own_kernels(family: str, length: int) -> None:
    network = without_twins(family)
    ids = random.Random(length).sample(range(400), length + 24)
    states = [model.start(ids[:length]) for model in (model_of(network), kernels_model(network))]
    for token_id in ids[length:]:
        close(*(state.next_logits for state in states))
        fronts = [scorer_of(state).rows._front for state in states]
        assert np.array_equal(*fronts) if fronts[0] is not None else fronts[1] is None and length < 60
        for state in states:
            state.score(Draft.chain([token_id]))
            state.commit([0])


@pytest.mark.parametrize("length", [57, 231])
def test_drafts_change_nothing(length: int) -> None:
    """Right drafts and wrong ones, as long as they may be, against our own kernels that take one token at a time."""
    network, source = without_twins("llama"), random.Random(length)
    ids = source.sample(range(400), length + 60)
    state, plain = model_of(network).start(ids[:length]), kernels_model(network).start(ids[:length])
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


def test_a_context_longer_than_the_model_was_trained_for() -> None:
    state = model_of(network_of("llama")).start(random_ids(random.Random(0), 1500))  # trained for 640
    assert state.next_logits.isfinite().all()
    assert state.room_tokens == 500
