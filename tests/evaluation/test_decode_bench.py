"""Timings become medians and ratios; no engine gains by what it read before. Engines are real ones, on a tiny network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from generation.decoding.llama.model import LlamaModel
from generation.decoding.rivals import OwnEngine, Timing
from generation.evaluation.decode_bench import (
    LLAMA_CPP,
    OURS,
    TRANSFORMERS,
    Row,
    keystroke_share,
    measure,
    prompts,
    ratios,
)
from tests.decoding.llama.networks import model_of


@pytest.fixture
def model() -> LlamaModel:
    return model_of("qwen2", int8=True)


def test_drafts_write_the_same_tokens(model: LlamaModel) -> None:
    prompt = [5, 6, 7, 8] * 10
    timings = [OwnEngine(model, drafts=drafts).write(prompt, 40) for drafts in (False, True)]
    assert timings[0].token_ids == timings[1].token_ids
    assert len(timings[0].token_ids) == 40
    assert all(timing.read_s > 0 < timing.write_s for timing in timings)


def test_nothing_is_read_before_it_is_timed(model: LlamaModel) -> None:
    reused = []

    class Watching(OwnEngine):
        def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
            reused.append(model.start(prompt_ids).reused_tokens)
            return super().write(prompt_ids, count)

    engines = {"a": Watching(model, drafts=True), "b": Watching(model, drafts=False)}
    rows = measure(engines, {30: [[9] * 30, [8, 9] * 15], 20: [[9] * 20]}, 4, lambda _: None)
    assert [(row.engine, row.prompt_tokens) for row in rows] == [("a", 30), ("b", 30), ("a", 20), ("b", 20)]
    assert set(reused) == {0}


def test_a_keystroke_costs_a_part_of_the_prompt(model: LlamaModel) -> None:
    prompt = [index % 60 for index in range(600)]
    assert keystroke_share(OwnEngine(model, drafts=True, clock=time.process_time), prompt) < 0.5


def test_ratios_are_against_the_best_of_the_others() -> None:
    rows = [
        Row(OURS, 10, 300.0, 60.0, 1.0),
        Row(TRANSFORMERS, 10, 100.0, 10.0, 8.0),
        Row(f"{LLAMA_CPP} Q4_0", 10, 150.0, 20.0, 3.0),
        Row(f"{LLAMA_CPP} Q8_0", 10, 100.0, 30.0, 2.0),
    ]
    assert ratios(rows) == {
        "prefill_10_transformers": 3.0, "decode_10_transformers": 6.0, "request_10_transformers": 8.0,
        "prefill_10": 2.0, "decode_10": 2.0, "request_10": 2.0,
    }  # fmt: skip


def test_prompts_are_starts_of_files(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("x")
    (tmp_path / "long.py").write_text("abcdefghij" * 5)
    assert prompts([tmp_path], lambda text: list(text.encode()), 10, 3) == [list(b"abcdefghij")]
    assert prompts([tmp_path], lambda text: list(text.encode()), 60, 3) == []
