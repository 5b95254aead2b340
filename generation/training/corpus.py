"""The corpus: Python files of pinned repositories that are worth learning from, each with the split it belongs to.

Left out are tests, vendored and generated code, data in the shape of code, what does not parse, and what is nearly the
same as a file already taken or as one of the benchmark. A repository is in one split as a whole. Knows nothing of
functions, marks or models. Start reading at ``build_files``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from generation.errors import ConfigError
from generation.evaluation.sources import parse, python_files, read_text
from generation.evaluation.tasks import is_left_out
from generation.hashes import sha256_of
from generation.interfaces import silent
from generation.marks.context import unix_newlines
from generation.training.near_duplicates import NearDuplicates
from generation.training.storage import read_lines, writing

FILES_NAME = "files.jsonl"
VALIDATION = ("kombu", "rich", "Scrapy", "Werkzeug")
_LONGEST_LINE = 400
_MEAN_LINE = 80
_FEWEST_LINES = 10


class Split(StrEnum):
    """What a repository is used for."""

    TRAIN = "train"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file that is learned from, or measured on.

    Attributes:
        repo: its repository, as the list names it.
        path: below the root, with ``/``.
        split: of its repository.
        text: with Unix line ends.
    """

    repo: str
    path: str
    split: Split
    text: str


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Files per repository: taken, and left out by reason. ``characters`` are those of the taken ones."""

    kept: Mapping[str, int]
    left_out: Mapping[str, Mapping[str, int]]
    characters: Mapping[str, int]


def build_files(
    roots: Mapping[str, Path],
    benchmark: Iterable[Path],
    folder: Path,
    validation: Sequence[str] = VALIDATION,
    report: Callable[[str], None] = silent,
) -> FileCounts:
    """Write ``files.jsonl`` into ``folder``, whole or not at all.

    Args:
        roots: repositories by name.
        benchmark: repositories nothing of which may be learned.
        folder: the corpus.
        validation: names of the repositories that are held back.
        report: told which repository is read.

    Raises:
        ConfigError: the folder cannot be written, or nothing is left of the repositories.
    """
    duplicates = NearDuplicates()
    for root in benchmark:
        report(f"reading {root.name} of the benchmark")
        duplicates.add_all(text for path in python_files(root) if (text := read_text(path)) is not None)
    left_out: dict[str, Counter[str]] = {}
    kept, characters = Counter[str](), Counter[str]()
    with writing(folder / FILES_NAME) as out:
        for name, root in roots.items():
            report(f"reading {name}")
            split = Split.VALIDATION if name in validation else Split.TRAIN
            left_out[name] = Counter()
            for file in _taken(name, root, split, duplicates, left_out[name]):
                out.write(json.dumps(asdict(file)) + "\n")
                kept[name] += 1
                characters[name] += len(file.text)
        if not kept:
            raise ConfigError("nothing is left of these repositories after the filters; see their counts")
    return FileCounts(kept, left_out, characters)


def read_files(folder: Path, split: Split | None = None) -> Iterator[CorpusFile]:
    """The files of a corpus, of one split or of all.

    Raises:
        ConfigError: the corpus is missing or damaged.
    """
    for record in read_lines(folder / FILES_NAME):
        if split is None or record["split"] == split:
            yield CorpusFile(record["repo"], record["path"], Split(record["split"]), record["text"])


def digest_of(folder: Path) -> str:
    """The sha256 of the corpus's files.

    Raises:
        ConfigError: the corpus is missing.
    """
    try:
        return sha256_of(folder / FILES_NAME)
    except OSError as error:
        raise ConfigError(f"no corpus in {folder} ({error}); make one with: memberwise corpus build") from error


def _taken(
    name: str, root: Path, split: Split, duplicates: NearDuplicates, left_out: Counter[str]
) -> Iterator[CorpusFile]:
    for path in python_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        text = read_text(path)
        reason = "unreadable" if text is None else _why_not(relative, text)
        if text is not None and reason is None and duplicates.seen(text):
            reason = "near duplicate"
        if text is None or reason:
            left_out[reason or ""] += 1
        else:
            yield CorpusFile(name, str(relative), split, unix_newlines(text))


def _why_not(path: PurePosixPath, text: str) -> str | None:
    """Why a file teaches nothing, if so."""
    if is_left_out(path, text):
        return "test, vendored or generated"
    lines = text.splitlines()
    if len(lines) < _FEWEST_LINES:
        return "short"
    if max(map(len, lines)) > _LONGEST_LINE or len(text) > _MEAN_LINE * len(lines):
        return "data"
    return None if parse(text) else "does not parse"
