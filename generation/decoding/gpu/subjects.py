"""What ``memberwise bench gpu`` measures on: how much, with which models, and transformers as a competitor.

Knows no tables. Start reading at ``Plan`` and ``Subject``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from generation.decoding.gpu.compute import Operations
from generation.decoding.gpu.network import TorchNetwork, new_pool
from generation.decoding.gpu.slots import PAGE_SLOTS, SlotPool, page_bytes
from generation.decoding.gpu.weights import Weights, read_weights
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.shape import read_shape
from generation.decoding.loading import load_network
from generation.decoding.rivals import Timing
from generation.decoding.selection.settings import LongContexts, SelectionSettings
from generation.decoding.tokens.tokenizer import load_tokenizer
from generation.interfaces import Tokenizer

# The public configuration of Qwen2.5-7B.
_LARGE = {
    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "tie_word_embeddings": False,
}  # fmt: skip
_SMALL = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and on what.

    Attributes:
        device: as torch calls it.
        dtype: of weights, keys and values.
        default: folder of the default model; None takes a tiny random one that reads bytes.
        large: configuration of the random model.
        copied_bytes: to measure the bandwidth.
        prompt_tokens: of each prompt.
        written_tokens: behind it.
        together: sequences at a time.
        contexts: how long sequences are behind which one step is timed.
        selection: of what a chosen part of them is.
        budget_s: no compiling is begun that might last longer.
    """

    device: torch.device
    dtype: torch.dtype
    default: Path | None
    large: Mapping[str, Any]
    copied_bytes: int
    prompt_tokens: int
    written_tokens: int
    together: int
    contexts: Sequence[int]
    selection: SelectionSettings
    budget_s: float = 540.0


def full_plan(default: Path) -> Plan:
    """For a GPU."""
    contexts = (1024, 8192, 32768, 131072 - 512)
    settings = SelectionSettings()
    return Plan(torch.device("cuda"), torch.bfloat16, default, _LARGE, 1 << 30, 1000, 128, 8, contexts, settings)


_FEW = SelectionSettings(sink=16, chosen=32, window=16, chunk=32, step=8)
TINY = Plan(torch.device("cpu"), torch.float32, None, _SMALL, 1 << 20, 64, 8, 2, (64, 700), _FEW)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is measured.

    Attributes:
        name: in tables.
        network: of transformers.
        tokenizer: which prompts are made with.
        weights: of the network, as our path takes them.
        pool: for all our sequences.
    """

    name: str
    network: Any
    tokenizer: Tokenizer
    weights: Weights
    pool: SlotPool

    def model(
        self, *, record: bool = True, operations: Operations | None = None, selection: SelectionSettings | None = None
    ) -> LlamaModel:
        """Ours, which keeps nothing of a sequence that has ended."""
        record = record and self.pool.keys.is_cuda
        read_tokens = 32 if operations else 1024  # the reference gathers all pages for each row
        network = TorchNetwork(
            self.weights, self.pool, record=record, read_tokens=read_tokens, operations=operations
        )  # fmt: skip
        long = LongContexts(selection.least_tokens, None, selection) if selection else None
        return LlamaModel(network, self.tokenizer, self.name, prefix_bytes=0, long=long)

    def limit_ms(self, bandwidth: float, context_tokens: int) -> float:
        """Of one step: weights, and keys and values of so many tokens, are read once."""
        kept = context_tokens * page_bytes(self.weights.shape, self.pool.keys.dtype) / PAGE_SLOTS
        return (self.weights.read_bytes + kept) / bandwidth / 1e6


class _Bytes:
    """The tokenizer of a tiny model: a token is a byte."""

    token_bytes = tuple(bytes([value]) for value in range(256))
    eos_ids = frozenset[int]()
    bos_id = mark_id = None

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


class NetworkEngine:
    """transformers' ``generate`` on the plan's device; implements ``Engine``.

    Args:
        network: a causal model.
        static: with a static cache, whose steps transformers compiles on a GPU; else eager.
    """

    def __init__(self, network: Any, *, static: bool) -> None:
        self._network = network
        self._options: dict[str, Any] = {"cache_implementation": "static"} if static else {"disable_compile": True}
        network.generation_config.eos_token_id = None

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``. Reading is timed by a continuation of one token."""
        read_s, _ = self._timed(prompt_ids, 1)
        total_s, token_ids = self._timed(prompt_ids, count)
        return Timing(tuple(token_ids), read_s, max(total_s - read_s, 1e-9))

    def _timed(self, prompt_ids: Sequence[int], count: int) -> tuple[float, list[int]]:
        prompt = torch.tensor([list(prompt_ids)], device=self._network.device)
        started = time.perf_counter()
        with torch.inference_mode():
            output = self._network.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count, pad_token_id=0,
                **self._options,
            )  # fmt: skip
        token_ids: list[int] = output[0, len(prompt_ids) :].tolist()  # waits for the device
        return time.perf_counter() - started, token_ids


def tokenizer_of(plan: Plan) -> Tokenizer:
    """That of the default model, or bytes."""
    return _Bytes() if plan.default is None else load_tokenizer(plan.default)


def default_subject(plan: Plan, tokenizer: Tokenizer) -> Subject:
    """The default model, or a tiny one."""
    if plan.default is None:
        return _subject("tiny", _random_network(_SMALL, plan), tokenizer, plan)
    network = load_network(plan.default, "auto").to(plan.device, plan.dtype)
    return _subject(plan.default.resolve().name, network, tokenizer, plan)


def large_subject(plan: Plan, tokenizer: Tokenizer) -> Subject:
    """A random model of the plan's configuration, that of a public 7B model."""
    return _subject(f"random, {plan.large['hidden_size']} wide", _random_network(plan.large, plan), tokenizer, plan)


def _random_network(config: Mapping[str, Any], plan: Plan) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    kind: Any = Qwen2ForCausalLM  # has no types
    with torch.device(plan.device):
        return kind._from_config(Qwen2Config(**config), dtype=plan.dtype).eval()


def _subject(name: str, network: Any, tokenizer: Tokenizer, plan: Plan) -> Subject:
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    weights = read_weights(network, shape, plan.dtype, plan.device)
    return Subject(name, network, tokenizer, weights, new_pool(weights, plan.together))
