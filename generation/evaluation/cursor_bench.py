"""A cursor inside an identifier: three ways to begin there, and how often each writes the rest as it was.

``cut``: the text up to the cursor is tokenized as it is. ``healed``: its last token is taken back and written anew, so
that it may become longer. ``exact``: every way to spell the name up to the cursor counts. No tool is asked, which would
hide the difference. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generation.errors import ConfigError
from generation.evaluation.tool_bench import draw_samples

if TYPE_CHECKING:
    from generation.interfaces import DecodingState, LanguageModel

_SHOWN_CHARACTERS = 1500  # before the cursor
_LONGEST_TOKENS = 12
_SPREAD = 8  # positions that are drawn from for each that is used


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a file: the text before an identifier, what is there of it, and all of it."""

    before: str
    prefix: str
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One way to begin: share of names that came out right, and the median time behind the prompt."""

    start: str
    cursors: int
    right: float
    median_ms: float


def measure(
    model: LanguageModel, roots: Mapping[str, Path], per_repo: int, seed: int, report: Callable[[str], None]
) -> list[Row]:
    """Every way at the same random cursors.

    Raises:
        ConfigError: the repositories have no identifier to stand in.
    """
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name in _STARTS}
    for name, root in roots.items():
        report(f"cursors in identifiers of {name}")
        for cursor in cursors(root, name, per_repo, seed):
            for start, begin in _STARTS.items():
                written, seconds = begin(model, cursor)
                found[start].append((written == cursor.name, seconds))
    if not found["exact"]:
        raise ConfigError(f"{', '.join(roots)} have no identifier of two characters in a function")
    return [
        Row(start, len(all_), statistics.mean(right for right, _ in all_), _median_ms(all_))
        for start, all_ in found.items()
    ]


def _median_ms(found: Sequence[tuple[bool, float]]) -> float:
    return round(statistics.median(seconds for _, seconds in found) * 1000, 2)


def cursors(root: Path, name: str, wanted: int, seed: int) -> Iterator[Cursor]:
    """Random identifiers of a repository's functions, each cut at a random place inside of it."""
    draw = random.Random(f"{seed} {name}")
    positions = [
        (sample.text, position)
        for sample in draw_samples(root, name, wanted * _SPREAD, seed)
        for position in sample.asked
        if len(position.name) > 1
    ]
    for text, position in draw.sample(positions, min(wanted, len(positions))):
        before = text[: position.offset]
        shown = before[max(0, before.rfind("\n", 0, max(len(before) - _SHOWN_CHARACTERS, 0)) + 1) :]
        yield Cursor(shown, position.name[: draw.randrange(1, len(position.name))], position.name)


def _cut(model: LanguageModel, cursor: Cursor) -> tuple[str, float]:
    ids = model.tokenizer.encode(cursor.before + cursor.prefix)
    return _written(model, ids, b"", cursor.prefix, lambda _: [])


def _healed(model: LanguageModel, cursor: Cursor) -> tuple[str, float]:
    from generation.decoding.tokens.vocabulary import vocabulary_of

    *ids, last = model.tokenizer.encode(cursor.before + cursor.prefix)
    vocabulary = vocabulary_of(model.tokenizer)
    candidates = vocabulary.covering(vocabulary.bytes_of(last))
    longer = [one for one in candidates if len(vocabulary.bytes_of(one)) >= len(vocabulary.bytes_of(last))]

    def begin(state: DecodingState) -> Sequence[int]:
        return [longer[int(state.next_logits[longer].argmax())]]

    return _written(model, ids, vocabulary.bytes_of(last), cursor.prefix, begin)


def _exact(model: LanguageModel, cursor: Cursor) -> tuple[str, float]:
    from generation.decoding.tokens.covering import covers
    from generation.decoding.tokens.vocabulary import vocabulary_of

    vocabulary = vocabulary_of(model.tokenizer)
    ids, missing = vocabulary.encode_stem(cursor.before, cursor.prefix)
    required = missing + cursor.prefix.encode()

    def begin(state: DecodingState) -> Sequence[int]:
        return covers(state, vocabulary, required)[0][0].token_ids

    return _written(model, ids, required, cursor.prefix, begin)


_STARTS: Mapping[str, Callable[[LanguageModel, Cursor], tuple[str, float]]] = {
    "cut": _cut,
    "healed": _healed,
    "exact": _exact,
}


def _written(
    model: LanguageModel,
    ids: Sequence[int],
    required: bytes,
    prefix: str,
    begin: Callable[[DecodingState], Sequence[int]],
) -> tuple[str, float]:
    """The whole identifier, and the seconds it took behind the prompt."""
    from generation.decoding.loop.choice import leading_identifier
    from generation.types import Draft

    spelled = model.tokenizer.token_bytes

    def rest() -> str:
        """What was written behind the prefix."""
        return b"".join(spelled[one] for one in tokens)[len(required) :].decode(errors="replace")

    bos = [] if model.tokenizer.bos_id is None else [model.tokenizer.bos_id]
    state = model.start([*bos, *ids])
    try:
        started_s = time.perf_counter()
        tokens = list(begin(state))
        if tokens:
            state.score(Draft.chain(tokens))
            state.commit(range(len(tokens)))
        while len(tokens) < _LONGEST_TOKENS:
            if not f"_{rest()}".isidentifier():
                break
            tokens.append(int(state.next_logits.argmax()))
            state.score(Draft.chain(tokens[-1:]))
            state.commit([0])
        seconds = time.perf_counter() - started_s
    finally:
        state.close()
    return prefix + leading_identifier(f"_{rest()}")[1:], seconds
