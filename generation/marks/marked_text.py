"""Marked text: source text in which a mark stands wherever the tool is asked.

``strip(insert(text, offsets)) == text`` holds for every text, one that spells the mark included: such a spelling
gets a backslash before its ``>`` (and one more if it has some already), which no mark has. Knows nothing of tokens or
of when a mark is worth its place. Start reading at ``insert``; ``split`` is its inverse.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

MARK = "<COMP>"

_SPELLED = re.compile(r"<COMP\\*>")
_ESCAPED = re.compile(r"<COMP\\+>")


def insert(text: str, offsets: Iterable[int]) -> str:
    """``text`` with a mark at each of ``offsets``; an offset given twice gets one mark.

    Raises:
        ValueError: an offset lies outside the text.
    """
    places = sorted(set(offsets))
    if places and not 0 <= places[0] <= places[-1] <= len(text):
        raise ValueError(f"mark offsets {places[0]}..{places[-1]} leave the text of {len(text)} characters")
    edits = [(place, MARK) for place in places]
    edits += [(spelled.end() - 1, "\\") for spelled in _SPELLED.finditer(text)]
    pieces, done = [], 0
    for place, added in sorted(edits, key=lambda edit: edit[0]):
        pieces += [text[done:place], added]
        done = place
    return "".join([*pieces, text[done:]])


def split(marked: str) -> tuple[str, tuple[int, ...]]:
    """The text without its marks, and the offsets into it at which they stood."""
    pieces = marked.split(MARK)
    escaped = "".join(pieces)
    escapes = [found.end() - 2 for found in _ESCAPED.finditer(escaped)]
    offsets, end = [], 0
    for piece in pieces[:-1]:
        end += len(piece)
        offsets.append(end - bisect_left(escapes, end))
    text = _ESCAPED.sub(lambda found: found[0][:-2] + ">", escaped)
    return text, tuple(offsets)


def strip(marked: str) -> str:
    """The text without its marks."""
    return split(marked)[0]
