"""The folder of cached models: whole entries only, whatever happens to the processes that fill it.

Knows nothing of where models come from. An entry is built in a temporary folder beside the others and renamed into
place, so it exists whole or not at all. One lock, which the operating system drops when its process dies, guards all
changes; so any temporary folder found while holding it was left by a dead process and is swept away.
Start reading at ``add``.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from generation.cache import cache_root
from generation.errors import ModelLoadError
from generation.models.manifest import MANIFEST_NAME, Manifest, read_manifest

Report = Callable[[str, int, int], None]
"""Told of progress: what is being done, how many bytes of it are done, and of how many (0: not known)."""

_TEMPORARY = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached model."""

    path: Path
    manifest: Manifest


def silent(stage: str, done_bytes: int, total_bytes: int) -> None:
    """A ``Report`` that tells nobody."""


def models_folder() -> Path:
    """Where models are cached; may not exist yet."""
    return cache_root() / "models"


def entries() -> list[Entry]:
    """Every whole model in the cache, by name."""
    folders = sorted(models_folder().glob("*")) if models_folder().is_dir() else []
    found = [Entry(path, manifest) for path in folders if (manifest := _entry_manifest(path))]
    return sorted(found, key=lambda entry: entry.manifest.provenance.name)


def find(key: str) -> Path | None:
    """The folder of the entry ``key``, if it is cached whole."""
    path = models_folder() / key
    return path if _entry_manifest(path) else None


def add(key: str, build: Callable[[Path, Path], Manifest], report: Report = silent) -> Path:
    """The entry ``key``, built unless it is there.

    ``build(scratch, folder)`` fills ``folder`` with the model and returns its manifest; ``scratch`` is for downloads.

    Raises:
        ModelLoadError: no disk space, no permission, or whatever ``build`` raises; nothing is left behind.
    """
    target = models_folder() / key
    with _writing(), _locked(report):
        if found := find(key):
            return found
        staging = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=models_folder()))
        try:
            _build_entry(staging, build, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def remove(entry: Entry) -> None:
    """Delete a cached model; an interrupted removal leaves nothing that looks like a model.

    Raises:
        ModelLoadError: no permission.
    """
    with _writing(), _locked(silent):
        doomed = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=models_folder()))
        entry.path.rename(doomed / "model")
        shutil.rmtree(doomed)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check the disk that holds ``folder`` before a long piece of work.

    Raises:
        ModelLoadError: fewer than ``needed_bytes`` are free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise ModelLoadError(
            f"not enough disk space in {models_folder()}: {needed_bytes / 1e6:,.0f} MB needed, "
            f"{free_bytes / 1e6:,.0f} MB free. Free some, or set MEMBERWISE_CACHE to a folder on a larger disk"
        )


def _entry_manifest(path: Path) -> Manifest | None:
    return None if path.name.startswith(_TEMPORARY) else read_manifest(path)


def _build_entry(staging: Path, build: Callable[[Path, Path], Manifest], target: Path) -> None:
    scratch, folder = staging / "scratch", staging / "model"
    scratch.mkdir()
    folder.mkdir()
    manifest = build(scratch, folder)
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    if target.exists():  # damaged, or of another format
        target.rename(staging / "replaced")
    folder.rename(target)


@contextmanager
def _locked(report: Report) -> Iterator[None]:
    models_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(models_folder() / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("waiting for another process that changes the model cache", 0, 0)
        lock.acquire()
    try:
        for left_over in models_folder().glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = "the disk is full. Free some space"
        else:
            reason = f"cannot write there ({error}). Change its permissions"
        message = f"{models_folder()}: {reason}, or set MEMBERWISE_CACHE to another folder"
        raise ModelLoadError(message) from error
