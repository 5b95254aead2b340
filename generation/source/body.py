"""The text of a block that is being written: where it ends, what of it is complete, what to clean away.

Works on visible text only; knows neither tokens nor the tool. ``BlockReader`` is fed while the text is generated; the
filters below it take a finished text and return what is worth keeping, each for one reason. ``clean`` runs them all.
"""

from __future__ import annotations

import ast
import re
import textwrap

from generation.source import parsing
from generation.source.lexer import Scanner
from generation.source.repetition import trim_repetition
from generation.source.tolerant import split_lines

_PLACES_TRIED = 40  # to close a statement at
_FIRST_WORD = re.compile(r"(?m)^([ \t]*)(try:|\w+|[^\s\w#])")
_HANDLERS = frozenset({"except", "finally"})


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

    def left_by(self, piece: str) -> bool:
        """Whether more text would leave the block."""
        if "\n" not in piece and not self.scanner.line_is_blank:
            return self.end is not None  # only the start of a line can leave it, or the end of one
        ahead = self.copy()
        ahead.feed(piece)
        return ahead.end is not None

    def mismatched_by(self, piece: str) -> bool:
        """Whether more text would close a bracket that is not the innermost open one."""
        if self.scanner.mismatched or not any(bracket in piece for bracket in ")]}"):
            return False
        return self.scanner.copy().feed(piece).mismatched

    @property
    def in_docstring(self) -> bool:
        """Inside of a string that no statement precedes."""
        return not self.has_statement and self.scanner.string is not None

    @property
    def _statement_ended(self) -> bool:
        return self.has_statement and self.scanner.at_statement_start

    def _check_line(self, first_char: str) -> None:
        if not self.scanner.line_indent.startswith(self._indent):
            self.end = self.text.rfind("\n") + 1
        elif first_char not in "#'\"":
            self.has_statement = True

    @property
    def may_end(self) -> bool:
        """Whether the block can be left here: it says something whole, and no ``try`` in it still needs its handler."""
        if not self.has_statement or self.needs_block or self.scanner.depth:
            return False
        return not (_open_tries(self.text) and not is_block(self.text[: self.end].rstrip(" \t"), self._indent))

    @property
    def shown(self) -> int:
        """Length of the text that certainly belongs to the block: up to the last character that is not space."""
        return len(self.text[: self.end].rstrip())


def _open_tries(text: str) -> list[str]:
    """Indentations of the lines ``try:`` that lack their handler, outermost first."""
    found: list[str] = []
    for indent, word in _FIRST_WORD.findall(text) if "try:" in text else ():
        found = [one for one in found if len(one) < len(indent) or (one == indent and word in _HANDLERS)]
        if word in _HANDLERS and indent in found:
            found.remove(indent)
        elif word == "try:":
            found.append(indent)
    return found


def close_tries(text: str, indent: str) -> str:
    """A text that stops before the handler of a ``try``, with a handler that does nothing; "" if that is no block."""
    lines = split_lines(text[: text.rfind("\n") + 1])
    for count in range(len(lines), 0, -1):
        kept = "".join(lines[:count])
        handlers = "".join(f"{one}finally:\n{one}    pass\n" for one in reversed(_open_tries(kept)))
        if handlers and is_block(kept + handlers, indent):
            return kept + handlers
    return ""


def complete_statements(text: str, indent: str) -> str:
    """The longest start of ``text``, in whole lines, that parses as a block; "" when there is none.

    A last line without its line end may stop in the middle of a name, so it never counts.
    """
    lines = split_lines(text[: text.rfind("\n") + 1])
    for count in range(len(lines), 0, -1):
        kept = "".join(lines[:count])
        if is_block(kept, indent):
            return kept
    return ""


def close_statement(text: str, indent: str) -> str:
    """A first statement that does not come to its end, closed behind its last whole argument or line, or ""."""
    scanner = Scanner()
    places: list[tuple[int, str]] = []
    for position, char in enumerate(text):
        if char in ",\n" and scanner.in_code and scanner.frames:
            places.append((position, scanner.closers))
        scanner.feed(char)
    for position, closers in places[: -_PLACES_TRIED - 1 : -1]:
        closed = f"{text[:position]}{closers}\n"
        if is_block(closed, indent):
            return closed
    return ""


def clean(text: str, indent: str, after: str) -> str:
    """All filters in order. ``after`` is what stands below the block."""
    text = drop_leading_docstring(text, indent)
    text = trim_repetition(text)
    text = drop_what_stands_below(text, after)
    return trim_blank_lines(drop_comments_at_end(text, indent))


def trim_blank_lines(text: str) -> str:
    """No blank lines around the block; one newline at its end. Whitespace alone is nothing."""
    lines = text.rstrip().split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    return "".join(line.rstrip() + "\n" for line in lines)


def drop_leading_docstring(text: str, indent: str) -> str:
    """A body that starts with a second docstring says nothing with it."""
    tree = _parse(text, indent)
    if tree is None or len(tree.body) < 2:
        return text
    first, second = tree.body[0], tree.body[1]
    if _is_string(first):
        start = min(node.lineno for node in (second, *getattr(second, "decorator_list", ())))
        return "".join(split_lines(text)[start - 2 :])
    return text


def drop_comments_at_end(text: str, indent: str) -> str:
    """Comments behind the last statement announce what was not written."""
    tree = _parse(text, indent)
    return "".join(split_lines(text)[: (tree.body[-1].end_lineno or 0) - 1]) if tree and tree.body else text


def drop_what_stands_below(text: str, after: str) -> str:
    """Lines at the end of the block that repeat the first lines below it are dropped, if they are as deep."""
    below = [line.rstrip() for line in split_lines(after) if line.strip()]
    lines = split_lines(text.rstrip())
    for size in range(min(len(lines), len(below)), 0, -1):
        repeated = [line.rstrip() for line in lines[-size:]] == below[:size]
        if repeated and len("".join(below[:size]).strip()) > 3:  # a lone bracket is no repetition
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


def says_nothing(text: str, indent: str) -> bool:
    """Whether there is no statement in a block, or only a string."""
    tree = _parse(text, indent)
    return not text.strip() or (tree is not None and len(tree.body) == 1 and _is_string(tree.body[0]))


def _is_string(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def is_block(text: str, indent: str) -> bool:
    """Whether ``text`` parses as a block with this indentation."""
    return _parse(text, indent) is not None
