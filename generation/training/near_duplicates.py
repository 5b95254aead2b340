"""Which texts are nearly the same as one seen before: MinHash over runs of words, by the datasketch library.

Knows nothing of files or Python. Start reading at ``NearDuplicates.seen``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any

from generation.errors import MissingExtraError

_WORD = re.compile(r"\w+")
_RUN_WORDS = 5
_PERMUTATIONS = 128
_THRESHOLD = 0.7  # share of their runs of words that two texts have in common (Jaccard), as estimated
_MARGIN = 0.1  # the index is asked for less than the threshold, so that it misses little; each find is then compared


class NearDuplicates:
    """Texts, and whether a new one is nearly one of them.

    Raises:
        MissingExtraError: datasketch is not installed.
    """

    def __init__(self) -> None:
        try:
            import datasketch
        except ImportError as error:
            raise MissingExtraError("datasketch", "train") from error
        self._empty: Any = datasketch.MinHash(num_perm=_PERMUTATIONS, hashfunc=zlib.crc32)
        self._index: Any = datasketch.MinHashLSH(threshold=_THRESHOLD - _MARGIN, num_perm=_PERMUTATIONS)
        self._sketches: list[Any] = []

    def add_all(self, texts: Iterable[str]) -> None:
        """Remember texts."""
        for text in texts:
            self.seen(text)

    def seen(self, text: str) -> bool:
        """Whether a text like this one was remembered before; if not, it is remembered now."""
        sketch = self._empty.copy()
        sketch.update_batch(_runs(text))
        near = (self._sketches[number] for number in self._index.query(sketch))
        if any(sketch.jaccard(other) >= _THRESHOLD for other in near):
            return True
        self._index.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)
        return False


def _runs(text: str) -> list[bytes]:
    words = [word.encode() for word in _WORD.findall(text)]
    starts = range(max(1, len(words) - _RUN_WORDS + 1))
    return sorted({b" ".join(words[start : start + _RUN_WORDS]) for start in starts})
