"""What can be set about long sequences. Start reading at ``LongContexts``."""

from __future__ import annotations

from dataclasses import dataclass, field

BLOCK = 16  # tokens that a row chooses together: a block of the kernels


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """How a list is chosen.

    Attributes:
        sink: first tokens, always in the list.
        chosen: most tokens chosen between sink and window, in blocks of ``BLOCK``.
        window: last tokens, always in the list.
        chunk: of a prompt; all of it sees one list, which its last row chooses.
        step: tokens at the end of a prompt, all of which choose, or written ones that see one list.
        similar: a layer keeps its choice while its query has at least this cosine with the one that chose.
    """

    sink: int = 128
    chosen: int = 2048
    window: int = 512
    chunk: int = 512
    step: int = 16
    similar: float = 0.9

    def __post_init__(self) -> None:
        if self.chunk % self.step or self.chosen % BLOCK:
            raise ValueError(f"a chunk must be a multiple of a step, and what is chosen of {BLOCK}: {self}")

    @property
    def least_tokens(self) -> int:
        """Behind which there is anything to leave out."""
        return self.sink + self.chosen + self.window


@dataclass(frozen=True, slots=True)
class RowChoice:
    """What a row of our own kernels sees; every key head of every layer chooses for itself.

    Attributes:
        start: rows at this position and behind it choose.
        trained: longest sequence that the model was trained for; rows behind it draw near what is in front of
            their window, into three quarters of this length.
        sink: first tokens, always seen; like the next three a multiple of ``BLOCK``.
        chosen: most tokens chosen between sink and window, in blocks of ``BLOCK``.
        window: last tokens, always seen, and up to a block more; a tree of tokens is less deep.
        far_window: the same for rows behind the trained length.
    """

    start: int
    trained: int
    sink: int = 128
    chosen: int = 1024
    window: int = 256
    far_window: int = 1024

    def window_start(self, seen: int) -> int:
        """Where the window of a row begins that sees so many positions."""
        return (seen - (self.far_window if seen > self.trained else self.window)) // BLOCK * BLOCK

    def __post_init__(self) -> None:
        if any(size % BLOCK for size in (self.sink, self.chosen, self.window, self.far_window)):
            raise ValueError(f"sink, chosen and windows must be multiples of {BLOCK}: {self}")


@dataclass(frozen=True, slots=True)
class LongContexts:
    """Which sequences a list is chosen for.

    Attributes:
        select_from: for prompts of more tokens; None where rows choose for themselves, or everything is in sight.
        context_tokens: longest sequence; None is what the model was trained for.
        settings: how it is chosen.
    """

    select_from: int | None = None
    context_tokens: int | None = None
    settings: SelectionSettings = field(default_factory=SelectionSettings)
