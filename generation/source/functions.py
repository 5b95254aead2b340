"""Where a function is in a file, and which span of it is the body.

Finds functions by qualified name or by position, and says what a generated body replaces. Knows nothing of models,
Jedi or the disk. Offsets are code points into the text as given, with its own line ends. Start reading at
``find_function``; ``replace_body`` is what becomes of a ``FunctionSite``.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from generation.errors import TargetError
from generation.source.tolerant import TolerantTree, indentation, parse_tolerant, split_lines

_DEFAULT_INDENT = "    "

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_INDENTED_BLOCK = re.compile(r"^[^\s#].*:[ \t]*(?:#.*)?[\r\n]+([ \t]+)[^\s#]", re.MULTILINE)
_COMMENT_BEHIND = re.compile(
    r"[ \t;]*(#(?!\s*(?:noqa|pragma|type:|nosec|mypy|pylint|pyright|ruff|isort|fmt))[^\r\n]*)"
)  # but for what is said to a checker of the statement
_BLANK_OR_COMMENT = re.compile(r"[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")


@dataclass(frozen=True, slots=True)
class FunctionSite:
    """A function in a text, and the span that a new body replaces.

    The body is a span of whole lines: it starts after the header, the docstring and, in a stub, the comments, and
    ends where the next line after the function starts. Where there is no line to start at (``def f(): ...``),
    ``lead`` is what has to stand between ``text[:body_start]`` and the new body; elsewhere it is empty.

    Attributes:
        qualname: ``function``, ``Class.method``, ``outer.inner``.
        ordinal: which of the functions with this qualname it is, from 1; overloads count.
        namesakes: how many functions have this qualname.
        class_path: names of the classes directly around it, outermost first; empty for a function in a function.
        decorators_start: offset of the first ``@``; equal to ``header_start`` without decorators.
        header_start: offset of ``def`` or ``async``.
        header_end: offset after the colon.
        docstring_span: of the literal, quotes included.
        body_indent: indentation of the body's statements.
        is_stub: nothing but a docstring, ``...``, ``pass`` or ``raise NotImplementedError``.
        is_overload: decorated with ``overload``.
        line: 0-based line of ``header_start``.
        warnings: what was wrong elsewhere in the file.
    """

    qualname: str
    name: str
    ordinal: int
    namesakes: int
    class_path: tuple[str, ...]
    decorators_start: int
    header_start: int
    header_end: int
    docstring_span: tuple[int, int] | None
    body_start: int
    body_end: int
    body_indent: str
    lead: str
    is_stub: bool
    is_overload: bool
    line: int
    warnings: tuple[str, ...] = ()


def list_functions(text: str) -> list[FunctionSite]:
    """Every function of a file, in the order of their headers; those whose header is broken are left out.

    Raises:
        TargetError: the text cannot be read as Python, even with its broken lines ignored.
    """
    parsed = parse_tolerant(text)
    return [_site(text, parsed, place) for place in _places(parsed) if not _header_is_broken(parsed, place)]


def find_function(text: str, qualname: str) -> FunctionSite:
    """The function called ``qualname``, as in ``scale``, ``Class.method``, ``outer.inner`` or ``Class.method#2``.

    ``#2`` means the second definition of that name. Without it, an implementation wins over its overloads.

    Raises:
        TargetError: there is none, several, or the file cannot be read as Python.
    """
    wanted, _, ordinal = qualname.replace("<locals>.", "").partition("#")
    parsed = parse_tolerant(text)
    places = _places(parsed)
    same = [place for place in places if place.qualname == wanted]
    if not same:
        raise TargetError(_not_found(wanted, [place.qualname for place in places]))
    if not ordinal:
        return _checked_site(text, parsed, _only(parsed, same))
    if not ordinal.isdecimal() or not 1 <= int(ordinal) <= len(same):
        raise TargetError(f"there is no {qualname}: {wanted} is defined {len(same)} time(s)")
    return _checked_site(text, parsed, same[int(ordinal) - 1])


def find_again(text: str, site: FunctionSite) -> FunctionSite:
    """The function that ``site`` is in an earlier version of ``text``: the same one of as many with its name.

    Raises:
        TargetError: it is gone, or its name is defined more or fewer times now.
    """
    found = find_function(text, f"{site.qualname}#{site.ordinal}")
    if found.namesakes != site.namesakes:
        raise TargetError(f"{site.qualname} was defined {site.namesakes} time(s) and now is {found.namesakes}")
    return found


def find_at(text: str, line: int, column: int | None = None) -> FunctionSite:
    """The innermost function at a 0-based line; functions own whole lines, so ``column`` is only checked.

    Raises:
        TargetError: no function is there, or the file cannot be read as Python.
    """
    lines = split_lines(text)
    if not 0 <= line < len(lines):
        raise TargetError(f"line {line + 1} is outside the file, which has {len(lines)} lines")
    if column is not None and not 0 <= column <= len(lines[line].rstrip("\r\n")):
        raise TargetError(f"column {column + 1} is outside line {line + 1}: {lines[line].rstrip()!r}")
    parsed = parse_tolerant(text)
    places = _places(parsed)
    around = [place for place in places if line in _lines_of(parsed, place)]
    if not around:
        raise TargetError(_not_inside(line, [(place.qualname, _line(parsed, place)) for place in places]))
    return _checked_site(text, parsed, min(around, key=lambda place: len(_lines_of(parsed, place))))


def hole(text: str, site: FunctionSite) -> tuple[str, str]:
    """What stands before and after the body; the first ends with a line end, the second starts at a line start."""
    return text[: site.body_start] + site.lead, text[site.body_end :]


def replace_body(text: str, site: FunctionSite, body: str, newline: str = "\n") -> str:
    """``text`` with ``body`` in place of the site's body; everything else stays byte for byte.

    ``body`` is indented by ``site.body_indent``; its line ends become ``newline``.
    """
    new = site.lead + body.rstrip("\r\n") + "\n"
    ends_file = site.body_end == len(text) and not text.endswith(("\n", "\r"))
    new = re.sub(r"\r\n|\r|\n", newline, new[:-1] if ends_file else new)
    return text[: site.body_start] + new + text[site.body_end :]


# ------------------------------------------------------------------------------------------------- finding


@dataclass(frozen=True, slots=True)
class _Place:
    """A function in the tree, with the names around it, the classes directly around it, and what its site says."""

    node: _FunctionNode
    outer: tuple[str, ...]
    classes: tuple[str, ...]
    ordinal: int = 1
    namesakes: int = 1

    @property
    def qualname(self) -> str:
        return ".".join((*self.outer, self.node.name))


def _places(parsed: TolerantTree) -> list[_Place]:
    found = sorted(_walk(parsed.tree.body, (), ()), key=lambda place: place.node.lineno)
    totals, seen = Counter(place.qualname for place in found), Counter[str]()
    numbered = []
    for place in found:
        seen[place.qualname] += 1
        numbered.append(replace(place, ordinal=seen[place.qualname], namesakes=totals[place.qualname]))
    return numbered


def _walk(body: Sequence[ast.AST], outer: tuple[str, ...], classes: tuple[str, ...]) -> Iterator[_Place]:
    for node in body:
        if isinstance(node, _FunctionNode):
            yield _Place(node, outer, classes)
            yield from _walk(node.body, (*outer, node.name), ())
        elif isinstance(node, ast.ClassDef):
            yield from _walk(node.body, (*outer, node.name), (*classes, node.name))
        elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _walk(list(ast.iter_child_nodes(node)), outer, classes)


def _only(parsed: TolerantTree, same: Sequence[_Place]) -> _Place:
    chosen = [place for place in same if not _is_overload(place.node)] or same
    if len(chosen) == 1:
        return chosen[0]
    name = same[0].qualname
    lines = ", ".join(str(_line(parsed, place) + 1) for place in same)
    raise TargetError(f"{name} is defined {len(same)} times, in lines {lines}; say which: {name}#2, or FILE:LINE")


def _checked_site(text: str, parsed: TolerantTree, place: _Place) -> FunctionSite:
    if _header_is_broken(parsed, place):
        line = _line(parsed, place) + 1
        raise TargetError(f"the header of {place.qualname} in line {line} has a syntax error; correct it first")
    return _site(text, parsed, place)


def _header_is_broken(parsed: TolerantTree, place: _Place) -> bool:
    first = place.node.lineno - 1
    rows = range(first, max(first + 1, place.node.body[0].lineno - 1))
    return any(row in parsed.repaired and not parsed.is_added(row) for row in rows)


def _line(parsed: TolerantTree, place: _Place) -> int:
    return parsed.original_row(place.node.lineno - 1)


def _lines_of(parsed: TolerantTree, place: _Place) -> range:
    """0-based lines from the first decorator to the end, and the blank lines and inner comments that follow."""
    first = min([place.node.lineno, *(decorator.lineno for decorator in place.node.decorator_list)]) - 1
    last = _end(place.node)[0] - 1
    own = len(indentation(parsed.lines[place.node.lineno - 1]))
    for line in islice(parsed.lines, last + 1, None):
        inner_comment = line.lstrip().startswith("#") and len(indentation(line)) > own
        if line.strip() and not inner_comment:
            break
        last += 1
    return range(parsed.original_row(first), parsed.original_row(last + 1))


def _not_found(wanted: str, names: Sequence[str]) -> str:
    last = wanted.rpartition(".")[2]
    inside = [name for name in names if name.startswith(wanted + ".") or name.rpartition(".")[2] == last]
    near = list(dict.fromkeys([*inside, *difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)]))[:3]
    if near:
        return f"there is no function {wanted}; did you mean {' or '.join(near)}?"
    known = f"it defines {', '.join(dict.fromkeys(names[:5]))}" if names else "it defines no function"
    return f"there is no function {wanted} in the file; {known}"


def _not_inside(line: int, functions: Sequence[tuple[str, int]]) -> str:
    nearest = sorted(functions, key=lambda function: abs(function[1] - line))[:3]
    known = ", ".join(f"{name} (line {at + 1})" for name, at in nearest)
    return f"line {line + 1} is not in a function" + (f"; the nearest are {known}" if known else "")


# -------------------------------------------------------------------------------------------------- spans


def _site(text: str, parsed: TolerantTree, place: _Place) -> FunctionSite:
    node = place.node
    header_start = parsed.offset(node.lineno, node.col_offset)
    header_end = _header_end(parsed, node)
    docstring = _docstring_span(parsed, node)
    statements = [item for item in node.body[docstring is not None :] if not parsed.is_added(item.lineno - 1)]
    is_stub = all(map(_is_placeholder, statements))
    indent = _body_indent(text, parsed, node, header_end)
    start, lead = _body_start(text, header_end, docstring, indent)
    if is_stub and not lead:
        start, lead = _after_comments(text, start, indent)
    if is_stub and statements and (comment := _COMMENT_BEHIND.match(text, parsed.offset(*_end(statements[-1])))):
        lead += f"{indent}{comment[1]}\n"  # which says what to write, too
    return FunctionSite(
        qualname=place.qualname,
        name=node.name,
        ordinal=place.ordinal,
        namesakes=place.namesakes,
        class_path=place.classes,
        decorators_start=_decorators_start(text, parsed, node),
        header_start=header_start,
        header_end=header_end,
        docstring_span=docstring,
        body_start=start,
        body_end=max(start, _body_end(text, parsed, node)),
        body_indent=indent,
        lead=lead,
        is_stub=is_stub,
        is_overload=_is_overload(node),
        line=_line(parsed, place),
        warnings=_warnings(parsed, _line(parsed, place)),
    )


def _header_end(parsed: TolerantTree, node: _FunctionNode) -> int:
    """Offset after the colon that ends the header."""
    first = node.lineno - 1
    earliest = parsed.offset(*_end(node.returns)) if node.returns else 0
    lines = (line.rstrip("\r\n") + "\n" for line in islice(parsed.lines, first, None))
    depth = 0
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        offset = parsed.offsets[first + token.start[0] - 1] + token.start[1]
        if token.type != tokenize.OP:
            continue
        if token.string == ":" and depth == 0 and offset >= earliest:
            return offset + 1
        depth += (token.string in "([{") - (token.string in ")]}")
    raise AssertionError(f"a header without a colon in line {node.lineno}")


def _decorators_start(text: str, parsed: TolerantTree, node: _FunctionNode) -> int:
    if not node.decorator_list:
        return parsed.offset(node.lineno, node.col_offset)
    first = node.decorator_list[0]
    return text.rindex("@", 0, parsed.offset(first.lineno, first.col_offset))


def _docstring_span(parsed: TolerantTree, node: _FunctionNode) -> tuple[int, int] | None:
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    if not isinstance(first.value.value, str):
        return None
    return parsed.offset(first.lineno, first.col_offset), parsed.offset(*_end(first))


def _body_indent(text: str, parsed: TolerantTree, node: _FunctionNode, header_end: int) -> str:
    first = node.body[0].lineno - 1
    if _BLANK_OR_COMMENT.match(text, header_end) and not parsed.is_added(first):
        return indentation(parsed.lines[first])
    unit = _INDENTED_BLOCK.search(text)
    return indentation(parsed.lines[node.lineno - 1]) + (unit[1] if unit else _DEFAULT_INDENT)


def _body_start(text: str, header_end: int, docstring: tuple[int, int] | None, indent: str) -> tuple[int, str]:
    """Where the body starts, and the text that is missing before it."""
    if not _BLANK_OR_COMMENT.match(text, header_end):  # the body stands on the line of the header
        moved = f"{indent}{text[slice(*docstring)]}\n" if docstring else ""
        return header_end, "\n" + moved
    anchor = docstring[1] if docstring else header_end
    rest = _BLANK_OR_COMMENT.match(text, anchor)
    return _with_lead(text, rest.end() if rest else anchor)


def _after_comments(text: str, start: int, indent: str) -> tuple[int, str]:
    """Behind the comments that stand at ``start``: in a stub they say what to write."""
    position = start
    while (line := _BLANK_OR_COMMENT.match(text, position)) and line.end() > position:
        position = line.end()
        if line[0].strip() and line[0].startswith(indent):
            start = position
    return _with_lead(text, start)


def _with_lead(text: str, start: int) -> tuple[int, str]:
    return start, "" if text[start - 1] in "\r\n" else "\n"


def _body_end(text: str, parsed: TolerantTree, node: _FunctionNode) -> int:
    """Start of the line after the function; broken lines that were blanked at its end belong to it."""
    own = len(indentation(parsed.lines[node.lineno - 1]))
    row = _end(node)[0] - 1
    if parsed.is_added(row) and row == node.body[0].lineno - 1:
        return 0
    while row + 1 in parsed.repaired:
        line = text[parsed.offsets[row + 1] : parsed.offsets[row + 2]]
        if len(indentation(line)) <= own:
            break
        row += 1
    return parsed.offsets[row + 1]


def _is_placeholder(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant(value=builtins.Ellipsis)):
            return True
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False


def _is_overload(node: _FunctionNode) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] == "overload" for decorator in node.decorator_list)


def _warnings(parsed: TolerantTree, line: int) -> tuple[str, ...]:
    """What was wrong elsewhere. A missing body of the function itself is what we are here for."""
    elsewhere = [item for item in parsed.problems if item.line != line + 1]
    shown = [f"line {item.line} has a syntax error and was ignored: {item.message}" for item in elsewhere[:3]]
    more = [f"{len(elsewhere) - 3} more lines with syntax errors were ignored"] if len(elsewhere) > 3 else []
    return (*shown, *more)


def _end(node: ast.stmt | ast.expr) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset
