"""Places in a file: what the syntax tree calls line and UTF-8 column, as offsets in code points.

Knows nothing of why anyone wants to know. Start reading at ``Places``.
"""

from __future__ import annotations

import ast
import re

_LINE_END = re.compile(r"\r\n|\r|\n")


class Places:
    """Offsets of one text. Lines end where Python says so, not where ``str.splitlines`` does."""

    def __init__(self, text: str) -> None:
        self.text = text
        ends = [match.end() for match in _LINE_END.finditer(text)]
        self._starts = [0, *ends]
        first = _LINE_END.search(text)
        self.newline = first.group() if first else "\n"

    def line_start(self, line: int) -> int:
        """Where a line begins, counted from 1; the end of the text for a line behind the last."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def offset(self, line: int, utf8_column: int) -> int:
        """The offset of a place of the syntax tree."""
        start = self.line_start(line)
        content = self.text[start : self.line_start(line + 1)]
        if content.isascii():
            return start + utf8_column
        return start + len(content.encode()[:utf8_column].decode(errors="ignore"))

    def line_of(self, offset: int) -> int:
        """The line an offset is on, counted from 1."""
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return low + 1

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        """Start and end of a node."""
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)

    def indent(self, node: ast.stmt) -> str:
        """The white space before a statement."""
        start = self.line_start(node.lineno)
        return self.text[start : self.offset(node.lineno, node.col_offset)]

    def whole_lines(self, node: ast.stmt) -> tuple[int, int] | None:
        """The lines of a statement with their end; None when other code stands on one of them."""
        start, end = self.span(node)
        first, last = self.line_start(node.lineno), self.line_start((node.end_lineno or node.lineno) + 1)
        rest = self.text[end:last].strip()
        if self.text[first:start].strip() or (rest and not rest.startswith("#")):
            return None
        return first, last
