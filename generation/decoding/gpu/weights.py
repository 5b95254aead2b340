"""A network of transformers as the tensors that a forward multiplies with. Knows no files. Start at ``Weights``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from generation.decoding.drafts.prompt_tokens import MOST_PROMPT_TOKENS
from generation.decoding.llama.shape import LlamaShape

Take = Callable[[str], torch.Tensor | None]


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix (channels, columns) and perhaps a bias (channels,)."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. ``qkv`` holds queries, keys and values one below the other, ``gate_up`` both halves of the MLP."""

    attention_norm: torch.Tensor
    qkv: Linear
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    attention_out: Linear
    mlp_norm: torch.Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class Weights:
    """A network.

    Attributes:
        shape: its sizes.
        embedding: (V + MOST_PROMPT_TOKENS, hidden); the last rows are for prompt tokens.
        layers: from the first on.
        final_norm: (hidden,).
        head: (V, hidden); may be the start of the embedding.
        frequencies: (D / 2,), float32, of the rotation.
        rotary_factor: of all its sines and cosines.
    """

    shape: LlamaShape
    embedding: torch.Tensor
    layers: Sequence[Layer]
    final_norm: torch.Tensor
    head: torch.Tensor
    frequencies: torch.Tensor
    rotary_factor: float

    @property
    def read_bytes(self) -> int:
        """What a forward of one row reads of them."""
        tensors = [self.head, *(one.weight for layer in self.layers for one in _matrices(layer))]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def read_weights(network: Any, shape: LlamaShape, dtype: torch.dtype, device: torch.device) -> Weights:
    """Take the weights of a causal language model of transformers, which may be of any float type."""
    state: dict[str, torch.Tensor] = network.state_dict()

    def take(name: str) -> torch.Tensor | None:  # one by one: the device need not hold all of them twice
        return state[name].detach().to(device, dtype) if name in state else None

    rotary = network.model.rotary_emb
    embedding = torch.nn.functional.pad(_there(take, "model.embed_tokens.weight"), (0, 0, 0, MOST_PROMPT_TOKENS))
    vocabulary = len(embedding) - MOST_PROMPT_TOKENS
    tied = network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()
    return Weights(
        shape=replace(shape, vocabulary=vocabulary),
        embedding=embedding,
        layers=[_layer(take, f"model.layers.{number}.") for number in range(shape.layers)],
        final_norm=_there(take, "model.norm.weight"),
        head=embedding[:vocabulary] if tied else _there(take, "lm_head.weight"),
        frequencies=rotary.inv_freq.detach().to(device, torch.float32),
        rotary_factor=float(rotary.attention_scaling),
    )


def _layer(take: Take, prefix: str) -> Layer:
    def joined(*names: str) -> Linear:
        biases = [bias for name in names if (bias := take(f"{prefix}{name}.bias")) is not None]
        weight = torch.cat([_there(take, f"{prefix}{name}.weight") for name in names])
        return Linear(weight, torch.cat(biases) if biases else None)

    return Layer(
        attention_norm=_there(take, prefix + "input_layernorm.weight"),
        qkv=joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        query_norm=take(prefix + "self_attn.q_norm.weight"),
        key_norm=take(prefix + "self_attn.k_norm.weight"),
        attention_out=joined("self_attn.o_proj"),
        mlp_norm=_there(take, prefix + "post_attention_layernorm.weight"),
        gate_up=joined("mlp.gate_proj", "mlp.up_proj"),
        down=joined("mlp.down_proj"),
    )


def _there(take: Take, name: str) -> torch.Tensor:
    found = take(name)
    assert found is not None, name
    return found


def _matrices(layer: Layer) -> tuple[Linear, ...]:
    return layer.qkv, layer.attention_out, layer.gate_up, layer.down
