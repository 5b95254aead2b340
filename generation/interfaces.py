"""The protocols between packages: a model, a drafter, a tool. None of them imports numpy at run time.

One primitive carries decoding: **score a tree of tokens, then commit a path** (``DecodingState``). Speculation, the
choice among suggestions and a plain step differ only in the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from generation.types import Draft, ToolAnswer, ToolQuery

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Logits = npt.NDArray[np.float32]
    Barred = npt.NDArray[np.bool_]


ReportShare = Callable[[float], None]
"""Is told which share of some work is done, from 0 to 1, now and then; from the thread that works."""


Tell = Callable[[str], None]
"""Is told what the user has to know; from any thread."""


def silent(*_: object) -> None:
    """A report for nobody."""


class Tokenizer(Protocol):
    """Text to token ids and back, at the level of bytes. One object for each tokenizer, told apart by identity."""

    def __hash__(self) -> int: ...

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """What each of the ``V`` ids adds to the text, as raw bytes; empty for control tokens, the mark included."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ids that end the text."""

    @property
    def bos_id(self) -> int | None:
        """Id that starts every sequence, where the model was trained with one."""

    @property
    def mark_id(self) -> int | None:
        """Id of the mark token; None when the model has not learned one."""

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, without adding special tokens. Special tokens spelled in ``text`` are plain text."""


class DecodingState(Protocol):
    """One sequence inside a model: committed tokens, their KV rows, and the logits of what comes next.

    Used by one thread. ``close`` gives every KV slot back and may be called more than once.
    """

    @property
    def token_ids(self) -> Sequence[int]:
        """Committed tokens, the prompt and marks included."""

    @property
    def next_logits(self) -> Logits:
        """Logits (V,), float32, of the token after the last committed one. Valid until the next ``commit``."""

    @property
    def reused_tokens(self) -> int:
        """How many tokens of the prompt did not have to be read again."""

    @property
    def room_tokens(self) -> int:
        """How many more tokens the context can hold."""

    @property
    def draft_room_tokens(self) -> int:
        """How many more tokens a draft may have; what follows them is decided by a commit."""

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V), float32, after each of the K nodes of ``draft``. Commits nothing; one forward.

        Raises:
            CapacityError: the draft does not fit into the context.
        """

    def remembered(self, token_ids: Sequence[int]) -> int | None:
        """How many tokens of a path from here were scored already and cost nothing; None if none are remembered."""

    def commit(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last, as indices from a root downwards; ``next_logits`` moves along.

        Their KV rows are kept, all others of the draft are dropped. At most one commit follows one ``score``.
        """

    def close(self) -> None:
        """Give everything back."""


class LanguageModel(Protocol):
    """Weights and a tokenizer. All methods are called from one thread."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer these weights were trained with."""

    @property
    def name(self) -> str:
        """How records and reports call this model."""

    @property
    def context_tokens(self) -> int:
        """Longest sequence."""

    def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> DecodingState:
        """Read a prompt (at least one token).

        Args:
            prompt_ids: the prompt.
            stop: asked again and again while reading; must not raise.

        Raises:
            CapacityError: the prompt does not fit into the context.
            StoppedError: ``stop`` returned true; what was read is kept where the model can reuse it.
        """


class Drafter(Protocol):
    """Guesses how a sequence goes on. A wrong guess costs time, never text."""

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` tokens that may follow ``token_ids``; empty when there is no good guess."""


class CompletionTool(Protocol):
    """Says which names can stand at a position. Never raises from ``suggest``: a failure is ``ToolAnswer.error``."""

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        """Names that can stand at the position, within the tool's deadline."""

    def prefetch(self, query: ToolQuery) -> None:
        """Start warming what questions in this function will need; returns at once."""

    def close(self) -> None:
        """End the tool's processes."""
