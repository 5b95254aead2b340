"""The same text whatever is drafted, however wide, with and without reuse: greedy and, seed by seed, sampled.

A tiny random network over bytes writes nonsense that looks enough like code for names, dots and lines to come up; a tool
that knows a few names is asked about them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from generation.config import PRESETS, SamplingConfig
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.network import Network
from generation.decoding.llama.packing import pack_network
from generation.decoding.llama.shape import read_shape
from generation.decoding.loop.asking import Asker
from generation.decoding.loop.generator import Generator
from generation.decoding.loop.run import Run
from generation.decoding.tokens.logits import softmax, without
from generation.decoding.tokens.sampling import Sampler
from generation.interfaces import Drafter
from generation.types import Draft, Finished, GenerationRequest, Suggestion, ToolAnswer, ToolCalled, ToolQuery
from tests.decoding.drafts import FREE, Garbage, lookup
from tests.decoding.llama.networks import SHAPE, kernels
from tests.decoding.scripted import MARK, SIZE, ByteTokenizer

PROMPT = (
    "def total(self, price, size):\n    area = self.size\n    if price:\n        self.price = size\n    return self.area\n\n"
    * 2
)
WRITTEN = b"abeils .()=\n"


@cache
def bytes_network() -> LlamaForCausalLM:
    torch.manual_seed(8)
    network = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "vocab_size": SIZE, "max_position_embeddings": 2048})).eval()
    barred = [token_id for token_id in range(SIZE) if token_id not in set(WRITTEN)]
    with torch.no_grad():
        network.lm_head.weight[barred] = 0.0
        network.lm_head.weight[MARK] = network.lm_head.weight[ord("a")]  # often likely enough to be weighed
    return network


@cache
def model(int8: bool, prefix_bytes: int = 128 << 20) -> LlamaModel:
    network = bytes_network()
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    return LlamaModel(
        Network(pack_network(network, shape, int8=int8), kernels(), 1), ByteTokenizer(), "bytes", prefix_bytes
    )


class FewNames:
    """Offers the same names everywhere."""

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        return ToolAnswer(tuple(Suggestion(name) for name in ("a", "able", "ails", "b", "label", "s")), trusted=True)

    def prefetch(self, query: ToolQuery) -> None: ...

    def close(self) -> None: ...


def written(
    model: LlamaModel, drafter: Drafter | None, preset: str, temperature: float, width: int, seed: int
) -> tuple[str, list[tuple[int, str | None]]]:
    config = replace(PRESETS[preset], draft_tokens=width)
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ", max_tokens=48, seed=seed)
    generator = Generator(model, FewNames(), drafter, config, SamplingConfig(temperature))
    events = list(generator.stream(request))
    assert isinstance(events[-1], Finished)
    shown = "".join(event.text for event in events if hasattr(event, "text") and event is not events[-1])
    return shown, [
        (event.offset, event.chosen and event.chosen.name) for event in events if isinstance(event, ToolCalled)
    ]


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("preset", ["off", "dot", "mark"])
def test_no_draft_width_or_reuse_changes_greedy_text(int8: bool, preset: str) -> None:
    plain = written(model(int8, prefix_bytes=0), None, preset, 0.0, 0, 0)
    assert written(model(int8), None, preset, 0.0, 0, 0) == plain
    for width in range(1, 17):
        for drafter in (lookup(FREE, list(PROMPT.encode())), Garbage(WRITTEN)):
            for prefix_bytes in (0, 128 << 20) if width in {1, 16} else (128 << 20,):
                assert written(model(int8, prefix_bytes), drafter, preset, 0.0, width, 0) == plain
    assert len(plain[0]) > 12
    assert bool(plain[1]) == (preset != "off")


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("preset", ["off", "dot", "mark"])
def test_no_draft_width_or_reuse_changes_a_sample(int8: bool, preset: str) -> None:
    for seed in range(4):
        plain = written(model(int8, prefix_bytes=0), None, preset, 1.0, 0, seed)
        for width in (1, 2, 5, 16):
            for drafter in (lookup(FREE, list(PROMPT.encode())), Garbage(WRITTEN)):
                assert written(model(int8), drafter, preset, 1.0, width, seed) == plain


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_samples_have_the_distribution_of_the_logits(top_p: float) -> None:
    """Chi-square over 4,000 tokens; with drafts the tokens are the same, as the test above shows."""
    logits = model(int8=True).start(list(PROMPT.encode())).next_logits
    every = softmax(logits / np.float32(1.5))
    order = np.argsort(-every, kind="stable")
    kept = order[: int((every[order].cumsum() < top_p).sum()) + 1]
    expected = np.zeros(SIZE)
    expected[kept] = every[kept] / every[kept].sum()
    sampler = Sampler(SamplingConfig(temperature=1.5, top_p=top_p), seed=1)
    counts = np.bincount([sampler.choose(logits) for _ in range(4000)], minlength=SIZE)
    assert counts[expected == 0].sum() == 0
    common = expected > 0.002
    statistic = float(((counts - 4000 * expected)[common] ** 2 / (4000 * expected[common])).sum())
    freedom = int(common.sum()) - 1
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_pairs_of_tokens_that_are_drafted_have_the_distribution_of_the_model() -> None:
    """Chi-square over 1,000 samples of two tokens, the second verified as a draft, against all pairs computed."""
    prompt = list(PROMPT.encode())
    state = model(int8=True).start(prompt)
    places = {token: place for place, token in enumerate(WRITTEN)}
    bins = np.array([places.get(token, len(WRITTEN)) for token in range(SIZE)])
    size = len(WRITTEN) + 1
    mark = np.arange(SIZE) == MARK
    first = softmax(without(state.next_logits, mark))
    every = [softmax(without(row, mark)) for row in state.score(Draft(tuple(range(SIZE)), (-1,) * SIZE))]
    pairs = (first[:, None] * np.stack(every)).flatten()
    expected = np.bincount((bins[:, None] * size + bins).flatten(), pairs, size * size) * 1000
    counts, accepted = np.zeros(size * size), 0
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ", max_tokens=9)
    generator = Generator(model(int8=True), None, Garbage(WRITTEN), PRESETS["off"], SamplingConfig(temperature=1.0))
    for seed in range(1000):
        state = model(int8=True).start(prompt)
        run = Run(generator, replace(request, seed=seed), state, b"", Asker(None))
        run.block.has_statement = True  # nothing bars a token, and drafts are made
        one = run._choose()
        run.write_drafted(one)
        two = [*state.token_ids[len(prompt) + 1 :], run.next_id or 0][0]
        accepted += len(state.token_ids) > len(prompt) + 1
        if run.next_id is None and len(state.token_ids) == len(prompt) + 1:
            two = run._choose()
        counts[int(bins[one]) * size + int(bins[two])] += 1
        state.close()
    assert accepted > 5
    common = expected > 4
    statistic = float(((counts - expected)[common] ** 2 / expected[common]).sum())
    freedom = int(common.sum())
    assert freedom > 15
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5
