"""The repository as the run sees it: a copy into which results are put, so that later functions see earlier ones.

The original is only read until everything is done. Start reading at ``open_tree``; ``patch`` and ``write`` bring the
results out.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from generation import service
from generation.batch.records import BatchRecord, Status
from generation.errors import ConfigError, TargetError
from generation.service import Session
from generation.source.files import SourceFile, read_source, write_source
from generation.source.functions import find_function
from generation.source.text_diff import unified_diff

_NO_SOURCE = shutil.ignore_patterns(".git", "__pycache__", "node_modules", ".venv", "venv", "*.pyc")
_OWNER = "owner.lock"  # in the folder of the copies; held while their process lives
_TREES = "trees.lock"  # beside those folders


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of a repository below ``root``; one process has it for itself.

    Attributes:
        original: the repository.
        root: the copy, which changes between two waves only.
        trial: another copy, in which one body at a time is tested; None where there are no tests.
        testing: held by the thread that uses ``trial``.
    """

    original: Path
    root: Path
    trial: Path | None = None
    testing: threading.Lock = field(default_factory=threading.Lock)

    def put_wave(self, wave: Sequence[BatchRecord], session: Session) -> None:
        """Put what was written in a wave into the copies, for those that follow."""
        for record in wave:
            if record.status is Status.DONE:
                with suppress(TargetError):  # the original has changed since; ``changed_files`` will say so
                    self._put(record, session.first_party)
        session.index.refresh_changed()

    def _put(self, record: BatchRecord, first_party: Collection[str]) -> None:
        for root in filter(None, (self.root, self.trial)):
            file = read_source(root / record.path)
            write_source(file, _with_body(file, record, first_party))


@contextmanager
def open_tree(original: Path, out: Path, *, tested: bool = False) -> Iterator[Tree]:
    """Copies that are gone afterwards. Links are copied as links: what they lead to is not the repository's.

    Args:
        original: the repository.
        out: folder of the run, below which they are put; it may lie in the repository.
        tested: whether bodies will be tested.

    Raises:
        ConfigError: the repository cannot be copied.
    """
    with _own_folder(out.resolve() / "work") as folder:
        roots = [folder / name / original.name for name in ("copy", "trial")[: 2 if tested else 1]]
        for root in roots:
            _copy(original, root, out)
        yield Tree(original, roots[0], roots[1] if tested else None)


def left_out(out: Path) -> Callable[[str, list[str]], set[str]]:
    """What of a folder is not copied: no source, the folder of the run, and what is no file, folder or link."""
    out = out.resolve()

    def found(folder: str, names: list[str]) -> set[str]:
        paths = [Path(folder).resolve() / name for name in names]
        odd = {path.name for path in paths if not (path.is_symlink() or path.is_dir() or path.is_file())}
        return odd | {path.name for path in paths if path == out} | _NO_SOURCE(folder, names)

    return found


def _copy(original: Path, root: Path, out: Path) -> None:
    try:
        shutil.copytree(original, root, symlinks=True, ignore=left_out(out))
    except OSError as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error  # the first of all
        raise ConfigError(f"cannot copy {original}: {reason}; make it readable, or make room in {out}") from error


def remove_abandoned(out: Path) -> None:
    """Remove the copies of processes that were killed."""
    work = out.resolve() / "work"
    if work.is_dir():
        with FileLock(work / _TREES):
            for folder in work.glob("tree-*"):
                with suppress(Timeout), FileLock(folder / _OWNER, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_folder(work: Path) -> Iterator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / _TREES):  # until it has its lock, a folder looks abandoned
        folder = Path(tempfile.mkdtemp(prefix="tree-", dir=work))
        owner = FileLock(folder / _OWNER)
        owner.acquire()
    try:
        yield folder
    finally:
        owner.release()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file with the results in it."""

    file: SourceFile
    text: str


def changed_files(
    root: Path, records: Sequence[BatchRecord], first_party: Collection[str]
) -> tuple[list[ChangedFile], dict[tuple[str, ...], str]]:
    """The files of the original with the bodies in place; and why some records have no place in it any more.

    A file that was edited while the run went on takes the bodies of the functions that it still has empty.
    """
    changed: list[ChangedFile] = []
    misfits: dict[tuple[str, ...], str] = {}
    by_path: dict[str, list[BatchRecord]] = {}
    for record in records:
        if record.status is Status.DONE:
            by_path.setdefault(record.path, []).append(record)
    for path, theirs in sorted(by_path.items()):
        file: SourceFile | None = None
        text = ""
        for record in theirs:
            try:
                file = file or read_source(root / path)
                text = text or file.text
                _require_empty(file, record)
                text = _with_body(_holding(file, text), record, first_party)
            except TargetError as error:
                misfits[record.key] = f"the repository changed: {error}"
        if file is not None and text != file.text:
            changed.append(ChangedFile(file, text))
    return changed, misfits


def patch(changed: Iterable[ChangedFile], root: Path) -> bytes:
    """What ``git apply`` takes in the repository's root."""
    parts = []
    for one in changed:
        mark = "\ufeff" if one.file.bom else ""
        name = one.file.path.relative_to(root).as_posix()
        encoding = one.file.encoding.removesuffix("-sig")
        parts.append(unified_diff(mark + one.file.text, mark + one.text, name).encode(encoding))
    return b"".join(parts)


def write(changed: Iterable[ChangedFile]) -> list[str]:
    """Write the files, each in one step; why some could not be written."""
    failures = []
    for one in changed:
        try:
            write_source(one.file, one.text)
        except TargetError as error:
            failures.append(str(error))
    return failures


def sha256(file: SourceFile) -> str:
    """Of a file as it was read."""
    return hashlib.sha256(file.content).hexdigest()


def _with_body(file: SourceFile, record: BatchRecord, first_party: Collection[str]) -> str:
    site = find_function(file.text, record.function)
    return service.apply(file, site, record.finished(), first_party)


def _require_empty(file: SourceFile, record: BatchRecord) -> None:
    """What somebody has written since the run began is not replaced."""
    if sha256(file) != record.source_sha256 and not find_function(file.text, record.function).is_stub:
        raise TargetError(f"{record.function} in {record.path} has a body now; it stays")


def _holding(file: SourceFile, text: str) -> SourceFile:
    return SourceFile(file.path, file.target, text, file.encoding, file.newline, file.mode, file.content)
