"""Positions of the protocol to offsets into text and back: the only place that knows UTF-8, -16 and -32 units.

The protocol counts lines by LF, CRLF and CR alone; a form feed, which ``str.splitlines`` would split at, stays inside
a line. Everything else in Memberwise counts code points. Start reading at ``Lines``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from lsprotocol.types import Position, PositionEncodingKind, Range

_LINE_END = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Lines:
    """The lines of one text. Positions outside of it are moved to the nearest place inside.

    Args:
        text: of the document.
        encoding: what a ``character`` counts.
    """

    def __init__(self, text: str, encoding: str = PositionEncodingKind.Utf16) -> None:
        self.text = text
        self._encoding = encoding

    @cached_property
    def _starts(self) -> Sequence[int]:
        if "\r" not in self.text:
            return [0, *accumulate(len(line) + 1 for line in self.text.split("\n")[:-1])]
        return [0, *(match.end() for match in _LINE_END.finditer(self.text))]

    def edited(self, start: int, end: int, new: str) -> Lines:
        """The lines of the text with ``new`` between two offsets; only around those are they looked for."""
        edited = Lines(self.text[:start] + new + self.text[end:], self._encoding)
        first = max(0, bisect_right(self._starts, start) - 2)  # what follows a CR decides where its line ends
        last = bisect_right(self._starts, end)
        shift = len(edited.text) - len(self.text)
        behind = [place + shift for place in self._starts[last:]]
        stop = behind[0] if behind else len(edited.text)
        found = (match.end() for match in _LINE_END.finditer(edited.text, self._starts[first], stop))
        edited._starts = [*self._starts[: first + 1], *found, *behind[1:]]
        return edited

    def line(self, number: int) -> str:
        """A line without its end."""
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def offset(self, position: Position) -> int:
        """Code points before a position; a position inside a character is moved to its start."""
        if position.line >= len(self._starts):
            return len(self.text)
        line = self.line(position.line)
        return self._starts[position.line] + points_in(line, position.character, self._encoding)

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        offset = max(0, min(offset, len(self.text)))
        number = bisect_right(self._starts, offset) - 1
        return Position(number, units_of(self.text[self._starts[number] : offset], self._encoding))

    def span(self, wanted: Range) -> tuple[int, int]:
        """Offsets of a range, in order."""
        start, end = self.offset(wanted.start), self.offset(wanted.end)
        return min(start, end), max(start, end)

    def range(self, start: int, end: int) -> Range:
        """The range between two offsets."""
        return Range(self.position(start), self.position(end))


def units_of(text: str, encoding: str) -> int:
    """How long ``text`` is in the units of ``encoding``."""
    if encoding == PositionEncodingKind.Utf32 or text.isascii():
        return len(text)
    if encoding == PositionEncodingKind.Utf8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(char > "\uffff" for char in text)


def points_in(line: str, units: int, encoding: str) -> int:
    """How many whole characters of ``line`` fit into ``units``."""
    if encoding == PositionEncodingKind.Utf32 or line.isascii():
        return min(units, len(line))
    used = 0
    for count, char in enumerate(line):
        used += units_of(char, encoding)
        if used > units:
            return count
    return len(line)


def encodable(text: str) -> str:
    """``text`` with U+FFFD for halves of surrogate pairs, which JSON can hold and no file can; as long as before."""
    return _SURROGATE.sub("\ufffd", text)
