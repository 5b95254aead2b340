"""What the types of the standard library have, kept between processes: Jedi takes a tenth of a second for ``str``.

A file of JSON lines beside what Jedi itself keeps, one for each Python and each version of Jedi. Several processes add
to it, a line at a time; a line that cannot be read is as if it was not there. Knows nothing of Jedi. Start reading at
``KeptLists``.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

MOST_LISTS = 1000  # of some 5 kB each; they are read when the first is asked for


class KeptLists:
    """Lists by key.

    Args:
        folder: where they lie.
        made_by: everything the lists depend on beside their key; others are in other files.
    """

    def __init__(self, folder: Path, made_by: object) -> None:
        digest = hashlib.sha256(repr(made_by).encode()).hexdigest()[:16]
        self._path = folder / f"memberwise-{digest}.jsonl"

    @cached_property
    def _lists(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with suppress(OSError), self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError, TypeError):
                    key, value = json.loads(line)
                    found[key] = value
        return found

    def get(self, key: str) -> Any | None:
        """What was kept, as JSON gives it back."""
        return self._lists.get(key)

    def keep(self, key: str, value: Any) -> None:
        """For this process and, where the folder can be written, for others."""
        if len(self._lists) >= MOST_LISTS:
            return
        self._lists[key] = value
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, value]) + "\n")
