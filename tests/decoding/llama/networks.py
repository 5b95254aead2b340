"""Tiny random networks of each family, and what they say by a full forward of transformers."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.native import Build, Kernels, find_kernels
from generation.decoding.llama.network import Network
from generation.decoding.llama.packing import pack_network
from generation.decoding.llama.shape import read_shape
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

VOCABULARY = 67  # no multiple of the kernels' 16 channels
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 640,
    "initializer_range": 0.3,  # large enough for attention to matter
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
SCALED = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 160}  # fmt: skip
FAMILIES: dict[str, tuple[type[Any], type[Any], dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "llama3": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": SCALED, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": None, "head_dim": 24, "num_key_value_heads": 4}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 64, "num_attention_heads": 7, "num_key_value_heads": 1, "hidden_size": 64, "intermediate_size": 128}),  # fits tiles
}  # fmt: skip


class NoTokenizer:
    """These tests are about ids."""

    token_bytes = (b"",) * VOCABULARY
    eos_ids = frozenset({0})
    bos_id = None
    mark_id = None

    def encode(self, text: str) -> list[int]:
        raise AssertionError(text)


@cache
def network_of(family: str) -> Any:
    torch.manual_seed(1)
    config, kind, extra = FAMILIES[family]
    network = kind(config(**{**SHAPE, **extra})).eval()
    for name, weight in network.named_parameters():  # what starts as zeros or ones would hide mistakes
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, mean=0.0 if name.endswith("bias") else 1.0, std=0.3)
    return network


def kernels(build: Build = "native") -> Kernels:
    found = find_kernels(build)
    assert isinstance(found, Kernels), found.reason
    return found


@cache
def model_of(family: str, *, int8: bool = False, build: Build = "native", threads: int = 1) -> LlamaModel:
    return packed_model(network_of(family), int8=int8, build=build, threads=threads)


def packed_model(network: Any, *, int8: bool, build: Build = "native", threads: int = 1) -> LlamaModel:
    """A network of transformers on our kernels."""
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    weights = pack_network(network, shape, int8=int8)
    return LlamaModel(Network(weights, kernels(build), threads), NoTokenizer(), network.config.model_type)


def truth(family: str, token_ids: list[int]) -> Logits:
    with torch.inference_mode():
        logits: Logits = network_of(family)(input_ids=torch.tensor([token_ids])).logits[0].numpy()
    return logits


def ancestors(draft: Draft, node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(node)
        node = draft.parents[node]
    return path[::-1]


def random_ids(source: random.Random, count: int) -> list[int]:
    return [source.randrange(VOCABULARY) for _ in range(count)]


def random_tree(source: random.Random, size: int) -> Draft:
    parents = tuple(source.randrange(-1, node) for node in range(size))
    return Draft(tuple(random_ids(source, size)), parents)
