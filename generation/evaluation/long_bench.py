"""What long contexts are worth: with everything in sight, with a chosen part, and with the end only.

A value is planted in real files and asked for. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.decoding.selection.probe import Probe
    from generation.interfaces import LanguageModel

_FOLLOWING_TOKENS = 48
_KEPT_TOKENS = 2688  # of a prompt that is cut: as many as a chosen list has
_FILE_BYTES = 60_000
_WORDS = ("amber", "basalt", "cedar", "dune", "ember", "fjord", "grove", "harbor")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to read at one length, over all needles."""

    reader: str
    prompt_tokens: int
    needles: int
    recall: float
    loss: float
    step_ms: float
    read_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt with a definition planted at a depth between 0 (start) and 1."""

    prompt: Sequence[int]
    following: Sequence[int]
    question: Sequence[int]
    value: Sequence[int]


def measure(
    readers: Mapping[str, LanguageModel],
    root: Path,
    lengths: Sequence[int],
    needles: int,
    report: Callable[[str], None],
) -> list[Row]:
    """Every reader on the same tasks, in turn. A prompt beyond a reader's context is left out; ``cut`` sees its end.

    Args:
        readers: models by name, and ``cut``.
        root: a repository.
        lengths: tokens of the prompts.
        needles: tasks of each length.
        report: told what is measured now.
    """
    from generation.decoding.selection.probe import probe

    rows = []
    for length in lengths:
        found: dict[str, list[Probe]] = {name: [] for name in readers}
        for number in range(needles):
            task = make_task(next(iter(readers.values())).tokenizer.encode, root, length, number, needles)
            for name, model in readers.items():
                prompt = task.prompt[-_KEPT_TOKENS:] if name == "cut" else task.prompt
                if len(prompt) + 200 <= model.context_tokens:
                    report(f"{length} tokens, needle {number + 1} of {needles}: {name}")
                    found[name].append(probe(model, prompt, task.following, task.question, task.value))
        rows += [_row(name, length, probes) for name, probes in found.items() if probes]
    return rows


def make_task(encode: Callable[[str], list[int]], root: Path, length: int, number: int, needles: int) -> Task:
    """The needle ``number`` lies at the depth (number + 1/2) / needles."""
    chance = random.Random(number)
    name, value = f"{chance.choice(_WORDS)}_{chance.choice(_WORDS)}_code", str(chance.randrange(10_000, 99_999))
    needle = encode(f'\n\ndef {name}():\n    return "{value}"\n\n')
    files = [path for path in sorted(root.rglob("*.py")) if path.stat().st_size < _FILE_BYTES]
    chance.shuffle(files)
    tokens: list[int] = []
    for path in files:
        tokens += encode(path.read_text(encoding="utf-8", errors="replace"))
        if len(tokens) >= length + _FOLLOWING_TOKENS:
            break
    plain = length - len(needle)
    depth = int(plain * (number + 0.5) / needles)
    prompt = [*tokens[:depth], *needle, *tokens[depth:plain]]
    question = encode(f'\n\n\ndef test_code():\n    assert {name}() == "')
    return Task(prompt, tokens[plain : plain + _FOLLOWING_TOKENS], question, encode(value))


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The chosen part against everything, at every length that both read."""
    by_place = {(row.reader, row.prompt_tokens): row for row in rows}
    found = {}
    for (reader, length), row in by_place.items():
        full = by_place.get(("everything", length))
        if reader == "chosen" and full is not None:
            found[f"step_{length}"] = round(full.step_ms / row.step_ms, 3)
            found[f"loss_{length}"] = round(row.loss - full.loss, 4)
            if full.recall:
                found[f"recall_{length}"] = round(row.recall / full.recall, 3)
    return found


def _row(name: str, length: int, probes: Sequence[Probe]) -> Row:
    return Row(
        name,
        length,
        len(probes),
        statistics.fmean(probe.found for probe in probes),
        statistics.fmean(probe.loss for probe in probes),
        statistics.median(probe.step_ms for probe in probes),
        statistics.median(probe.read_s for probe in probes),
    )
