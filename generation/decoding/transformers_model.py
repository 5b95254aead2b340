"""Any causal model that transformers loads, behind the ``LanguageModel`` protocol.

How a tree is scored is decided once per model by ``scoring.fitting_scorer``.
A model whose attention sees only a sliding window is used for contexts up to that window, where it sees everything.
Knows nothing of text, sampling or where weights lie. Start reading at ``TransformersModel.start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generation.decoding.scoring import fitting_scorer
from generation.decoding.sequence import SequenceState, Stop, check_prompt
from generation.interfaces import Tokenizer

_UNLIMITED_CONTEXT_TOKENS = 8192  # for models that were trained without a longest position


class TransformersModel:
    """Weights and a tokenizer; implements ``LanguageModel``.

    Args:
        network: a causal model of transformers, on the CPU.
        tokenizer: the tokenizer it was trained with.
        name: how reports call it.
    """

    def __init__(self, network: Any, tokenizer: Tokenizer, name: str) -> None:
        self._new_scorer = fitting_scorer(network.eval())
        self._tokenizer = tokenizer
        self._name = name
        self._context_tokens = usable_context_tokens(network.config.get_text_config())

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer these weights were trained with."""
        return self._tokenizer

    @property
    def name(self) -> str:
        """How records and reports call this model."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """Longest sequence."""
        return self._context_tokens

    def start(self, prompt_ids: Sequence[int], stop: Stop | None = None) -> SequenceState:
        """Read a prompt.

        Args:
            prompt_ids: at least one token.
            stop: asked before every chunk.

        Raises:
            CapacityError: the prompt does not fit into the context.
            StoppedError: ``stop`` returned true.
            ValueError: the prompt is empty.
        """
        check_prompt(prompt_ids, self._context_tokens, self._name)
        return SequenceState(self._new_scorer(), prompt_ids, self._context_tokens, stop)


def usable_context_tokens(config: Any) -> int:
    """Longest sequence in which every token sees all before it."""
    limits = (
        getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window", "attention_chunk_size")
    )
    return min((int(limit) for limit in limits if limit), default=_UNLIMITED_CONTEXT_TOKENS)
