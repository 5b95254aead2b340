"""Timings become medians and ratios; no engine gains by what it read before. Engines are real ones, on a tiny network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from generation.config import GeneratorConfig
from generation.decoding.gguf_export import export
from generation.decoding.llama.model import LlamaModel
from generation.decoding.rivals import LlamaCppEngine, OwnEngine, Timing, check_llama_cpp
from generation.decoding.sequence import SequenceState
from generation.errors import ModelLoadError
from generation.evaluation.decode_bench import (
    LLAMA_CPP,
    OURS,
    TRANSFORMERS,
    Row,
    keystroke_share,
    measure,
    perplexity,
    prompts,
    ratios,
)
from generation.evaluation.overhead_bench import Overhead
from generation.evaluation.overhead_bench import measure as measure_overhead
from generation.evaluation.overhead_bench import ratios as overhead_ratios
from generation.service import load_model
from tests.decoding.llama.networks import NoTokenizer, model_of, network_of, truth

SHOP = '''
class Shop:
    def __init__(self, prices):
        self.prices = prices

    def total(self, names):
        """The price of everything in names together, as a float."""
        found = [self.prices[name] for name in names]
        if not found:
            return 0.0
        return float(sum(found))

    def cheapest(self, names):
        """The name in names that costs least."""
        known = [name for name in names if name in self.prices]
        if not known:
            raise KeyError(names)
        return min(known, key=self.prices.__getitem__)
'''


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
    rows = measure(engines, {30: [[9] * 30, [8, 9] * 15], 20: [[9] * 20]}, 4, 1, lambda _: None)
    assert [(row.engine, row.prompt_tokens) for row in rows] == [("a", 30), ("b", 30), ("a", 20), ("b", 20)]
    assert set(reused) == {0}


def test_a_keystroke_costs_a_part_of_the_prompt(model: LlamaModel) -> None:
    prompt = [index % 60 for index in range(600)]
    assert keystroke_share(OwnEngine(model, drafts=True, clock=time.process_time), prompt) < 0.5


def test_ratios_are_against_the_best_of_the_others() -> None:
    rows = [
        Row(OURS, 1, 2000, 300.0, 60.0, 1.0),
        Row(OURS, 2, 2000, 200.0, 50.0, 1.5),
        Row(TRANSFORMERS, 1, 2000, 100.0, 10.0, 8.0),
        Row(f"{LLAMA_CPP} Q4_0", 1, 2000, 150.0, 20.0, 3.0),
        Row(f"{LLAMA_CPP} Q8_0", 2, 2000, 100.0, 30.0, 2.0),
    ]
    assert ratios(rows) == {
        "prefill_2000_transformers": 3.0, "decode_2000_transformers": 6.0, "request_2000_transformers": 8.0,
        "prefill_2000": 2.0, "decode_2000": 2.0, "request_2000": 2.0, "cold_request": 2.0,
    }  # fmt: skip


def test_prompts_complete_edit_and_begin_a_body(tmp_path: Path) -> None:
    source = "".join(f"def function_{number}(x):\n    return x + {number}\n" for number in range(40))
    roots = [tmp_path / name for name in ("a", "b", "c")]
    for root in roots:
        root.mkdir()
        (root / "short.py").write_text("x")
        (root / "long.py").write_text(source)

    def encode(text: str) -> list[int]:
        return list(text.encode())

    completion, edit, body = (bytes(prompt).decode() for prompt in prompts(roots, encode, 100, 3))
    assert completion == source[:100]
    assert edit == source[:60] + source[50:90]
    assert body.endswith("(x):\n")
    assert len(body) == 100
    assert prompts(roots, encode, 5000, 3) == []


def test_an_engine_that_dies_is_told_of_and_takes_nothing_with_it() -> None:
    check_llama_cpp([sys.executable, "-c", "pass"])
    with pytest.raises(ModelLoadError, match="an illegal instruction"):
        check_llama_cpp([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)"])
    with pytest.raises(ModelLoadError, match="ends with code 3"):
        check_llama_cpp([sys.executable, "-c", "raise SystemExit(3)"])


def test_llama_cpp_writes_what_we_write_with_the_same_weights(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="the extra bench, which compiles for minutes, is not installed")
    network_of("llama").save_pretrained(tmp_path)
    export(tmp_path, tmp_path / "F16.gguf")
    prompt = [index * 7 % 60 for index in range(50)]
    ours = OwnEngine(model_of("llama"), drafts=False).write(prompt, 12)
    assert LlamaCppEngine(tmp_path / "F16.gguf", 1).write(prompt, 12).token_ids == ours.token_ids


def test_perplexity_is_that_of_the_logits(model: LlamaModel) -> None:
    text = [index * 7 % 60 for index in range(150)]
    logits = truth("qwen2", text)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits[:-1]), torch.tensor(text[1:])).exp()
    assert perplexity(model_of("qwen2"), [text]) == pytest.approx(float(expected), rel=1e-3)


def test_what_is_rewritten_is_what_was_given(model: LlamaModel) -> None:
    prompt, text = [5, 6, 7, 8] * 10, [5, 6, 7, 9, 9, 8, 5, 6, 7, 8, 5, 6]
    written: list[list[int]] = []

    class Watching(LlamaModel):
        def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> SequenceState:
            state = super().start(prompt_ids, stop)
            close = state.close
            state.close = lambda: (written.append(list(state.token_ids)), close())[1]  # type: ignore[method-assign]
            return state

    watching = Watching(model.network, NoTokenizer(), "tiny", costs_key="a test of rewriting")
    for drafts in (False, True):
        timing = OwnEngine(watching, drafts=drafts).rewrite(prompt, text)
        assert timing.read_s > 0 < timing.write_s
    assert written == [prompt + text] * 2


def test_the_tool_costs_what_it_adds() -> None:
    found = [
        Overhead("mark (mark)", False, 2, 30, 30, 4, 1.2, 1.0, 0.1, 1.0, 1.0),
        Overhead("dot (plain)", True, 1, 20, 25, 9, 5.0, 1.6, 0.4, 2.0, 1.5),
        Overhead("dot (plain)", False, 2, 30, 30, 9, 3.0, 2.0, 0.4, 2.0, 2.0),
    ]
    assert overhead_ratios(found, "dot") == {
        "tool_overhead_mark": 1.1,
        "tool_overhead_mark_writing": 1.2,
        "tool_overhead_dot_first": 2.0,
        "tool_overhead_dot_first_writing": 2.5,
        "tool_overhead_first": 2.0,
        "tool_overhead_first_writing": 2.5,
        "tool_overhead_dot": 1.25,
        "tool_overhead_dot_writing": 1.5,
        "tool_overhead": 1.25,
        "tool_overhead_writing": 1.5,
    }
    assert overhead_ratios([], "dot") == {}


@pytest.mark.model
def test_both_ways_write_the_same_text(tmp_path: Path) -> None:
    """The default model with its tool, on a repository of one file."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    config = GeneratorConfig(threads=1, max_tokens=24).with_preset("dot")
    first, *later = measure_overhead(
        config, load_model(config), load_model(config), {"shop": tmp_path}, 2, lambda _: None
    )
    assert (first.first, [one.first for one in later]) == (True, [False])
    for one in (first, *later):
        assert one.name == "dot (plain)"
        assert one.functions == 1
        assert one.tokens >= 4
        assert one.tool_calls >= 1
        assert one.with_tool_s > 0 < one.plain_s
        assert one.prompt_s > 0 < one.plain_prompt_s
