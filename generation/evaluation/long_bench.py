"""What long contexts are worth: with everything in sight, with a chosen part, and with the end only.

Definitions are planted in real files and their values asked for. Knows no implementation but by name. Start
reading at ``measure``.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.decoding.selection.probe import Answers, Following, Question
    from generation.interfaces import LanguageModel

_FOLLOWING_TOKENS = 48
_KEPT_TOKENS = 2688  # of a prompt that is cut
_IN_ONE_PROMPT = 4  # definitions: more of them are mistaken for each other
_FILE_BYTES = 60_000
_WORDS = ("amber", "basalt", "cedar", "dune", "ember", "fjord", "grove", "harbor")
_KINDS = ("code", "limit", "version", "port")  # as many as a prompt has definitions


@dataclass(frozen=True, slots=True)
class Row:
    """One way to read at one length, over all needles."""

    reader: str
    prompt_tokens: int
    needles: int
    recall: float
    value_loss: float
    loss: float
    step_ms: float
    read_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt with definitions, and what follows it in its file."""

    prompt: Sequence[int]
    following: Sequence[int]
    questions: Sequence[Question]


def measure(
    readers: Mapping[str, LanguageModel],
    roots: Sequence[Path],
    lengths: Sequence[int],
    needles: int,
    report: Callable[[str], None],
) -> list[Row]:
    """Every reader on the same tasks, in turn. A prompt beyond a reader's context is left out; ``cut`` sees its end.

    Args:
        readers: models by name, and ``cut``.
        roots: repositories; a row is over all of them.
        lengths: tokens of the prompts.
        needles: definitions of each length in each repository, four in a prompt.
        report: told what is measured now.
    """
    from generation.decoding.selection import probe

    rows = []
    for length in lengths:
        answers: dict[str, list[Answers]] = {name: [] for name in readers}
        followed: dict[str, list[Following]] = {name: [] for name in readers}
        for root, number in product(roots, range(-(-needles // _IN_ONE_PROMPT))):
            count = min(_IN_ONE_PROMPT, needles - _IN_ONE_PROMPT * number)
            task = make_task(next(iter(readers.values())).tokenizer.encode, root, length, number, count)
            states = {}
            for name, model in readers.items():
                prompt = task.prompt[-_KEPT_TOKENS:] if name == "cut" else task.prompt
                if len(prompt) + 200 <= model.context_tokens:
                    report(f"{length} tokens of {root.name}, prompt {number + 1}: {name}")
                    answers[name].append(probe.ask(model, prompt, task.questions))
                    states[name] = model.start(prompt)
            for name, found in zip(states, probe.follow(list(states.values()), task.following), strict=True):
                followed[name].append(found)
                states[name].close()
        rows += [_row(name, length, answers[name], followed[name]) for name in readers if answers[name]]
    return rows


def make_task(encode: Callable[[str], list[int]], root: Path, length: int, number: int, needles: int) -> Task:
    """The prompt ``number``; definition i of it lies at the depth (i + 1/2) / needles."""
    from generation.decoding.selection.probe import Question

    chance = random.Random(number)
    files = [path for path in sorted(root.rglob("*.py")) if path.stat().st_size < _FILE_BYTES]
    chance.shuffle(files)
    tokens: list[int] = []
    for path in files:
        tokens += encode(path.read_text(encoding="utf-8", errors="replace"))
        if len(tokens) >= length + _FOLLOWING_TOKENS:
            break
    names = ["_".join(chance.sample(_WORDS, 2)) + f"_{kind}" for kind in chance.sample(_KINDS, needles)]
    values = [str(chance.randrange(100, 999)) for _ in names]
    definitions = [
        encode(f'\n\ndef {name}():\n    return "{value}"\n\n') for name, value in zip(names, values, strict=True)
    ]
    plain, prompt, start = length - sum(map(len, definitions)), list[int](), 0
    for place, definition in enumerate(definitions):
        end = int(plain * (place + 0.5) / needles)
        prompt += [*tokens[start:end], *definition]
        start = end
    questions = [
        Question(encode(f'\n\n\ndef test_value():\n    assert {name}() == "'), encode(value))
        for name, value in zip(names, values, strict=True)
    ]
    return Task([*prompt, *tokens[start:plain]], tokens[plain : plain + _FOLLOWING_TOKENS], questions)


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The chosen part against everything, at every length that both read."""
    by_place = {(row.reader, row.prompt_tokens): row for row in rows}
    found = {}
    for (reader, length), row in by_place.items():
        full = by_place.get(("everything", length))
        if reader == "chosen" and full is not None:
            found[f"step_{length}"] = round(full.step_ms / row.step_ms, 3)
            found[f"loss_{length}"] = round(row.loss - full.loss, 4)
            found[f"value_loss_{length}"] = round(row.value_loss - full.value_loss, 4)
            if full.recall:
                found[f"recall_{length}"] = round(row.recall / full.recall, 3)
    return found


def _row(name: str, length: int, answers: Sequence[Answers], followed: Sequence[Following]) -> Row:
    found = [one for some in answers for one in some.found]
    value_losses = [one for some in answers for one in some.losses]
    return Row(
        name,
        length,
        len(found),
        statistics.fmean(found),
        statistics.fmean(value_losses),
        statistics.fmean(one.loss for one in followed),
        statistics.median(one.step_ms for one in followed),
        statistics.median(one.read_s for one in answers),
    )
