"""Prompt tokens: what they guess is what transformers computes for them, and no guess ever changes a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from generation.decoding.drafts.drafting import drafter_for
from generation.decoding.drafts.prompt_tokens import PromptTokens, read_prompt_tokens
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.network import Network
from generation.decoding.llama.packing import pack_network
from generation.decoding.llama.parallel_prompt import ParallelPrompt, best_depth
from generation.decoding.llama.shape import read_shape
from generation.decoding.step_costs import MOST_ROWS, StepCosts
from generation.errors import ModelLoadError
from generation.training.adapter_folder import write_prompt_tokens
from generation.types import Draft
from tests.decoding.llama.networks import SHAPE, kernels
from tests.decoding.llama.test_exactness import PROMPT, SIZE, bytes_network, written
from tests.decoding.scripted import ByteTokenizer

FREE = StepCosts((64, 1024), (1.0,) * MOST_ROWS, (1.0,) * MOST_ROWS)
STEEP = StepCosts((64, 1024), tuple(map(float, range(1, 18))), tuple(map(float, range(1, 18))))


def trained(count: int) -> PromptTokens:
    """Embeddings of letters, so that guesses are often the same as what follows such a letter."""
    rows = bytes_network().get_input_embeddings().weight.detach()[[ord(letter) for letter in "abe"[:count]]]
    return PromptTokens(rows.numpy(), (0.9,) * count)


def model(count: int, *, int8: bool = True) -> LlamaModel:
    network = bytes_network()
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    found = LlamaModel(Network(pack_network(network, shape, int8=int8), kernels(), 1), ByteTokenizer(), "bytes")
    found.step_costs = FREE
    if count:
        found.use_prompt_tokens(trained(count))
        assert found.parallel_prompt is not None
        assert found.parallel_prompt.depth == count
    return found


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("preset", ["off", "dot", "mark"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_guess_changes_a_text(int8: bool, preset: str, temperature: float) -> None:
    plain = model(0, int8=int8)
    for seed in range(3 if temperature else 1):
        expected = written(plain, None, preset, temperature, 0, seed)
        for count in (1, 2, 3):
            guessing = model(count, int8=int8)
            assert written(guessing, drafter_for(guessing), preset, temperature, 16, seed) == expected


def test_a_guess_is_what_the_network_says_at_the_prompt_tokens() -> None:
    network, guessing = bytes_network(), model(2, int8=False)
    prompt, path = list(PROMPT.encode()), list(b"self")
    state = guessing.start(prompt)
    state.score(Draft.chain(path[:2]))
    state.commit([0, 1])
    state.score(Draft.chain(path[2:]))
    assert guessing.parallel_prompt is not None
    ahead = guessing.parallel_prompt
    rows = torch.cat(
        [network.get_input_embeddings()(torch.tensor(prompt + path)), torch.from_numpy(trained(2).embeddings)]
    )
    expected = network(inputs_embeds=rows[None]).logits[0, -2:].detach().numpy()
    found = ahead._guessed[tuple((prompt + path)[-6:])]
    assert np.allclose(np.stack(found), expected, atol=1e-4)
    assert list(ahead.propose([*prompt, *path, 0], 2)) in ([], *(expected.argmax(-1)[:n].tolist() for n in (1, 2)))


def steps_to_write(count: int, prompt_tokens: int) -> int:
    """Forwards for ``count`` tokens by a network that says again what it was told, as its prompt tokens guess."""
    torch.manual_seed(0)
    network = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "vocab_size": SIZE, "tie_word_embeddings": True}))
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    packed = pack_network(network, shape, int8=False)
    for layer in range(shape.layers):
        for name in ("attention_out", "down"):
            packed.arrays[f"layers.{layer}.{name}.data"][:] = 0
    repeating = LlamaModel(Network(packed, kernels(), 1), ByteTokenizer(), "repeating")
    repeating.step_costs = FREE
    row = network.get_input_embeddings().weight.detach()[ord("a")]
    if prompt_tokens:
        repeating.use_prompt_tokens(PromptTokens(row.repeat(prompt_tokens, 1).numpy(), (0.9,) * prompt_tokens))
    state, steps = repeating.start(list(b"aaaa")), 0
    while len(state.token_ids) < 4 + count:
        drafter = repeating.parallel_prompt
        following = int(state.next_logits.argmax())
        chain = [following, *(drafter.propose([*state.token_ids, following], 4) if drafter else ())]
        rows = state.score(Draft.chain(chain)).argmax(-1).tolist()
        assert {*chain, *rows} == {ord("a")}
        state.commit(range(len(chain)))
        steps += 1
    return steps


def test_right_guesses_save_forwards() -> None:
    assert steps_to_write(12, 0) == 12
    assert steps_to_write(12, 2) == 5  # the first has nothing guessed before it


def test_depth_follows_from_what_rows_cost() -> None:
    assert best_depth((0.9, 0.8, 0.7), FREE) == 3
    assert best_depth((0.9, 0.8, 0.7), STEEP) == 0
    nearly_free = StepCosts((64, 1024), *[(1.0, *(1.2,) * (MOST_ROWS - 1))] * 2)  # a guess alone would win 0.25 tokens
    assert best_depth((0.25,), nearly_free) == 0
    assert best_depth((0.2,), STEEP, least=1) == 1
    assert ParallelPrompt(PromptTokens(np.zeros((2, 4), np.float32), (0.9, 0.0)), SIZE, FREE).depth == 1


def test_a_file_is_read_as_it_was_written_or_refused(tmp_path: Path) -> None:
    assert read_prompt_tokens(tmp_path) is None
    write_prompt_tokens(tmp_path, trained(2))
    found = read_prompt_tokens(tmp_path)
    assert found is not None
    assert np.array_equal(found.embeddings, trained(2).embeddings)
    assert found.accuracy == (0.9, 0.9)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelLoadError, match="damaged"):
        read_prompt_tokens(tmp_path)
