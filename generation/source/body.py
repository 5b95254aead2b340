"""The text of a block that is being written: where it ends, what of it is complete, what to clean away.

Works on visible text only; knows neither tokens nor the tool. ``BlockReader`` is fed while the text is generated; the
filters below it take a finished text and return what is worth keeping, each for one reason. ``clean`` runs them all.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from itertools import accumulate

from generation.source import parsing
from generation.source.lexer import Scanner

_LOOP = re.compile(r"(\S{1,12}?)\1{7,}\S{0,12}$")
_LOOP_CHARACTERS = 200


class BlockReader:
    """Reads a block as it is written.

    Attributes:
        text: everything fed so far, from the start of the block's first line.
        scanner: the scanner after ``text``.
        end: offset in ``text`` where code left the block (a line start), or None while inside.
        has_statement: something that does something was written (comments and strings alone do not count).
        needs_block: the last statement was the header of a block that has no statement yet.

    Args:
        indent: of the block.
        single: the block ends with its first statement.
    """

    def __init__(self, indent: str, *, single: bool = False) -> None:
        self._indent = indent
        self._single = single
        self.text = ""
        self.scanner = Scanner()
        self.end: int | None = None
        self.has_statement = False
        self.needs_block = False

    def copy(self) -> BlockReader:
        """An independent reader in the same state."""
        other = BlockReader(self._indent, single=self._single)
        other.text, other.scanner = self.text, self.scanner.copy()
        other.end, other.has_statement, other.needs_block = self.end, self.has_statement, self.needs_block
        return other

    def feed(self, piece: str) -> None:
        """Read more text."""
        for char in piece:
            starts_line = self.scanner.line_is_blank and self.scanner.in_code and not self.scanner.frames
            if self.end is None and starts_line and not char.isspace():
                self._check_line(char)
            self.scanner.feed(char)
            if char == ":" and self.scanner.at_statement_start:
                self.needs_block = True
            elif not char.isspace() and not self.scanner.in_comment:
                self.needs_block = False
            if self._single and self.end is None and char == "\n" and self._statement_ended:
                self.end = len(self.text)
            self.text += char

    @property
    def _statement_ended(self) -> bool:
        return self.has_statement and self.scanner.at_statement_start

    def _check_line(self, first_char: str) -> None:
        if not self.scanner.line_indent.startswith(self._indent):
            self.end = self.text.rfind("\n") + 1
        elif first_char not in "#'\"":
            self.has_statement = True

    @property
    def shown(self) -> int:
        """Length of the text that certainly belongs to the block: up to the last character that is not space."""
        return len(self.text[: self.end].rstrip())


def complete_statements(text: str, indent: str) -> str:
    """The longest start of ``text``, in whole lines, that parses as a block; "" when there is none.

    A last line without its line end may stop in the middle of a name, so it never counts.
    """
    lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
    for count in range(len(lines), 0, -1):
        kept = "".join(lines[:count])
        if _parses(kept, indent):
            return kept
    return ""


def clean(text: str, indent: str, after: str) -> str:
    """All filters in order. ``after`` is what stands below the block."""
    text = drop_leading_docstring(text, indent)
    text = trim_repetition(text)
    text = drop_what_stands_below(text, after)
    return trim_blank_lines(text)


def trim_blank_lines(text: str) -> str:
    """No blank lines around the block; one newline at its end. Whitespace alone is nothing."""
    lines = text.rstrip().splitlines()
    while lines and not lines[0].strip():
        lines.pop(0)
    return "".join(line.rstrip() + "\n" for line in lines)


def drop_leading_docstring(text: str, indent: str) -> str:
    """A body that starts with a second docstring says nothing with it."""
    tree = _parse(text, indent)
    if tree is None or len(tree.body) < 2:
        return text
    first, second = tree.body[0], tree.body[1]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return "".join(text.splitlines(keepends=True)[second.lineno - 2 :])
    return text


def trim_repetition(text: str) -> str:
    """A block of lines that comes three times or more in a row at the end is kept once."""
    start = repetition_start(text)
    return text if start is None else "".join(text.splitlines(keepends=True)[:start])


def loops(text: str) -> bool:
    """Whether the last line has come to repeat a few characters without end."""
    line = text[text.rfind("\n") + 1 :]
    found = _LOOP.search(line[-_LOOP_CHARACTERS:])
    return found is not None and len(found[0]) >= 16 and any(map(str.isalnum, found[1]))


def repetition_start(text: str) -> int | None:
    """The line from which on the text only says again, for the third time or more, what stands above it; or that loops.

    The indentation counts: three closing brackets below each other are no repetition.
    """
    lines = [(number, line.rstrip()) for number, line in enumerate(text.splitlines()) if line.strip()]
    said = [line for _, line in lines]
    if loops(text):
        return lines[-1][0]
    for size in range(1, len(said) // 3 + 1):
        unit, count = said[-size:], 1
        while said[-size * (count + 1) : -size * count] == unit:
            count += 1
        if count >= 3:
            start = len(said) - size * count
            while start and said[start - 1] == said[start - 1 + size]:
                start -= 1
            return lines[start + size][0]
    return None


def certain_length(text: str) -> int:
    """Length of the text without lines at its end, the last one as far as it goes, that only say again earlier ones."""
    ends = list(accumulate(map(len, text.splitlines(keepends=True))))
    lines = [(end, line.rstrip()) for end, line in zip(ends, text.splitlines(), strict=True) if line.strip()]
    partial = bool(text) and not text.endswith("\n")
    again = max((_said_again(lines, distance, partial=partial) for distance in range(1, len(lines))), default=0)
    return len(text) if not again else lines[-again - 1][0]


def _said_again(lines: Sequence[tuple[int, str]], distance: int, *, partial: bool) -> int:
    """How many lines at the end are those that stand so many lines above them."""
    for count in range(len(lines) - distance):
        line, earlier = lines[-1 - count][1], lines[-1 - count - distance][1]
        if line != earlier and not (partial and not count and earlier.startswith(line)):
            return count
    return len(lines) - distance


def drop_what_stands_below(text: str, after: str) -> str:
    """Lines at the end of the block that repeat the first lines below it are dropped."""
    below = [line.strip() for line in after.splitlines() if line.strip()]
    lines = text.rstrip().splitlines(keepends=True)
    for size in range(min(len(lines), len(below)), 0, -1):
        repeated = [line.strip() for line in lines[-size:]] == below[:size]
        if repeated and len("".join(below[:size])) > 3:  # a lone bracket is no repetition
            return "".join(lines[:-size])
    return text


def _parse(text: str, indent: str) -> ast.Module | None:
    """The statements of a block; None when it is not complete. Lines of the tree are those of ``text``, plus one."""
    header = "async def _():\n" if indent else "if True:\n"
    body = text if indent else textwrap.indent(text, " ")
    try:
        tree = parsing.parse(header + body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    block = tree.body[0]
    if len(tree.body) != 1 or not isinstance(block, ast.AsyncFunctionDef | ast.If):
        return None
    return ast.Module(body=block.body, type_ignores=[])


def _parses(text: str, indent: str) -> bool:
    return _parse(text, indent) is not None
