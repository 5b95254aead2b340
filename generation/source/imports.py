"""Adding imports to a file, where isort's default profile would put them.

Works on text with the standard library alone, also when the file is broken further down. Statements inside ``try``,
``if`` or functions are never changed. A name counts as bound when the top level of the module binds it in any way,
``try`` and ``if`` included; an import under ``if TYPE_CHECKING`` does not count, since the name is missing when the
code runs. Start reading at ``add_imports``.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from generation.errors import TargetError
from generation.source.files import dominant_newline
from generation.source.parsing import blocks_of, is_for_type_checkers
from generation.source.tolerant import TolerantTree, parse_tolerant, split_lines
from generation.types import ImportNeeded

LONGEST_LINE = 88  # a statement that would get longer is written with one name a line

ImportStatement = ast.Import | ast.ImportFrom
_Key = tuple[list[str | int], ...]  # what isort compares

_FUTURE, _STDLIB, _THIRD_PARTY, _FIRST_PARTY, _RELATIVE = range(5)
_FIRST_LINES = re.compile(r"#!|#.*?coding[:=]")  # comments that must stay at the top


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Replace ``text[start:end]`` by ``replacement``; offsets are code points."""

    start: int
    end: int
    replacement: str


def add_imports(text: str, needed: Sequence[ImportNeeded], first_party: Collection[str] = ()) -> str:
    """``text`` with the imports it lacks; every other character stays.

    Args:
        text: of a whole file, with its own line ends.
        needed: what must be bound.
        first_party: top-level packages of the repository; they get the section after third-party ones.
    """
    if text.startswith("\ufeff"):
        return "\ufeff" + add_imports(text[1:], needed, first_party)
    for one in needed:
        for edit in sorted(_edits(_Top(text), one, first_party), key=lambda edit: edit.start, reverse=True):
            text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


def import_edits(text: str, needed: Sequence[ImportNeeded], first_party: Collection[str] = ()) -> tuple[TextEdit, ...]:
    """What ``add_imports`` changes, as edits of whole lines of ``text``, in order and without overlap."""
    old, new = split_lines(text), split_lines(add_imports(text, needed, first_party))
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(old), reversed(new), strict=False))
    tail = len(list(same))
    head = difflib.SequenceMatcher(None, old[: len(old) - tail], new[: len(new) - tail], autojunk=False)
    edits = []
    for tag, start, end, new_start, new_end in head.get_opcodes():
        if tag != "equal":
            offset = len("".join(old[:start]))
            replaced = "".join(old[start:end])
            edits.append(TextEdit(offset, offset + len(replaced), "".join(new[new_start:new_end])))
    return tuple(edits)


def moved_by(text: str, needed: Sequence[ImportNeeded], first_party: Collection[str], offset: int) -> int:
    """By how many characters the imports move what stands at an offset of ``text``."""
    edits = import_edits(text, needed, first_party)
    return sum(len(edit.replacement) - (edit.end - edit.start) for edit in edits if edit.start <= offset)


class _Top:
    """The top level of a file. Rows are 0-based lines; offsets are into the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = dominant_newline(text)
        self.lines = split_lines(text)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))
        self._tree = _parse(text)
        self.body: list[ast.stmt] = self._tree.tree.body if self._tree else []
        self.imports = _main_run(self.body)

    def offset(self, line: int, column_bytes: int) -> int:
        """Offset of a position as ``ast`` gives it."""
        return self._tree.offset(line, column_bytes) if self._tree else 0

    def start(self, row: int) -> int:
        """Offset of the start of a row; of the end of the text for rows behind it."""
        return self._starts[min(row, len(self.lines))]

    def first_row(self, statement: ast.stmt) -> int:
        """The row a statement starts on."""
        return self._tree.original_row(statement.lineno - 1) if self._tree else 0

    def row_after(self, statement: ast.stmt) -> int:
        """The row behind a statement and behind whatever shares its last line."""
        row = self._last_row(statement)
        for other in self.body:
            if self.first_row(other) <= row:
                row = max(row, self._last_row(other))
        return row + 1

    def row_before(self, statement: ast.stmt) -> int:
        """The row at which something can be put before a statement; its comments stay with it."""
        row = self.first_row(statement)
        if any(self.first_row(other) < row <= self._last_row(other) for other in self.body):
            return self.row_after(statement)
        while statement is not self.imports[0] and row and self.lines[row - 1].startswith("#"):
            row -= 1
        return row

    def blank_rows(self, row: int) -> int:
        """How many blank rows stand at ``row``."""
        count = 0
        while row + count < len(self.lines) and not self.lines[row + count].strip():
            count += 1
        return count

    def _last_row(self, statement: ast.stmt) -> int:
        return self._tree.original_row((statement.end_lineno or 1) - 1) if self._tree else 0


def _parse(text: str) -> TolerantTree | None:
    try:
        return parse_tolerant(text)
    except TargetError:
        return None


def _main_run(body: Sequence[ast.stmt]) -> list[ImportStatement]:
    """The longest run of imports with nothing else between them, above the first function or class."""
    runs: list[list[ImportStatement]] = [[]]
    for statement in body:
        if isinstance(statement, ImportStatement):
            runs[-1].append(statement)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        else:
            runs.append([])
    return max(runs, key=len)


def _edits(top: _Top, needed: ImportNeeded, first_party: Collection[str]) -> list[TextEdit]:
    if _is_bound(needed, top.body):
        return []
    sharing = [] if needed.alias else [s for s in top.imports if _takes(s, needed)]
    if sharing:
        earlier = [s for s in sharing if _name_key(s.names[0].name) <= _name_key(needed.name or "")]
        return _joined(top, (earlier or sharing[:1])[-1], needed.name or "")
    return [_inserted(top, needed, first_party)]


# ------------------------------------------------------------------------------------------------- what is bound


def _is_bound(needed: ImportNeeded, body: Sequence[ast.stmt]) -> bool:
    if needed.name or needed.alias or "." not in needed.module:
        return needed.bound_name in set(_bound_names(body))
    imported = {alias.name for alias in _plain_imports(body)}
    return any(f"{name}.".startswith(f"{needed.module}.") for name in imported)


def _plain_imports(body: Sequence[ast.stmt]) -> Iterator[ast.alias]:
    for statement in _top_level(body):
        if isinstance(statement, ast.Import):
            yield from (alias for alias in statement.names if not alias.asname)


def _bound_names(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Names that statements at the top level bind; ``import a.b`` binds ``a``, a mere annotation nothing."""
    for statement in _top_level(body):
        match statement:
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name
            case ast.AnnAssign(value=None):
                pass
            case _:
                yield from _bound_by(statement)


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Names that a statement itself binds, without its blocks."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.stmt() | ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                continue  # its names are its own
            case ast.Name(id=str(name), ctx=ast.Store()):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
        yield from _bound_by(child)


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, those in blocks included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and is_for_type_checkers(statement):
            yield from _top_level(statement.orelse)
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in blocks_of(statement):
                yield from _top_level(block)


# ------------------------------------------------------------------------------------------------- joining a statement


def _takes(statement: ImportStatement, needed: ImportNeeded) -> bool:
    """The name can be added to this ``from`` statement; isort keeps names with an alias apart."""
    if not isinstance(statement, ast.ImportFrom) or _module(statement) != needed.module or not needed.name:
        return False
    return all(alias.name != "*" and not alias.asname for alias in statement.names)


def _module(statement: ast.ImportFrom) -> str:
    return "." * statement.level + (statement.module or "")


def _joined(top: _Top, statement: ImportStatement, name: str) -> list[TextEdit]:
    """The name put among those of a statement, in the style the statement has."""
    names = statement.names
    place = sum(_name_key(alias.name) < _name_key(name) for alias in names)
    if len({statement.lineno, *(alias.lineno for alias in names)}) > len(names):
        return _joined_as_row(top, names, place, name)
    start = top.offset(statement.lineno, statement.col_offset)
    end = top.offset(statement.end_lineno or 0, statement.end_col_offset or 0)
    row = top.first_row(statement)
    if statement.lineno == statement.end_lineno and len(top.lines[row].rstrip()) + len(name) + 2 > LONGEST_LINE:
        listed = [alias.name for alias in names]
        return [TextEdit(start, end, _one_a_line(statement, [*listed[:place], name, *listed[place:]], top.newline))]
    if place == len(names):
        end = top.offset(names[-1].end_lineno or 0, names[-1].end_col_offset or 0)
        return [TextEdit(end, end, f", {name}")]
    start = top.offset(names[place].lineno, names[place].col_offset)
    return [TextEdit(start, start, f"{name}, ")]


def _one_a_line(statement: ImportStatement, names: Sequence[str], newline: str) -> str:
    assert isinstance(statement, ast.ImportFrom)
    rows = [f"from {_module(statement)} import (", *(f"    {name}," for name in names), ")"]
    return newline.join(rows)


def _joined_as_row(top: _Top, names: Sequence[ast.alias], place: int, name: str) -> list[TextEdit]:
    """A row of its own for the name, in a statement that has one name a row; comments stay with their names."""
    start = top.offset(names[0].lineno, names[0].col_offset)
    indent = " " * names[0].col_offset
    if place == 0:
        return [TextEdit(start, start, f"{name},{top.newline}{indent}")]
    above = names[place - 1]
    end = top.offset(above.end_lineno or 0, above.end_col_offset or 0)
    rest = re.split(r"[\r\n]", top.text[end:], maxsplit=1)[0]
    code = rest.partition("#")[0]
    if ")" in code:
        return [TextEdit(end, end, f",{top.newline}{indent}{name}")]
    comma = [] if "," in code else [TextEdit(end, end, ",")]
    at = end + len(rest)
    return [*comma, TextEdit(at, at, f"{top.newline}{indent}{name}{'' if comma else ','}")]


# ------------------------------------------------------------------------------------------------- a new statement


def _inserted(top: _Top, needed: ImportNeeded, first_party: Collection[str]) -> TextEdit:
    """A new statement in its section, or in a section of its own."""
    line = needed.statement + top.newline
    section = _section(needed.module, first_party)
    if not top.imports or (section == _FUTURE and not _starts_with_imports(top)):
        return _below_header(top, line)
    sections = {statement: _section(_first_module(statement), first_party) for statement in top.imports}
    own = [statement for statement in top.imports if sections[statement] == section]
    if own:
        return _into_section(top, needed, line, own)
    earlier = [statement for statement in top.imports if sections[statement] < section]
    if earlier:
        return _at_row(top, top.row_after(earlier[-1]), top.newline + line)
    return _at_row(top, top.row_before(top.imports[0]), line + top.newline)


def _into_section(top: _Top, needed: ImportNeeded, line: str, section: Sequence[ImportStatement]) -> TextEdit:
    """Behind the last statement that sorts before the new one, which is right also where the section is not sorted."""
    wanted = _order(needed.module, needed.name)
    before = [s for s in section if _statement_order(s) <= wanted]
    return _at_row(top, top.row_after(before[-1]) if before else top.row_before(section[0]), line)


def _starts_with_imports(top: _Top) -> bool:
    code = top.body[1:] if top.body and _is_docstring(top.body[0]) else top.body
    return bool(code) and code[0] is top.imports[0]


def _below_header(top: _Top, line: str) -> TextEdit:
    """Below docstring or first comments, with the blank lines that isort leaves around imports."""
    row = _header_rows(top)
    gap = ""
    if row:
        blank = top.blank_rows(row)
        gap = "" if blank else top.newline
        row += min(blank, 1)
    below = row + top.blank_rows(row)
    wanted = 0 if below >= len(top.lines) else 2 if re.match(r"(async\s+def|def|class)\b|@", top.lines[below]) else 1
    return _at_row(top, row, gap + line + top.newline * max(0, wanted - (below - row)))


def _header_rows(top: _Top) -> int:
    """Rows that must stay above all imports: the docstring, or a block of comments that belongs to no statement."""
    if top.body and _is_docstring(top.body[0]):
        return top.row_after(top.body[0])
    row = 0
    while row < len(top.lines) and top.lines[row].startswith("#"):
        row += 1
    if row < len(top.lines) and top.lines[row].strip():
        row = sum(bool(_FIRST_LINES.match(line)) for line in top.lines[: min(row, 2)])
    return row


def _is_docstring(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _at_row(top: _Top, row: int, insertion: str) -> TextEdit:
    at = top.start(row)
    ends = row == 0 or not top.text[:at] or top.text[at - 1] in "\r\n"
    return TextEdit(at, at, insertion if ends else top.newline + insertion)


# ------------------------------------------------------------------------------------------------- isort's order


def _first_module(statement: ImportStatement) -> str:
    return _module(statement) if isinstance(statement, ast.ImportFrom) else statement.names[0].name


def _statement_order(statement: ImportStatement) -> tuple[bool, _Key]:
    name = statement.names[0].name if isinstance(statement, ast.ImportFrom) else None
    return _order(_first_module(statement), name)


def _order(module: str, name: str | None) -> tuple[bool, _Key]:
    """Plain imports before ``from``, then the module, then the name."""
    dots = module[: len(module) - len(module.lstrip("."))]
    spelled = f"{dots}_{module.lstrip('.')}" if dots else module
    return name is not None, (_natural(spelled), _name_key(name or ""))


def _name_key(name: str) -> list[str | int]:
    """Constants, classes, the rest; without regard to case."""
    kind = "A" if name.isupper() and len(name) > 1 else "B" if name[:1].isupper() else "C"
    return _natural(kind + name)


def _natural(text: str) -> list[str | int]:
    """``x10`` comes after ``x9``, and upper case does not come first."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text.lower())]


def _section(module: str, first_party: Collection[str]) -> int:
    top = module.partition(".")[0]
    if module.startswith("."):
        return _RELATIVE
    if top == "__future__":
        return _FUTURE
    if top in sys.stdlib_module_names:
        return _STDLIB
    return _FIRST_PARTY if top in first_party else _THIRD_PARTY
