"""Counts of completions over time, in a file on this machine; nothing is ever sent."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from filelock import FileLock

from generation.cache import cache_root


def _path() -> Path:
    return cache_root() / "statistics.json"


def read() -> Counter[str]:
    """All counts so far; nothing where the file is missing or damaged."""
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        return Counter({str(key): int(value) for key, value in found.items()})
    except (OSError, ValueError, AttributeError):
        return Counter()


def add(counts: Counter[str]) -> None:
    """Add the counts of one run; several servers may do so at once."""
    if not counts:
        return
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=0.5):
        new = path.with_suffix(".new")
        new.write_text(json.dumps(dict(sorted((read() + counts).items()))) + "\n", encoding="utf-8")
        new.replace(path)
