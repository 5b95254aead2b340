"""Rows of long sequences choose what they see: what is chosen, what that computes; drafts and reuse change nothing."""

from __future__ import annotations

import ctypes
import random
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from generation.config import Selection
from generation.decoding.llama.cache import KVCache
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.native import Build
from generation.decoding.llama.network import Network
from generation.decoding.llama.packing import pack_network
from generation.decoding.llama.shape import read_shape
from generation.decoding.loading import select_from
from generation.decoding.selection import rows
from generation.decoding.selection.settings import BLOCK, LongContexts, RowChoice
from generation.errors import CapacityError
from generation.types import Draft
from tests.decoding.llama.networks import SHAPE, NoTokenizer, ancestors, kernels, network_of, random_ids, random_tree

CHOICE = RowChoice(start=96, trained=640, sink=16, chosen=32, window=32, far_window=48)
FAR = replace(CHOICE, trained=128)  # most rows are behind what the model was trained for
both_types = pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
every_build = pytest.mark.parametrize("build", get_args(Build))
near_and_far = pytest.mark.parametrize("choice", [CHOICE, FAR], ids=["near", "far"])


def model_of(
    network: Any, choice: RowChoice | None = CHOICE, int8: bool = False, build: Build = "native"
) -> LlamaModel:
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    return LlamaModel(
        Network(pack_network(network, shape, int8=int8), kernels(build), 1, choice), NoTokenizer(), "tiny",
        long=LongContexts(context_tokens=2000),
    )  # fmt: skip


def one_layer(kind: str) -> Any:
    torch.manual_seed(3)
    sizes = {**SHAPE, "num_hidden_layers": 1, "vocab_size": 400}
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    sizes |= {"head_dim": 64, "num_attention_heads": 10, "num_key_value_heads": 2}
    return Qwen3ForCausalLM(Qwen3Config(**sizes)).eval()


@near_and_far
@every_build
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_the_kernel_chooses_what_the_reference_chooses(kind: str, build: Build, choice: RowChoice) -> None:
    model = model_of(one_layer(kind), choice, build=build)
    network, source = model.network, random.Random(1)
    assert isinstance(network, Network)
    shape, frequencies = network.shape, frequencies_of(network)
    state = model.start([source.randrange(400) for _ in range(1300)])  # several stretches
    cache = state._scorer._cache  # type: ignore[union-attr]
    keys = stored_keys(cache)
    for _ in range(3):
        queries = torch.randn(shape.heads, shape.head_size)
        expected = rows.choose_blocks(queries, keys, choice, frequencies)
        assert expected is not None
        votes = rows.block_votes(queries, keys, choice, frequencies)
        for head, found in enumerate(chosen_blocks(network, cache, queries)):
            assert found[0] == 0  # the sink
            assert found == sorted(set(found))
            assert max(found) < choice.window_start(len(keys)) // BLOCK
            worth = votes[head]
            torch.testing.assert_close(
                worth[found].sort().values, worth[expected[head]].sort().values, atol=0.02 * float(worth.max()), rtol=0
            )


@near_and_far
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_it_computes_what_the_reference_computes(kind: str, choice: RowChoice) -> None:
    """Queries are rounded before they look through keys, so that of two blocks that are nearly as good either may win."""
    network, ids = one_layer(kind), random.Random(2).sample(range(400), 300)
    frequencies = network.model.rotary_emb.inv_freq

    def attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
        keys, values = key[0].transpose(0, 1), value[0].transpose(0, 1)
        found = [
            rows.attend(query[0, :, row], keys[: row + 1], values[: row + 1], choice, frequencies)
            for row in range(query.shape[2])
        ]
        return torch.stack(found)[None], None

    AttentionInterface.register("rows_choose", attend)
    network.config._attn_implementation = "rows_choose"
    with torch.inference_mode():
        expected = network(input_ids=torch.tensor([ids])).logits[0].numpy()
    state = model_of(network, choice).start(ids[:1])
    found = np.concatenate([state.next_logits[None], state.score(Draft.chain(ids[1:]))])
    everything = model_of(network, None).start(ids[:1]).score(Draft.chain(ids[1:]))
    agree = np.abs(found - expected).max(-1) < 1e-3
    assert agree[: choice.start].all()
    assert agree.mean() > 0.9
    assert (np.abs(found[1:] - everything).max(-1) > 1e-3)[choice.start + 20 :].mean() > 0.9


@both_types
@near_and_far
@every_build
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_rows_depend_on_their_own_tokens_only(family: str, build: Build, int8: bool, choice: RowChoice) -> None:
    """Trees, chains and single tokens, kept in any way, give the same bits, and so does what is read again."""
    network, source = network_of(family), random.Random(5)
    model = model_of(network, choice, int8, build)
    for length in (90, 150, 231):
        ids = random_ids(source, length)
        state = model_of(network, choice, int8, build).start(ids)
        for size in (1, 12, 5, 16, 3):
            draft = random_tree(source, size)
            logits, path = state.score(draft), ancestors(draft, source.randrange(size))
            for node in path:
                tokens = [draft.token_ids[step] for step in ancestors(draft, node)]
                again = model.start([*state.token_ids, *tokens])
                assert np.array_equal(again.next_logits, logits[node])
                again.close()
            state.commit(path)
        fresh = model_of(network, choice, int8, build).start(list(state.token_ids))
        assert np.array_equal(fresh.next_logits, state.next_logits)


def test_a_short_sequence_sees_everything() -> None:
    network, ids = network_of("llama"), random_ids(random.Random(0), 300)
    everything = model_of(network, None).start(ids).next_logits
    for choice in (replace(CHOICE, start=300), replace(CHOICE, chosen=256), replace(FAR, chosen=256)):
        assert np.array_equal(model_of(network, choice).start(ids).next_logits, everything)
    assert not np.array_equal(model_of(network).start(ids).next_logits, everything)


def test_a_context_longer_than_the_model_was_trained_for() -> None:
    model = model_of(network_of("llama"))
    ids = random_ids(random.Random(0), 1900)  # trained for 640
    state = model.start(ids)
    assert np.isfinite(state.next_logits).all()
    assert state.room_tokens == 100
    with pytest.raises(CapacityError, match="2001 tokens and tiny holds 2000"):
        model.start([*ids, *ids[:101]])


def test_sizes_are_whole_blocks() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        replace(CHOICE, window=40)


def test_when_something_is_chosen() -> None:
    shape = read_shape({**network_of("llama").config.to_dict(), "max_position_embeddings": 8192})
    assert shape is not None
    assert [select_from(shape, one, 32768) for one in Selection] == [7680, 7168, None]
    assert [select_from(shape, one) for one in Selection] == [None, 7168, None]


def stored_keys(cache: KVCache) -> torch.Tensor:
    """(tokens, key heads, head size) of the first layer, as the kernels keep them in float32."""
    blocks = torch.from_numpy(cache._arrays[0][0])
    heads, count, _ = blocks.shape
    keys = blocks.view(heads, count, -1, BLOCK).permute(1, 3, 0, 2)
    return keys.reshape(count * BLOCK, heads, -1)[: cache.length]


def frequencies_of(network: Network) -> torch.Tensor:
    return torch.from_numpy(np.array(network.weights.arrays["rotary"][:-1]))


def chosen_blocks(network: Network, cache: KVCache, queries: torch.Tensor) -> list[list[int]]:
    """What the last row would choose in the first layer, for each key head."""
    cosines, sines = network.rotary_tables(cache.length)
    out, found = np.empty(cache.slots // BLOCK, np.int32), []
    for head, grouped in enumerate(queries.view(network.shape.key_heads, -1, network.shape.head_size)):
        count = network.library.memberwise_blocks(
            ctypes.byref(network.sizes()), ctypes.byref(cache.as_argument()), head, cache.length,
            grouped.data_ptr(), cosines.ctypes.data, sines.ctypes.data, out.ctypes.data,
        )  # fmt: skip
        found.append(out[:count].tolist())
    return found
