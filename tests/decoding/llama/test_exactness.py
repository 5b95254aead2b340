"""The same text whatever is drafted, however wide, with and without reuse: greedy and, seed by seed, sampled.

A tiny random network over bytes writes nonsense that looks enough like code for names, dots and lines to come up; a tool
that knows a few names is asked about them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from generation.config import PRESETS, SamplingConfig
from generation.decoding.drafting import LookupDrafter, NGramIndex
from generation.decoding.generator import Generator
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.packing import pack
from generation.decoding.llama.shape import read_shape
from generation.decoding.sampling import Sampler
from generation.interfaces import Drafter
from generation.types import Finished, GenerationRequest, Suggestion, ToolAnswer, ToolCalled, ToolQuery
from tests.decoding.llama.networks import SHAPE, kernels
from tests.decoding.scripted import SIZE, ByteTokenizer

PROMPT = (
    "def total(self, price, size):\n    area = self.size\n    if price:\n        self.price = size\n    return self.area\n\n"
    * 2
)
WRITTEN = b"abeils .()=\n"


@cache
def model(int8: bool, prefix_bytes: int = 128 << 20) -> LlamaModel:
    torch.manual_seed(5)
    network = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "vocab_size": SIZE, "max_position_embeddings": 2048})).eval()
    barred = [token_id for token_id in range(SIZE) if token_id not in set(WRITTEN)]
    with torch.no_grad():
        network.lm_head.weight[barred] = 0.0
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    return LlamaModel(pack(network, shape, int8=int8), kernels(), ByteTokenizer(), "bytes", 1, prefix_bytes)


class FewNames:
    """Offers the same names everywhere."""

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        return ToolAnswer(tuple(Suggestion(name) for name in ("a", "able", "ails", "b", "label", "s")), trusted=True)

    def prefetch(self, query: ToolQuery) -> None: ...

    def close(self) -> None: ...


class Garbage:
    def __init__(self) -> None:
        self.source = random.Random(0)

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        return [self.source.choice(WRITTEN) for _ in range(self.source.randrange(limit + 1))]


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
@pytest.mark.parametrize(("preset", "temperature"), [("off", 0.0), ("dot", 0.0), ("off", 1.0), ("dot", 1.0)])
def test_drafts_widths_and_reuse_change_no_text(int8: bool, preset: str, temperature: float) -> None:
    asked = characters = 0
    for seed in range(1 if temperature == 0 else 4):
        plain = written(model(int8, prefix_bytes=0), None, preset, temperature, 0, seed)
        characters += len(plain[0])
        asked += len(plain[1])
        drafters: list[Drafter | None] = [None, LookupDrafter([NGramIndex(list(PROMPT.encode()))]), Garbage()]
        for drafter in drafters:
            for width in (1, 2, 5, 16):
                assert written(model(int8), drafter, preset, temperature, width, seed) == plain
    assert (asked > 0) == (preset == "dot")
    assert characters > 12


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_samples_have_the_distribution_of_the_logits(top_p: float) -> None:
    """Chi-square over 4,000 tokens; with drafts the tokens are the same, as the test above shows."""
    logits = model(int8=True).start(list(PROMPT.encode())).next_logits
    expected = torch.softmax(logits / 1.5, -1)
    kept = expected.sort(descending=True).indices[
        : int((expected.sort(descending=True).values.cumsum(0) < top_p).sum()) + 1
    ]
    expected = torch.zeros(SIZE).index_copy(0, kept, expected[kept]) / expected[kept].sum()
    sampler = Sampler(SamplingConfig(temperature=1.5, top_p=top_p), seed=1)
    counts = torch.bincount(torch.tensor([sampler.choose(logits) for _ in range(4000)]), minlength=SIZE)
    assert counts[expected == 0].sum() == 0
    common = expected > 0.002
    statistic = float(((counts - 4000 * expected)[common] ** 2 / (4000 * expected[common])).sum())
    freedom = int(common.sum()) - 1
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5
