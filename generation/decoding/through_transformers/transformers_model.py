"""Any causal model that transformers loads, behind the ``LanguageModel`` protocol.

How a tree is scored is decided once per model by ``scoring.fitting_scorer``.
A model whose attention sees only a sliding window is used for contexts up to that window, where it sees everything.
Knows nothing of text, sampling or where weights lie. Start reading at ``TransformersModel.start``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from generation.decoding.sequence import SequenceState, Stop, check_prompt
from generation.decoding.step_costs import MOST_ROWS, Forward, known_costs
from generation.decoding.through_transformers.scoring import fitting_scorer
from generation.interfaces import Tokenizer
from generation.types import Draft

_COST_CONTEXTS = (16, 64)  # tokens behind which forwards are timed
_UNLIMITED_CONTEXT_TOKENS = 8192  # for models that were trained without a longest position


class TransformersModel:
    """Weights and a tokenizer; implements ``LanguageModel``.

    Args:
        network: a causal model of transformers, on the CPU.
        tokenizer: the tokenizer it was trained with.
        name: how reports call it.
        costs_key: tells weights, processor and threads apart, for what was measured of them; None measures nothing.
        notice: what the user has to know of it.
    """

    def __init__(
        self, network: Any, tokenizer: Tokenizer, name: str, costs_key: str | None = None, notice: str = ""
    ) -> None:
        self.notice = notice
        self._new_scorer = fitting_scorer(network.eval())
        self._tokenizer = tokenizer
        self._name = name
        self._context_tokens = usable_context_tokens(network.config.get_text_config())
        measurable = costs_key is not None and self._context_tokens >= max(_COST_CONTEXTS) + MOST_ROWS
        self.step_costs = known_costs(costs_key, self._timed(), _COST_CONTEXTS) if costs_key and measurable else None

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

    def _timed(self) -> Forward:
        """Scores a number of tokens behind a prompt of its own, which the first call reads."""
        started = functools.cache(lambda context_tokens: self.start([1] * context_tokens))
        return lambda rows, context_tokens: started(context_tokens).score(Draft.chain([1] * rows))


def usable_context_tokens(config: Any) -> int:
    """Longest sequence in which every token sees all before it."""
    limits = (
        getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window", "attention_chunk_size")
    )
    return min((int(limit) for limit in limits if limit), default=_UNLIMITED_CONTEXT_TOKENS)
