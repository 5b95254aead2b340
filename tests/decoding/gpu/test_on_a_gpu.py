"""The real thing, where there is a GPU: kernels and replayed graphs against transformers, in float32."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.together import TogetherModel
from generation.decoding.selection.settings import LongContexts
from generation.types import Draft
from tests.decoding.gpu.test_selection import SETTINGS, without_twins
from tests.decoding.gpu.torch_networks import torch_model, torch_network
from tests.decoding.llama.networks import FAMILIES, NoTokenizer, ancestors, network_of, random_ids, random_tree, truth
from tests.decoding.llama.test_together import walk

pytestmark = [pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"), pytest.mark.timeout(400)]
close = partial(torch.testing.assert_close, atol=1e-3, rtol=1e-3)


def gpu_model(family: str, pages: int = 24) -> LlamaModel:
    return LlamaModel(torch_network(network_of(family), pages, torch.device("cuda")), NoTokenizer(), family, 1 << 20)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_trees_and_commits_agree_with_transformers(family: str) -> None:
    model = gpu_model(family)
    for seed in range(4):
        source = random.Random(seed)
        state = model.start(random_ids(source, 270))
        for size in (1, 5, 1, 5, 1, 5, 12, 12, 12):  # from the second time on they are replayed
            draft = random_tree(source, size)
            logits = state.score(draft)
            for node in range(size):
                tail = [draft.token_ids[step] for step in ancestors(draft, node)]
                close(logits[node], truth(family, [*state.token_ids, *tail])[-1])
            state.commit(ancestors(draft, source.randrange(size)))
        state.close()
    assert model.network._forwards.graphs > 2  # type: ignore[attr-defined]


def test_several_sequences_together_say_what_each_says_alone() -> None:
    alone = [walk(torch_model("qwen3"), seed) for seed in range(8)]
    shared = TogetherModel(gpu_model("qwen3", pages=80))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(partial(walk, shared), range(8)))
    for seed in range(8):
        for one, other in zip(found[seed], alone[seed], strict=True):
            close(one, other)


def test_a_long_sequence_sees_what_it_sees_on_the_cpu() -> None:
    network = without_twins("llama")
    ids = random.Random(1).sample(range(400), 320)
    long = LongContexts(64, 2000, SETTINGS)
    models = [
        LlamaModel(torch_network(network, device=torch.device(device)), NoTokenizer(), device, long=long)
        for device in ("cpu", "cuda")
    ]
    states = [model.start(ids[:296]) for model in models]
    for token_id in ids[296:]:
        close(*(state.next_logits for state in states))
        for state in states:
            state.score(Draft.chain([token_id]))
            state.commit([0])
