"""Where a text begins to say the same again and again, as small models do; which lines may still turn out to.

Works on visible text only. Lines are compared with their indentation, but for one case: a line that says again what
stands above it, only deeper, is a repetition, too (`if a:` in `if a:`); so is a call that stands in itself six deep.
Start reading at ``repetition_start``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

_SHORT_LOOP = re.compile(r"(\S{1,12}?)\1{7,}\S{0,12}$")
_SHORTEST_SHORT_LOOP = 16  # characters
_LONGEST_UNIT = 120  # characters of what is said again within a line
_SHORTEST_LOOP = 64
_TIMES = 4  # said so often within a line
_CALL = re.compile(r"([\w.]*\w)\(|[()]")
_NESTED = 6  # a call stands in itself so deep: more than `dirname(dirname(...))` ever does


def repetition_start(text: str) -> int | None:
    """The offset from which on the text only says again, for the third time or more, what stands before it.

    A line that loops counts from the second time it says its unit. Closing brackets below each other repeat nothing.
    """
    if (start := _loop_start(text)) is not None:
        return start
    lines = [(offset, line.rstrip()) for offset, line in _offsets(text) if line.strip()]
    said = [line for _, line in lines]
    for size in range(1, len(said) // 3 + 1):
        count = 1
        while _says_again(said, len(said) - size * count, len(said) - size * (count + 1), size):
            count += 1
        if count >= 3:
            start = len(said) - size * count
            while start and _is_again(said[start - 1 + size], said[start - 1]):
                start -= 1
            return lines[start + size][0]
    return None


def _says_again(said: Sequence[str], later: int, earlier: int, size: int) -> bool:
    return earlier >= 0 and all(_is_again(said[later + i], said[earlier + i]) for i in range(size))


def _is_again(later: str, earlier: str) -> bool:
    """The same line, or the same one deeper."""
    return later == earlier or (len(later) > len(earlier) and later.lstrip() == earlier.lstrip())


def loops(text: str) -> bool:
    """Whether the last line has come to repeat some characters without end."""
    return _loop_start(text) is not None


def _loop_start(text: str) -> int | None:
    """Where the last line says its unit for the second time, if it loops; of a comment, where it starts."""
    start = text.rfind("\n") + 1
    line = text[start:]
    within = _loop_start_within(line)
    return start + (0 if line.lstrip().startswith("#") else within) if within is not None else None


def _loop_start_within(line: str) -> int | None:
    found = _SHORT_LOOP.search(line, max(0, len(line) - 200))
    if found is not None and len(found[0]) >= _SHORTEST_SHORT_LOOP and any(map(str.isalnum, found[1])):
        return found.end(1)
    unit, first = _period(line, _TIMES)
    if unit and len(line) - first >= _SHORTEST_LOOP and any(map(str.isalpha, line[first : first + unit])):
        return first + unit
    return _nesting_start(line)


def _nesting_start(line: str) -> int | None:
    """Where a call begins that stands in itself, if it does so over and over; brackets in strings count."""
    open_calls: list[tuple[str, int]] = []
    for bracket in _CALL.finditer(line):
        if bracket[0] != ")":
            open_calls.append((bracket[1] or "", bracket.start()))
        elif open_calls:
            open_calls.pop()
    for callee, times in Counter(callee for callee, _ in open_calls if callee).most_common(1):
        if times >= _NESTED:
            return [start for one, start in open_calls if one == callee][1]
    return None


def _period(line: str, times: int) -> tuple[int, int]:
    """The shortest unit that the end of a line says at least so often, and where it is said first; (0, 0) for none."""
    for unit in range(1, min(_LONGEST_UNIT, len(line) // times) + 1):
        first = len(line) - unit
        if line[-unit:] != line[-2 * unit : -unit]:
            continue
        while first and line[first - 1] == line[first - 1 + unit]:
            first -= 1
        if len(line) - first >= unit * times:
            return unit, first
    return 0, 0


def trim_repetition(text: str) -> str:
    """A block of lines that comes three times or more in a row at the end is kept once."""
    start = repetition_start(text)
    return text if start is None else text[: text.rfind("\n", 0, start) + 1]


def certain_length(text: str) -> int:
    """Length of the text without what its end, the last line as far as it goes, only says again."""
    offsets = _offsets(text)
    lines = [(offset, line.rstrip()) for offset, line in offsets if line.strip()]
    partial = bool(text) and not text.endswith("\n")
    again = max((_said_again(lines, distance, partial=partial) for distance in range(1, len(lines))), default=0)
    certain = len(text) if not again else lines[-again][0]
    return min(certain, _certain_in_line(text)) if partial else certain


def _certain_in_line(text: str) -> int:
    """As ``certain_length``, of what the last line says twice in a row, the second time as far as it goes."""
    start = text.rfind("\n") + 1
    unit, first = _period(text[start:], 2)
    return start + first + unit if unit and len(text) - start - first >= _SHORTEST_LOOP // _TIMES else len(text)


def _said_again(lines: Sequence[tuple[int, str]], distance: int, *, partial: bool) -> int:
    """How many lines at the end are those that stand so many lines above them."""
    for count in range(len(lines) - distance):
        line, earlier = lines[-1 - count][1], lines[-1 - count - distance][1]
        if not _is_again(line, earlier) and not (partial and not count and _may_become(line, earlier)):
            return count
    return len(lines) - distance


def _may_become(begun: str, earlier: str) -> bool:
    """Whether a line that has begun may come to say an earlier one again, perhaps deeper."""
    deeper = len(begun) - len(begun.lstrip()) > len(earlier) - len(earlier.lstrip())
    return earlier.startswith(begun) or (deeper and earlier.lstrip().startswith(begun.lstrip()))


def _offsets(text: str) -> list[tuple[int, str]]:
    lines = text.splitlines(keepends=True)
    return list(zip(accumulate(map(len, lines), initial=0), lines, strict=False))
