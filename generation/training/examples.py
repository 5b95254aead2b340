"""What the network is shown: token sequences, and where in them the loss counts.

An example is a function of the corpus, the seed and its number, and of nothing else: a run that is killed goes on with
the next number and sees what it would have seen. Knows no network. Start reading at ``WindowSource``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from generation.errors import ConfigError
from generation.interfaces import Tokenizer
from generation.marks.layout import after_block, path_block
from generation.training.corpus import CorpusFile, Split, read_files

_CHARACTERS_PER_TOKEN = 2.8  # less than what code has, so that nearly every window fits
_MIDDLE_SHARE = 0.3  # of the examples that fill a hole
_LARGEST_COUNTED = 60_000  # characters; a file longer than that is not drawn more often


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A token sequence.

    Attributes:
        token_ids: what the network reads.
        counted_from: the loss counts from there on.
        size_tokens: how much it adds to a step; the same with and without marks, so that both see the same steps.
    """

    token_ids: Sequence[int]
    counted_from: int
    size_tokens: int


class ExampleSource(Protocol):
    """Numbered examples without end."""

    def example(self, number: int) -> TrainingExample:
        """The example with this number; the same one whenever asked."""

    def validation(self, count: int) -> list[TrainingExample]:
        """Examples of repositories that are held back."""


class WindowSource:
    """Stage one: pieces of whole source files, some of them with the text after a cursor shown first.

    Args:
        folder: the corpus.
        tokenizer: of the base.
        length_tokens: longest example.
        seed: of the choice.

    Raises:
        ConfigError: the corpus is missing, or one of its splits is empty.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, length_tokens: int, seed: int = 0) -> None:
        self._tokenizer = tokenizer
        self._length_tokens = length_tokens
        self._seed = seed
        self._draw = {split: _drawer(list(read_files(folder, split)), split) for split in Split}

    def example(self, number: int) -> TrainingExample:
        """The example with this number."""
        return self._example(Split.TRAIN, f"{self._seed}:{number}")

    def validation(self, count: int) -> list[TrainingExample]:
        """The first ``count`` examples of the held-back repositories, whatever the seed is."""
        return [self._example(Split.VALIDATION, f"validation:{number}") for number in range(count)]

    def _example(self, split: Split, seed: str) -> TrainingExample:
        random_numbers = random.Random(seed)
        file = self._draw[split](random_numbers)
        window = _window(file.text, int(self._length_tokens * _CHARACTERS_PER_TOKEN), random_numbers)
        if random_numbers.random() < _MIDDLE_SHARE:
            window = _with_hole(window, random_numbers)
        ids = self._tokenizer.encode(path_block(file.path) + window)
        ids = with_ends(self._tokenizer, ids)[: self._length_tokens]
        return TrainingExample(ids, 1, len(ids))


def with_ends(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """``ids`` between what the tokenizer puts before a text and what ends one."""
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return [*start, *ids, *sorted(tokenizer.eos_ids)[:1]]


def _drawer(files: list[CorpusFile], split: Split) -> Callable[[random.Random], CorpusFile]:
    """Draws files: repositories by the square root of their size, so that large ones do not drown the others."""
    if not files:
        raise ConfigError(f"the corpus has no files for {split}; name other repositories with --validation")
    sizes: dict[str, int] = {}
    for file in files:
        sizes[file.repo] = sizes.get(file.repo, 0) + min(len(file.text), _LARGEST_COUNTED)
    weights = [min(len(file.text), _LARGEST_COUNTED) * sizes[file.repo] ** -0.5 for file in files]
    cumulative = list(accumulate(weights))
    return lambda random_numbers: random_numbers.choices(files, cum_weights=cumulative)[0]


def _window(text: str, characters: int, random_numbers: random.Random) -> str:
    """About ``characters`` of a file: from its start in two cases of five, else from any line."""
    starts = [0, *(index + 1 for index, char in enumerate(text) if char == "\n")]
    possible = [start for start in starts if start <= max(0, len(text) - characters // 2)]
    start = 0 if random_numbers.random() < 0.4 else random_numbers.choice(possible)
    return text[start : start + characters]


def _with_hole(window: str, random_numbers: random.Random) -> str:
    """The window with its end shown first, as a prompt shows what stands behind the cursor.

    In half of the cases the cursor ends a line. Where the hole begins need not be said: all before it is code as well.
    """
    cursor = random_numbers.randrange(len(window) + 1)
    if random_numbers.random() < 0.5:
        cursor = window.rfind("\n", 0, cursor) + 1
    return after_block(window[cursor:]) + window[:cursor]
