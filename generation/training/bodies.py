"""Examples of what is asked of the model: a hole in a function, its prompt, and what belongs there, with marks.

Three kinds: a whole body below its docstring; the rest of a body from a line on; a hole in the middle, from anywhere
(inside a word too) to the end of the line or of some more, with the text behind it shown. The prompt is made by the
function that decoding uses. Knows no network. Start reading at ``holes`` and ``HoleSource``.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

from generation.decoding.sequence import common_start
from generation.decoding.tokens.tokenizer import load_tokenizer
from generation.decoding.tokens.vocabulary import encode_stem
from generation.errors import ConfigError
from generation.interfaces import Tokenizer, silent
from generation.marks.insertion import pieces
from generation.marks.outline import indent_of
from generation.marks.prompt import build_prompt
from generation.orphans import end_with_parent
from generation.tools.member_index import MemberIndex
from generation.tools.prompt_context import prompt_context
from generation.training.corpus import CorpusFile, Split, read_files
from generation.training.examples import TrainingExample, with_ends
from generation.training.marking import MarkedFunction, read_marked
from generation.training.storage import read_lines, writing
from generation.types import Definition

HOLES_NAME = "holes.jsonl"


class HoleKind(StrEnum):
    """Which part of a body is to be written."""

    BODY = "body"
    REST = "rest"
    MIDDLE = "middle"


@dataclass(frozen=True, slots=True)
class HoleSettings:
    """How holes are made.

    Attributes:
        shares: of the kinds, relative to each other.
        prompt_tokens: budgets of prompts, drawn with equal chance.
        seed: of the draws.
    """

    shares: tuple[tuple[HoleKind, float], ...] = ((HoleKind.BODY, 0.6), (HoleKind.REST, 0.15), (HoleKind.MIDDLE, 0.25))
    prompt_tokens: tuple[int, ...] = (128, 256, 384)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Hole:
    """One example as text.

    Attributes:
        repo: of the function.
        split: of the repository.
        function: path and qualified name.
        kind: which part.
        prompt: what the model reads; ends at the hole, without the indentation of a first line.
        indent: that indentation; it is given, not written.
        pieces: what belongs behind the prompt, indentation included; a mark stands between two pieces.
    """

    repo: str
    split: Split
    function: str
    kind: HoleKind
    prompt: str
    indent: str
    pieces: tuple[str, ...]


def holes(
    index: MemberIndex,
    file: CorpusFile,
    functions: Sequence[MarkedFunction],
    count_tokens: Callable[[str], int],
    settings: HoleSettings,
) -> Iterator[Hole]:
    """One hole in each function, drawn by the seed and the function's name."""
    for function in functions:
        draw = random.Random(f"{settings.seed}:{file.repo}/{file.path}::{function.qualname}@{function.start}")
        kinds, weights = zip(*settings.shares, strict=True)
        kind: HoleKind = draw.choices(kinds, weights)[0]
        start, end = _span(file.text, function, kind, draw)
        budget = draw.choice(settings.prompt_tokens)
        prompt, indent = _prompt(index, file, function, (start, end), count_tokens, budget)
        marks = [offset - start for offset in function.marks if start + len(indent) <= offset < end]
        yield Hole(
            file.repo,
            file.split,
            f"{file.path}::{function.qualname}",
            kind,
            prompt,
            indent,
            tuple(pieces(file.text[start:end], marks)),
        )


def _span(text: str, function: MarkedFunction, kind: HoleKind, draw: random.Random) -> tuple[int, int]:
    """Where the hole is; one of a whole body or its rest starts at a line start."""
    body = text[function.start : function.end].rstrip() + "\n"
    end = function.start + len(body)
    lines = list(accumulate(map(len, body.splitlines(keepends=True)), initial=function.start))
    starts = [start for start in lines[:-1] if text[start : text.find("\n", start)].strip()]
    if kind is HoleKind.BODY or len(starts) < 2:
        return function.start, end
    if kind is HoleKind.REST:
        return draw.choice(starts[1:]), end
    line = draw.choice(starts)
    line_end = text.find("\n", line)
    cursor = draw.randrange(line, line_end) if draw.random() < 0.7 else line
    stops = [stop - 1 for stop in lines if stop > line][: draw.choice((1, 1, 2, 4))]
    return cursor, min(stops[-1], end)


def _prompt(
    index: MemberIndex,
    file: CorpusFile,
    function: MarkedFunction,
    hole: tuple[int, int],
    count_tokens: Callable[[str], int],
    budget_tokens: int,
) -> tuple[str, str]:
    """The prompt, and the indentation of the hole's first line if it starts with one."""
    before, after = file.text[: hole[0]], file.text[hole[1] :]
    path = index.root / file.path
    at_line_start = not before or before.endswith("\n")
    context = prompt_context(index, path, before, after, function.qualname.rpartition(".")[0])
    lines = range(file.text.count("\n", 0, hole[0]), file.text.count("\n", 0, function.end))

    def elsewhere(found: Sequence[Definition]) -> tuple[Definition, ...]:
        return tuple(one for one in found if one.path != path or one.line not in lines)

    context = replace(
        context, definitions=elsewhere(context.definitions), class_members=elsewhere(context.class_members)
    )
    indent = indent_of(file.text[hole[0] : hole[1]].partition("\n")[0]) if at_line_start else ""
    return build_prompt(context, count_tokens, budget_tokens), indent


def read_holes(folder: Path, split: Split | None = None) -> Iterator[Hole]:
    """The holes of a corpus, of one split or of all.

    Raises:
        ConfigError: they are missing or damaged.
    """
    for record in read_lines(folder / HOLES_NAME):
        if split is None or record["split"] == split:
            kind, parts = HoleKind(record["kind"]), tuple(record["pieces"])
            yield Hole(**{**record, "split": Split(record["split"]), "kind": kind, "pieces": parts})


def tokens_of(hole: Hole, tokenizer: Tokenizer, mark_id: int | None, length_tokens: int) -> TrainingExample:
    """The token ids of an example, as decoding would see and write them.

    Tokenizers merge across the end of a prompt, so prompt and hole are tokenized together; the loss counts behind the
    tokens that decoding starts with. What does not fit at the end is cut off, where marks do not count.

    Args:
        hole: the example.
        tokenizer: of the base.
        mark_id: of the mark; None leaves marks out.
        length_tokens: longest example, marks not counted.
    """
    first, *others = hole.pieces if mark_id is not None else ["".join(hole.pieces)]
    ids = tokenizer.encode(hole.prompt + first)
    stem, _ = encode_stem(tokenizer, hole.prompt + hole.indent, "return")
    counted = common_start(ids, stem)
    for part in others:
        ids += [mark_id or 0, *tokenizer.encode(part)]
    ids = with_ends(tokenizer, ids)
    visible = list(accumulate((token_id != mark_id for token_id in ids), initial=0))
    return TrainingExample(
        ids[: bisect_right(visible, length_tokens) - 1],
        counted + (tokenizer.bos_id is not None),
        min(length_tokens, len(tokenizer.encode(hole.prompt + "".join(hole.pieces)))),
    )


def build_holes(
    folder: Path,
    roots: Mapping[str, Path],
    model: Path,
    settings: HoleSettings,
    per_repo: int = 0,
    jobs: int = 1,
    report: Callable[[int, int], None] = silent,
) -> int:
    """Write ``holes.jsonl`` for all functions that are marked, whole or not at all; how many there are.

    Args:
        folder: the corpus.
        roots: repositories by name.
        model: whose tokenizer counts.
        settings: of the holes.
        per_repo: most functions of each repository; 0 takes all.
        jobs: processes.
        report: told how many repositories are done, of how many.

    Raises:
        ConfigError: nothing is marked, or the folder cannot be written.
    """
    marked = read_marked(folder)
    by_repo: dict[str, list[tuple[CorpusFile, list[MarkedFunction]]]] = {}
    for file in read_files(folder):
        if file.repo in roots and (functions := marked.get((file.repo, file.path))):
            by_repo.setdefault(file.repo, []).append((file, functions))
    found = 0
    with writing(folder / HOLES_NAME) as out, ProcessPoolExecutor(jobs, get_context("spawn"), end_with_parent) as pool:
        work = [
            pool.submit(_holes_of, roots[repo], _limited(files, per_repo), model, settings)
            for repo, files in by_repo.items()
        ]
        for number, lines in enumerate(work, start=1):
            out.writelines(f"{line}\n" for line in lines.result())
            found += len(lines.result())
            report(number, len(work))
    if not found:
        raise ConfigError(f"no function in {folder} is marked; run memberwise marks insert first")
    return found


Marked = Sequence[tuple[CorpusFile, Sequence[MarkedFunction]]]


def _limited(files: Marked, most: int) -> Marked:
    """The first functions of each file in turn, until there are ``most``."""
    ordered = [(place, file, one) for file, functions in files for place, one in enumerate(functions)]
    chosen = sorted(ordered, key=lambda item: item[0])[: most or None]
    kept: dict[str, tuple[CorpusFile, list[MarkedFunction]]] = {}
    for _, file, one in chosen:
        kept.setdefault(file.path, (file, []))[1].append(one)
    return list(kept.values())


def _holes_of(root: Path, files: Marked, model: Path, settings: HoleSettings) -> list[str]:
    """Lines of ``holes.jsonl`` for one repository; runs in a process of its own."""
    tokenizer = load_tokenizer(model)
    index = MemberIndex.build(root)

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text))

    found = (hole for file, functions in files for hole in holes(index, file, functions, count_tokens, settings))
    return [json.dumps(asdict(hole)) for hole in found]


@dataclass(slots=True)
class HoleSource:
    """Stage two: holes in functions, each seen once a round, in an order drawn by the seed.

    Attributes:
        folder: the corpus.
        tokenizer: of the base.
        mark_id: of the mark; None trains the same functions without marks.
        length_tokens: longest example.
        seed: of the order.
    """

    folder: Path
    tokenizer: Tokenizer
    mark_id: int | None
    length_tokens: int
    seed: int = 0
    _train: list[Hole] = field(init=False)
    _held_back: list[Hole] = field(init=False)

    def __post_init__(self) -> None:
        everything = list(read_holes(self.folder))
        self._train = [hole for hole in everything if hole.split is Split.TRAIN]
        self._held_back = [hole for hole in everything if hole.split is Split.VALIDATION]
        if not self._train or not self._held_back:
            raise ConfigError(
                f"{self.folder} has {len(self._train)} functions to learn from and {len(self._held_back)} to measure "
                "on; it needs both: check that the repositories have docstrings, then memberwise marks insert"
            )

    def example(self, number: int) -> TrainingExample:
        """The example with this number."""
        round_number, place = divmod(number, len(self._train))
        order = random.Random(f"{self.seed}:{round_number}").sample(range(len(self._train)), len(self._train))
        return self._tokens(self._train[order[place]])

    def validation(self, count: int) -> list[TrainingExample]:
        """Whole bodies of held-back repositories, the same ones for every seed."""
        bodies = [hole for hole in self._held_back if hole.kind is HoleKind.BODY] or self._held_back
        chosen = random.Random("validation").sample(bodies, min(count, len(bodies)))
        return [self._tokens(hole) for hole in chosen]

    def _tokens(self, hole: Hole) -> TrainingExample:
        return tokens_of(hole, self.tokenizer, self.mark_id, self.length_tokens)
