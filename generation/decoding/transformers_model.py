"""Any causal model that transformers loads, behind the ``LanguageModel`` protocol.

How a tree is scored is decided once per model by ``scoring.fitting_scorer``; here are the bookkeeping and the checks.
A model whose attention sees only a sliding window is used for contexts up to that window, where it sees everything.
Knows nothing of text, sampling or where weights lie. Start reading at ``TransformersModel.start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from generation.decoding.scoring import Scorer, fitting_scorer, node_depths
from generation.errors import CapacityError
from generation.interfaces import Tokenizer
from generation.types import Draft

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

    def start(self, prompt_ids: Sequence[int]) -> TransformersState:
        """Read a prompt.

        Raises:
            CapacityError: the prompt does not fit into the context.
            ValueError: the prompt is empty.
        """
        if not prompt_ids:
            raise ValueError("a prompt needs at least one token")
        if len(prompt_ids) > self._context_tokens:
            raise CapacityError(
                f"the prompt has {len(prompt_ids)} tokens and {self._name} holds {self._context_tokens}; shorten it"
            )
        return TransformersState(self._new_scorer(), prompt_ids, self._context_tokens)


class TransformersState:
    """One sequence; implements ``DecodingState``. Made by ``TransformersModel.start``."""

    def __init__(self, scorer: Scorer, prompt_ids: Sequence[int], context_tokens: int) -> None:
        self._scorer: Scorer | None = scorer
        self._token_ids = list(prompt_ids)
        self._context_tokens = context_tokens
        self._next_logits = _plain_float32(scorer.read(self._token_ids))
        self._draft: Draft | None = None
        self._draft_logits = self._next_logits[:0]

    @property
    def token_ids(self) -> Sequence[int]:
        """Committed tokens."""
        return self._token_ids

    @property
    def next_logits(self) -> torch.Tensor:
        """Logits (V,), float32, of the token after the last committed one."""
        return self._next_logits

    @property
    def room_tokens(self) -> int:
        """How many more tokens the context can hold."""
        return self._context_tokens - len(self._token_ids)

    def score(self, draft: Draft) -> torch.Tensor:
        """Logits (K, V), float32, after each node; commits nothing.

        Raises:
            CapacityError: the longest path does not fit into the context.
            ValueError: the state is closed, or the draft is not a tree.
        """
        self._check(draft)
        scorer = self._open_scorer()
        self._draft = draft
        if not draft:
            self._draft_logits = self._next_logits.new_empty((0, len(self._next_logits)))
        else:
            self._draft_logits = _plain_float32(scorer.score(draft))
        return self._draft_logits

    def commit(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last.

        Raises:
            ValueError: nothing was scored since the last commit, or this is not a path from a root downwards.
        """
        draft, self._draft = self._draft, None
        if draft is None or not _is_path(draft, path):
            raise ValueError(f"{list(path)} is not a path from a root of the draft scored last: {draft}")
        if path:
            self._open_scorer().keep(path)
            self._token_ids += [draft.token_ids[node] for node in path]
            self._next_logits = self._draft_logits[path[-1]]

    def close(self) -> None:
        """Drop the KV rows."""
        self._scorer = None

    def _open_scorer(self) -> Scorer:
        if self._scorer is None:
            raise ValueError("this sequence is closed")
        return self._scorer

    def _check(self, draft: Draft) -> None:
        if len(draft.parents) != len(draft) or any(not -1 <= up < node for node, up in enumerate(draft.parents)):
            raise ValueError(f"not a tree in which parents come first: {draft}")
        needed_tokens = max(node_depths(draft), default=-1) + 1
        if needed_tokens > self.room_tokens:
            raise CapacityError(f"a draft of depth {needed_tokens} does not fit: {self.room_tokens} tokens are left")


def usable_context_tokens(config: Any) -> int:
    """Longest sequence in which every token sees all before it."""
    limits = (
        getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window", "attention_chunk_size")
    )
    return min((int(limit) for limit in limits if limit), default=_UNLIMITED_CONTEXT_TOKENS)


def _is_path(draft: Draft, path: Sequence[int]) -> bool:
    return all(
        0 <= node < len(draft) and draft.parents[node] == parent
        for parent, node in zip((-1, *path), path, strict=False)
    )


def _plain_float32(logits: torch.Tensor) -> torch.Tensor:
    """A float32 copy that callers may change; tensors made in inference mode refuse that."""
    return logits.to(torch.float32, copy=True)
