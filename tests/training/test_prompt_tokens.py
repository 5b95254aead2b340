"""Training of prompt tokens: what is learned, that nothing else changes, and that a run makes a usable adapter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generation.decoding.drafts.prompt_tokens import PROMPT_TOKENS, read_prompt_tokens
from generation.decoding.loading import load_model, load_network
from generation.errors import ConfigError, ModelLoadError
from generation.training.adapter_folder import copy_adapter
from generation.training.examples import TrainingExample
from generation.training.finetune import Run
from generation.training.pipeline import Stage, train, train_prompt_tokens
from generation.training.prompt_tokens import PromptTokenNetwork
from tests.training.test_finetune import OPTIONS, SETTINGS, Numbers, job


def learner(model: Path, count: int = 2) -> PromptTokenNetwork:
    return PromptTokenNetwork(load_network(model, "float32"), count, 0)


def test_a_prompt_token_sees_the_text_before_it_and_those_before_itself(model: Path) -> None:
    learns = learner(model)
    example = TrainingExample(list(range(20, 32)), 1, 12)
    hidden, targets = learns._guessed(example)
    ids = torch.tensor([list(example.token_ids)])
    said = learns.base(input_ids=ids).logits[0].argmax(-1)
    text = learns.base.get_input_embeddings()(ids)[0]
    for place in range(12 - 1 - 2):
        rows = torch.cat([text[: place + 1], learns.tensors()[PROMPT_TOKENS]])
        expected = learns.body(inputs_embeds=rows[None])[0][0, -2:]
        torch.testing.assert_close(hidden[2 * place : 2 * place + 2], expected, atol=1e-4, rtol=1e-3)
        assert targets[2 * place : 2 * place + 2].tolist() == said[place + 1 : place + 3].tolist()


def test_guesses_become_better_and_nothing_else_changes(model: Path, tmp_path: Path) -> None:
    learns = learner(model)
    before = {name: tensor.clone() for name, tensor in learns.base.state_dict().items()}
    examples = Numbers().validation(6)
    first, counted = learns.loss(examples)
    accuracy = learns.accuracy(examples)
    run = Run(tmp_path, learns, Numbers(), replace(SETTINGS, learning_rate=5e-2, total_tokens=6000))
    run.train()
    assert float(learns.loss(examples)[0].detach()) < 0.98 * float(first.detach())  # a random network has little to say
    assert counted == sum(len(example.token_ids) - 1 for example in examples)
    assert sum(learns.accuracy(examples)) > sum(accuracy)
    assert all(torch.equal(before[name], tensor) for name, tensor in learns.base.state_dict().items())


def test_a_run_that_is_resumed_makes_an_adapter_that_drafts(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = replace(job(corpus, tmp_path / "plain", marks=False, stage=Stage.FILES), base=str(model))
    train(adapter, replace(SETTINGS, total_tokens=200), resume=False, report=lambda line: None)
    tokens = replace(adapter, out=tmp_path / "guessing", init=tmp_path / "plain")
    report: Callable[[object], None] = lambda line: None  # noqa: E731
    train_prompt_tokens(tokens, 3, replace(SETTINGS, stop_tokens=300), resume=False, report=report)
    with pytest.raises(ModelLoadError, match="holds 3 prompt tokens, not 2"):
        train_prompt_tokens(tokens, 2, SETTINGS, resume=True, report=report)
    progress = train_prompt_tokens(replace(tokens, init=None), 3, SETTINGS, resume=True, report=report)
    assert progress.tokens >= SETTINGS.total_tokens
    whole = replace(tokens, out=tmp_path / "whole")
    train_prompt_tokens(whole, 3, SETTINGS, resume=False, report=report)
    found, expected = read_prompt_tokens(tokens.out), read_prompt_tokens(whole.out)
    assert found is not None
    assert expected is not None
    assert np.array_equal(found.embeddings, expected.embeddings)
    assert len(found.accuracy) == 3
    copy_adapter(tokens.out, tmp_path / "copy")
    copied = read_prompt_tokens(tmp_path / "copy")
    assert copied is not None
    assert np.array_equal(copied.embeddings, found.embeddings)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    loaded = load_model(model, "int8", 1, tokens.out)
    assert hasattr(loaded, "parallel_prompt")
    with pytest.raises(ConfigError, match="name it with --init"):
        train_prompt_tokens(replace(tokens, out=tmp_path / "none", init=None), 3, SETTINGS, resume=False, report=report)


def test_the_command(model: Path, corpus: Path, tmp_path: Path) -> None:
    adapter = replace(job(corpus, tmp_path / "plain", marks=False, stage=Stage.FILES), base=str(model))
    train(adapter, replace(SETTINGS, total_tokens=200), resume=False, report=lambda line: None)
    command = [sys.executable, "-m", "generation.cli.main", "train", "prompt-tokens", "--base", str(model)]
    command += [
        "--data",
        str(corpus),
        "--init",
        str(tmp_path / "plain"),
        "--out",
        str(tmp_path / "out"),
        "--count",
        "1",
    ]
    done = subprocess.run([*command, *OPTIONS], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tokens"] >= SETTINGS.total_tokens
    found = read_prompt_tokens(tmp_path / "out")
    assert found is not None
    assert found.embeddings.shape == (1, 32)
    refused = subprocess.run([*command, "--count", "0"], capture_output=True, text=True, timeout=100, check=False)
    assert refused.returncode == 2
    assert "--count" in refused.stderr
