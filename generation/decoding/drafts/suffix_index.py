"""Where the end of a sequence stood before, found by ``kernels/suffix_index.cpp``. Knows no model and no text."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Sequence
from ctypes import byref, c_int32

from generation.decoding.llama.native import Kernels
from generation.decoding.sequence import common_start

LONGEST_MATCH = 32  # tokens of a match that are counted


class SuffixIndex:
    """An index of one token sequence, which may grow and may be rewritten from some place on.

    Args:
        kernels: that hold it.
        token_ids: the sequence.
    """

    def __init__(self, kernels: Kernels, token_ids: Sequence[int] = ()) -> None:
        self._library = kernels.library
        self._handle = self._library.memberwise_index_create()
        weakref.finalize(self, self._library.memberwise_index_destroy, self._handle)
        self._ids: list[int] = []
        self.update(token_ids)

    def update(self, token_ids: Sequence[int]) -> int:
        """Make this the sequence; costs what differs from the one before. How many tokens stayed."""
        ids = list(token_ids)
        kept = common_start(self._ids, ids)
        added = array("i", ids[kept:])
        self._library.memberwise_index_update(self._handle, kept, added.buffer_info()[0], len(added))
        self._ids = ids
        return kept

    def find(self, tail: Sequence[int]) -> tuple[int, int]:
        """How many tokens at the end of ``tail`` stood here before, and where they ended; (0, 0) below two.

        The longest match among the latest places; at most ``LONGEST_MATCH`` tokens are counted.
        """
        ids = array("i", tail[-LONGEST_MATCH:])
        end = c_int32()
        match: int = self._library.memberwise_index_find(self._handle, ids.buffer_info()[0], len(ids), byref(end))
        return (match, end.value) if match else (0, 0)

    def following(self, end: int, count: int) -> list[int]:
        """At most ``count`` tokens from a place on."""
        return self._ids[end : end + count]
