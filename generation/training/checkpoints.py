"""Checkpoints of a run: folders that are there whole or not at all, so that a run can be killed at any moment.

A run's folder holds ``settings.json``, ``log.jsonl`` (appended to), and the last two ``checkpoint-STEP``. Knows no
network. Start reading at ``save_checkpoint`` and ``latest``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from generation.errors import ConfigError
from generation.training.storage import saying_why

_PREFIX = "checkpoint-"
_KEPT = 2


def save_checkpoint(
    run: Path, step: int, tensors: Mapping[str, torch.Tensor], optimizer: Any, progress: Mapping[str, Any]
) -> None:
    """Write a checkpoint and delete all but the last two; an older one stays whatever happens to this one.

    Raises:
        ConfigError: the disk is full, or the folder may not be written.
    """
    unfinished, target = run / f".{_PREFIX}{step}.unfinished", run / f"{_PREFIX}{step}"
    with saying_why(target):
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _save_files(unfinished, tensors, optimizer, progress)
            shutil.rmtree(target, ignore_errors=True)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    for old in _checkpoints(run)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _save_files(folder: Path, tensors: Mapping[str, torch.Tensor], optimizer: Any, progress: Mapping[str, Any]) -> None:
    save_tensors(tensors, folder / "adapter.safetensors")
    try:
        torch.save(optimizer, folder / "optimizer.pt")
    except RuntimeError as error:  # what torch makes of a write that failed
        raise OSError(str(error)) from error
    (folder / "progress.json").write_text(json.dumps(progress), encoding="utf-8")


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a file of the safetensors format.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(save(dict(tensors), metadata))  # save_file keeps others from reading, and has errors of its own


def latest(run: Path) -> Path | None:
    """The newest checkpoint of a run, if there is one."""
    found = _checkpoints(run)
    return found[-1] if found else None


def load(checkpoint: Path) -> tuple[dict[str, torch.Tensor], Any, dict[str, Any]]:
    """Tensors, optimizer state and progress of a checkpoint.

    Raises:
        ConfigError: a file is missing or damaged.
    """
    try:
        progress = json.loads((checkpoint / "progress.json").read_text(encoding="utf-8"))
        optimizer = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
        return load_file(checkpoint / "adapter.safetensors"), optimizer, progress
    except Exception as error:
        raise ConfigError(
            f"the checkpoint {checkpoint} is damaged ({error}); delete it to use the one before"
        ) from error


def _checkpoints(run: Path) -> list[Path]:
    """Oldest first."""
    found = [path for path in run.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))
