"""Adding imports to a file, where isort would put them.

Works on text with the standard library alone. Only the imports at the top of the file are looked at: those inside
``try``, ``if`` or functions stay as they are and count as binding nothing, except that a name which any top-level
statement binds is never imported again. Start reading at ``import_edits``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from generation.source.files import dominant_newline
from generation.source.tolerant import parse_tolerant, split_lines
from generation.types import ImportNeeded

ImportStatement = ast.Import | ast.ImportFrom

_FUTURE, _STDLIB, _THIRD_PARTY, _FIRST_PARTY, _RELATIVE = range(5)


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Replace ``text[start:end]`` by ``replacement``."""

    start: int
    end: int
    replacement: str


def add_imports(text: str, needed: Sequence[ImportNeeded], first_party: Collection[str] = ()) -> str:
    """``text`` with the imports it lacks; every other byte stays.

    Args:
        text: of a whole file, with its own line ends and without a byte order mark.
        needed: what must be bound.
        first_party: top-level packages of the repository; they get the section after third-party ones.
    """
    for one in needed:
        for edit in reversed(import_edits(text, one, first_party)):
            text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


def import_edits(text: str, needed: ImportNeeded, first_party: Collection[str] = ()) -> tuple[TextEdit, ...]:
    """What to change so that one import is there; nothing when its name is bound already.

    A name is added to a ``from`` statement of the same module, else a new statement is put in order.
    """
    body = parse_tolerant(text).tree.body
    if needed.bound_name in set(_bound_names(body)):
        return ()
    layout = _Layout(text, body)
    same = [s for s in layout.imports if isinstance(s, ast.ImportFrom) and _module(s) == needed.module]
    if needed.name and same and same[0].names[0].name != "*":
        return (_joined(layout, same[0], needed),)
    return (_inserted(layout, needed, first_party),)


class _Layout:
    """The top of a file: its leading imports, and the offsets of its lines."""

    def __init__(self, text: str, body: list[ast.stmt]) -> None:
        self.text = text
        self.newline = dominant_newline(text)
        self.lines = split_lines(text)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.header_end = self._header_end(body)
        self.imports = _leading_imports(body)

    def _header_end(self, body: list[ast.stmt]) -> int:
        """The line (0-based) after the docstring, or after the comments that start the file."""
        if body and _is_docstring(body[0]):
            return body[0].end_lineno or 0
        line = 0
        while line < len(self.lines) and self.lines[line].startswith("#"):
            line += 1
        return line

    def offset(self, line: int, column_bytes: int) -> int:
        """Offset of an ``ast`` position: a 1-based line and a column in UTF-8 bytes."""
        prefix = self.lines[line - 1].encode()[:column_bytes]
        return self.starts[line - 1] + len(prefix.decode(errors="ignore"))


def _leading_imports(body: Sequence[ast.stmt]) -> list[ImportStatement]:
    """Imports before the first other statement; the docstring does not count."""
    found: list[ImportStatement] = []
    for number, statement in enumerate(body):
        if isinstance(statement, ImportStatement):
            found.append(statement)
        elif not (number == 0 and _is_docstring(statement)):
            break
    return found


def _is_docstring(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _bound_names(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Names that the top-level statements bind; ``import a.b`` binds ``a``."""
    for statement in body:
        if isinstance(statement, ImportStatement):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        elif isinstance(statement, ast.Try):
            yield from _bound_names(statement.body)


def _module(statement: ast.ImportFrom) -> str:
    return "." * statement.level + (statement.module or "")


def _joined(layout: _Layout, statement: ast.ImportFrom, needed: ImportNeeded) -> TextEdit:
    """The name put among those of a statement, in the style the statement has."""
    spelled = _aliased(needed.name or "", needed.alias)
    names = statement.names
    one_a_line = len({alias.lineno for alias in names}) == len(names) and names[0].lineno != statement.lineno
    indent = layout.lines[names[0].lineno - 1][: names[0].col_offset] if one_a_line else ""
    separator = f",{layout.newline}{indent}" if one_a_line else ", "
    for alias in names:
        if _name_order(alias.name) > _name_order(needed.name or ""):
            at = layout.offset(alias.lineno, alias.col_offset)
            return TextEdit(at, at, spelled + separator)
    last = names[-1]
    at = layout.offset(last.end_lineno or last.lineno, last.end_col_offset or 0)
    return TextEdit(at, at, separator + spelled)


def _name_order(name: str) -> tuple[int, str]:
    """Order names by type as isort does: constants, classes, the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def _inserted(layout: _Layout, needed: ImportNeeded, first_party: Collection[str]) -> TextEdit:
    """A new statement before the first that comes after it in order, else behind the last."""
    newline, line = layout.newline, _spelled(needed) + layout.newline
    wanted = _order(needed.module, needed.name is not None, first_party)
    for statement in layout.imports:
        order = _statement_order(statement, first_party)
        if order > wanted:
            at = layout.starts[statement.lineno - 1]
            return TextEdit(at, at, line + (newline if order[0] != wanted[0] else ""))
    if layout.imports:
        last = layout.imports[-1]
        gap = newline if _statement_order(last, first_party)[0] != wanted[0] else ""
        return _after_line(layout, (last.end_lineno or last.lineno) - 1, gap + line, "")
    if layout.header_end:
        below = "".join(layout.lines[layout.header_end : layout.header_end + 1]).strip()
        return _after_line(layout, layout.header_end - 1, newline + line, newline if below else "")
    rest = layout.text.strip()
    return TextEdit(0, 0, line + (newline if rest else ""))


def _after_line(layout: _Layout, line: int, insertion: str, gap: str) -> TextEdit:
    """Text put behind a line, which may be the last one and lack its line end."""
    at = layout.starts[line + 1]
    ends = layout.lines[line].endswith(("\n", "\r"))
    return TextEdit(at, at, ("" if ends else layout.newline) + insertion + gap)


def _statement_order(statement: ImportStatement, first_party: Collection[str]) -> tuple[int, bool, str]:
    if isinstance(statement, ast.ImportFrom):
        return _order(_module(statement), True, first_party)
    return _order(statement.names[0].name, False, first_party)


def _order(module: str, is_from: bool, first_party: Collection[str]) -> tuple[int, bool, str]:
    """Section, then plain imports before ``from``, then the module: isort's default profile."""
    return _section(module, first_party), is_from, module.lower()


def _section(module: str, first_party: Collection[str]) -> int:
    top = module.partition(".")[0]
    if module.startswith("."):
        return _RELATIVE
    if top == "__future__":
        return _FUTURE
    if top in sys.stdlib_module_names:
        return _STDLIB
    return _FIRST_PARTY if top in first_party else _THIRD_PARTY


def _spelled(needed: ImportNeeded) -> str:
    if needed.name is None:
        return f"import {_aliased(needed.module, needed.alias)}"
    return f"from {needed.module} import {_aliased(needed.name, needed.alias)}"


def _aliased(name: str, alias: str | None) -> str:
    return f"{name} as {alias}" if alias and alias != name else name
