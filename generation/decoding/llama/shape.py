"""Which model configurations are of the Llama family, and their sizes. Knows no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILY = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_FIXED_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})  # frequencies that no sequence length changes
_WIDTH = 8  # floats of a vector: every row must be a multiple
_LIMITS = ("max_position_embeddings", "sliding_window")


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of a network of the Llama family."""

    layers: int
    hidden: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    norm_epsilon: float
    context_tokens: int

    @property
    def qkv_channels(self) -> int:
        """Width of queries, keys and values together."""
        return (self.heads + 2 * self.key_heads) * self.head_size


def read_shape(config: Mapping[str, Any]) -> LlamaShape | None:
    """The sizes in a ``config.json``; None when it is of another family or has a part that the kernels lack."""
    if config.get("model_type") not in FAMILY or config.get("hidden_act") != "silu":
        return None
    if _rotary_type(config) not in _FIXED_ROTARY or config.get("partial_rotary_factor", 1) not in {None, 1}:
        return None
    heads = int(config["num_attention_heads"])
    shape = LlamaShape(
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["hidden_size"]),
        heads=heads,
        key_heads=int(config.get("num_key_value_heads") or heads),
        head_size=int(config.get("head_dim") or config["hidden_size"] // heads),
        intermediate=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        norm_epsilon=float(config["rms_norm_eps"]),
        context_tokens=_context_tokens(config),
    )
    rows = (shape.hidden, shape.head_size, shape.intermediate)
    return shape if all(size % _WIDTH == 0 for size in rows) and heads % shape.key_heads == 0 else None


def _rotary_type(config: Mapping[str, Any]) -> str:
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return str(rotary.get("rope_type", rotary.get("type", "default")))


def _context_tokens(config: Mapping[str, Any]) -> int:
    """Longest sequence in which every token sees all before it."""
    slides = config.get("use_sliding_window", True)  # Qwen's configurations name a window that they do not use
    names = _LIMITS if slides else _LIMITS[:1]
    return min(int(config[name]) for name in names if config.get(name))
