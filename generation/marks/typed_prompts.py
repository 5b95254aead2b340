"""Prompts while somebody types: the layout of the last one stays, and what is typed comes behind it.

A new layout moves the code above the cursor, and all of it has to be read again, which takes a second where a key
takes a tenth. So a prompt is laid out anew only where the cursor has gone elsewhere, where much was typed, or while
nobody waits. Knows no tokenizer and no repository. Start reading at ``TypedPrompts.prompt``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MOST_TYPED = 400  # characters, taken away ones included, that a layout bears
_FILES = 16


@dataclass(frozen=True, slots=True)
class _Layout:
    before: str
    after: str
    prompt: str

    def moved(self, before: str, after: str) -> tuple[str, int] | None:
        """The prompt for another cursor, and how much was typed and taken away since; None where it does not fit."""
        if after != self.after:
            return None
        common = _common(self.before, before)
        removed, typed = self.before[common:], before[common:]
        if not self.prompt.endswith(removed):
            return None
        return self.prompt[: len(self.prompt) - len(removed)] + typed, len(removed) + len(typed)


class TypedPrompts:
    """The last layout of each file."""

    def __init__(self) -> None:
        self._layouts: OrderedDict[Path, _Layout] = OrderedDict()

    def prompt(self, path: Path, before: str, after: str, build: Callable[[], str], *, waited_for: bool) -> str:
        """The prompt of a cursor.

        Args:
            path: the file.
            before: its text up to the cursor, which ends the prompt, with Unix line ends.
            after: its text behind the cursor.
            build: lays a prompt out.
            waited_for: somebody waits; otherwise half as much typing is reason enough for a new layout.
        """
        layout = self._layouts.get(path)
        moved = layout.moved(before, after) if layout else None
        if moved is not None and moved[1] <= (MOST_TYPED if waited_for else MOST_TYPED // 2):
            return moved[0]
        prompt = build()
        self._layouts[path] = _Layout(before, after, prompt)
        self._layouts.move_to_end(path)
        while len(self._layouts) > _FILES:
            self._layouts.popitem(last=False)
        return prompt


def _common(first: str, second: str) -> int:
    """Length of the longest common start, found by halves: files are long, and this is done at every key."""
    known, limit = 0, min(len(first), len(second))
    while known < limit:
        middle = (known + limit + 1) // 2
        known, limit = (middle, limit) if first[:middle] == second[:middle] else (known, middle - 1)
    return known
