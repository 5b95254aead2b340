"""Parsing a file that may be broken somewhere: the same tree, minus the lines that are wrong.

A person who asks for a function is in the middle of editing, so a syntax error elsewhere must not hide the function.
The broken line is replaced by something harmless and the file is parsed again. Positions still refer to the original
text. Knows nothing of functions, files or models. Start reading at ``parse_tolerant``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from generation.errors import TargetError
from generation.source import parsing

MAX_REPAIRS = 200

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_HEADER = re.compile(r"\s*(?:async\s+)?(def|class)\s+(\w+)")
_TYPE_PARAMETERS = re.compile(r"\b(?:def|class)[ \t]+\w+[ \t]*(\[)")
_MISSING_BLOCK = re.compile(r"expected an indented block after .* on line (\d+)")


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """What Python says about a line (1-based, of the original text)."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class TolerantTree:
    """A syntax tree whose positions are translated to offsets into the original text.

    Attributes:
        tree: of the repaired text.
        lines: of the repaired text, each with its line end; more than the original has where a block was missing.
        offsets: where each of ``lines`` starts in the original text, then its length.
        repaired: indices of ``lines`` that differ from the original.
        problems: what was wrong, in the order found; empty for a valid file.
    """

    tree: ast.Module
    lines: tuple[str, ...]
    offsets: tuple[int, ...]
    repaired: frozenset[int]
    problems: tuple[SyntaxProblem, ...]

    def offset(self, line: int, column_bytes: int) -> int:
        """Offset of a position as ``ast`` gives it: 1-based line, column in bytes of UTF-8."""
        row = line - 1
        if row in self.repaired:
            return self.offsets[row]
        return self.offsets[row] + len(self.lines[row].encode()[:column_bytes].decode())

    def is_added(self, row: int) -> bool:
        """Whether the original text lacks a line."""
        return self.offsets[row] == self.offsets[row + 1]

    def original_row(self, row: int) -> int:
        """0-based line in the original text."""
        return row - sum(self.is_added(other) for other in self.repaired if other < row)


class _Row:
    """One line under repair. ``attempts`` counts how often it was replaced; ``added`` if the original lacks it."""

    def __init__(self, text: str, *, added: bool = False) -> None:
        self.text = text
        self.length = 0 if added else len(text)
        self.added = added
        self.attempts = 1 if added else 0


def split_lines(text: str) -> list[str]:
    """Lines as Python's tokenizer sees them, with their ends; a form feed does not end a line."""
    return _LINE.findall(text)


def indentation(line: str) -> str:
    """Leading blanks of a line; a form feed starts the count anew, as it does for Python."""
    blank = line[: len(line) - len(line.lstrip(" \t\f"))]
    return blank.rpartition("\f")[2]


def parse_tolerant(text: str) -> TolerantTree:
    """Parse ``text``, replacing lines that Python rejects.

    Raises:
        TargetError: it cannot be read as Python even so.
    """
    rows = [_Row(line) for line in split_lines(text)]
    problems: list[SyntaxProblem] = []
    for _ in range(MAX_REPAIRS):
        try:
            return _translated(parsing.parse("".join(row.text for row in rows)), rows, problems)
        except SyntaxError as error:
            if _hide_type_parameters(rows):
                continue
            problems.append(_problem(error, rows))
            if not _repair(rows, error):
                break
        except (ValueError, RecursionError, MemoryError) as error:
            raise TargetError(f"the file cannot be read as Python: {error}") from error
    first = problems[0]
    raise TargetError(f"the file cannot be read as Python: line {first.line}: {first.message}; correct it first")


def _translated(tree: ast.Module, rows: Sequence[_Row], problems: Sequence[SyntaxProblem]) -> TolerantTree:
    return TolerantTree(
        tree,
        tuple(row.text for row in rows),
        tuple(accumulate((row.length for row in rows), initial=0)),
        frozenset(number for number, row in enumerate(rows) if row.attempts),
        tuple(problems),
    )


def _problem(error: SyntaxError, rows: Sequence[_Row]) -> SyntaxProblem:
    missing = _MISSING_BLOCK.match(error.msg)
    line = int(missing[1]) if missing else error.lineno or 1
    original = line - sum(row.added for row in rows[: line - 1])
    return SyntaxProblem(original, re.sub(r" on line \d+$", "", error.msg))


def _repair(rows: list[_Row], error: SyntaxError) -> bool:
    """Change the line that ``error`` blames; False when there is nothing left to change."""
    number = min((error.lineno or 1) - 1, len(rows) - 1)
    missing = _MISSING_BLOCK.match(error.msg)
    if missing:
        _add_block(rows, int(missing[1]) - 1, error)
        return True
    is_blamed = _is_try if "'except' or 'finally'" in error.msg else str.strip
    while number >= 0 and not is_blamed(rows[number].text):
        number -= 1
    if number < 0:
        return False
    row = rows[number]
    row.text = _harmless(rows, number, error) + _line_end(row.text)
    row.attempts += 1
    return True


def _add_block(rows: list[_Row], header: int, error: SyntaxError) -> None:
    """Give a header its missing block: before the line that ``error`` names, or at the end of the file."""
    blamed = min((error.lineno or 1) - 1, len(rows) - 1)
    at_end = (error.offset or 0) > len(rows[blamed].text.rstrip("\r\n"))
    if at_end and not _line_end(rows[-1].text):
        rows[-1].text += "\n"
    position = len(rows) if at_end else blamed
    rows.insert(position, _Row(indentation(rows[header].text) + " 0\n", added=True))


def _harmless(rows: Sequence[_Row], number: int, error: SyntaxError) -> str:
    """Replacement of a broken line: a header if a block follows, then a constant, then nothing."""
    row = rows[number]
    indent = indentation(row.text)
    if isinstance(error, IndentationError) or row.attempts > 1:
        return ""
    if row.attempts == 0 and _opens_block(rows, number):
        header = _HEADER.match(row.text)
        if header is None:
            return indent + "if 0:"
        return f"{indent}{header[1]} {header[2]}{'()' if header[1] == 'def' else ''}:"
    return indent + "0"


def _opens_block(rows: Sequence[_Row], number: int) -> bool:
    following = next((row.text for row in rows[number + 1 :] if row.text.strip()), "")
    return len(indentation(following)) > len(indentation(rows[number].text))


def _is_try(line: str) -> bool:
    return re.match(r"\s*try\s*:", line) is not None


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _hide_type_parameters(rows: Sequence[_Row]) -> bool:
    """Blank ``[T]`` of ``def f[T](x)``, which Python 3.11 cannot read; True when there was one."""
    if sys.version_info >= (3, 12):
        return False
    hidden = False
    for row in rows:
        match = _TYPE_PARAMETERS.search(row.text)
        end = _closing_bracket(row.text, match.start(1)) if match else None
        if match and end:
            start = match.start(1)
            row.text = row.text[:start] + " " * (end - start) + row.text[end:]
            hidden = True
    return hidden


def _closing_bracket(line: str, start: int) -> int | None:
    """Offset after the bracket that closes the one at ``start``, if it is on this line."""
    depth = 0
    for position in range(start, len(line)):
        depth += (line[position] == "[") - (line[position] == "]")
        if depth == 0:
            return position + 1
    return None
