"""One sequence inside a model: the bookkeeping and the checks that all models share.

A ``Scorer`` does the computing. Knows no network. Start reading at ``SequenceState``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from generation.errors import CapacityError, StoppedError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

Stop = Callable[[], bool]
ANY_TOKENS = 1 << 30  # no bound


class Scorer(Protocol):
    """Computes one sequence. Logits are float32, and nobody changes them: a scorer may remember them."""

    @property
    def reused_tokens(self) -> int:
        """How many tokens of the prompt did not have to be read again."""

    @property
    def draft_room_tokens(self) -> int:
        """How many more tokens depend on nothing that a commit before them decides."""

    def remembered(self, token_ids: Sequence[int]) -> int | None:
        """How many tokens of a path from here were scored already; None where nothing is remembered."""

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """Append tokens (at least one); logits (V,) after the last.

        Raises:
            StoppedError: ``stop`` returned true.
        """

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V) after each node of a tree with at least one node; appends nothing."""

    def keep(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last, from a root downwards."""

    def close(self) -> None:
        """Give the memory of the sequence back."""


class SequenceState:
    """One sequence; implements ``DecodingState``. Made by the ``start`` of a model, which checks the prompt."""

    def __init__(
        self, scorer: Scorer, prompt_ids: Sequence[int], context_tokens: int, stop: Stop | None = None
    ) -> None:
        self._scorer: Scorer | None = scorer
        self._token_ids = list(prompt_ids)
        self._context_tokens = context_tokens
        self._next_logits = scorer.read(self._token_ids, stop)
        self._reused_tokens = scorer.reused_tokens
        self._draft: Draft | None = None
        self._draft_logits = self._next_logits[:0]

    @property
    def token_ids(self) -> Sequence[int]:
        """Committed tokens."""
        return self._token_ids

    @property
    def next_logits(self) -> Logits:
        """Logits (V,), float32, of the token after the last committed one."""
        return self._next_logits

    @property
    def reused_tokens(self) -> int:
        """How many tokens of the prompt did not have to be read again."""
        return self._reused_tokens

    @property
    def room_tokens(self) -> int:
        """How many more tokens the context can hold."""
        return self._context_tokens - len(self._token_ids)

    @property
    def draft_room_tokens(self) -> int:
        """How long a draft may be."""
        return min(self.room_tokens, self._open_scorer().draft_room_tokens)

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V), float32, after each node; commits nothing.

        Raises:
            CapacityError: the longest path does not fit into the context.
            ValueError: the state is closed, or the draft is not a tree.
        """
        self._check(draft)
        scorer = self._open_scorer()
        self._draft = None  # where the scorer fails, there is nothing to commit
        if not draft:
            self._draft_logits = np.empty((0, len(self._next_logits)), np.float32)
        else:
            self._draft_logits = scorer.score(draft)
        self._draft = draft
        return self._draft_logits

    def remembered(self, token_ids: Sequence[int]) -> int | None:
        """How many tokens of a path from here were scored already and cost nothing; None if none are remembered."""
        return self._open_scorer().remembered(token_ids)

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
        """Give the KV rows back."""
        if self._scorer is not None:
            self._scorer.close()
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


def check_prompt(prompt_ids: Sequence[int], context_tokens: int, name: str) -> None:
    """Refuse a prompt that cannot be read.

    Raises:
        CapacityError: it does not fit into the context.
        ValueError: it is empty.
    """
    if not prompt_ids:
        raise ValueError("a prompt needs at least one token")
    if len(prompt_ids) > context_tokens:
        raise CapacityError(f"the prompt has {len(prompt_ids)} tokens and {name} holds {context_tokens}; shorten it")


def check_stop(stop: Stop | None) -> None:
    """Ask whether to go on.

    Raises:
        StoppedError: ``stop`` returned true.
    """
    if stop is not None and stop():
        raise StoppedError("stopped while a prompt was read")


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences start with in common; quick where they are lists and one starts with the other."""
    shorter = min(len(first), len(second))
    if first[:shorter] == second[:shorter]:
        return shorter
    different = (i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(different, shorter)


def node_depths(draft: Draft) -> list[int]:
    """Distance of each node from its root; a root has 0."""
    depths: list[int] = []
    for parent in draft.parents:
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return depths


def _is_path(draft: Draft, path: Sequence[int]) -> bool:
    return all(
        0 <= node < len(draft) and draft.parents[node] == parent
        for parent, node in zip((-1, *path), path, strict=False)
    )
