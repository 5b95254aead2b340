"""Closing the leak: what only the removed body used must not stay in the file and tell what the body was.

An import or a module-level variable whose every use lies inside the hole is removed, and then whatever only that
removed code used. Functions and classes stay: they are the repository that is given. In doubt a name stays. Knows
nothing of tasks or of other files; names that other files need are passed in. Start reading at ``close_leaks``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from generation.evaluation.places import Places
from generation.evaluation.sources import parse

Span = tuple[int, int]
_LINE_WIDTH = 100
_DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_ANNOTATION = re.compile(r"[\w. ]+[\[|][\w.,\[\]| '\"]{0,200}")


@dataclass(frozen=True, slots=True)
class _Binding:
    """One name that a module-level statement binds. ``path`` is the dotted name a plain import makes usable."""

    statement: ast.stmt
    name: str
    path: str
    alias: ast.alias | None = None


def close_leaks(
    text: str, spans: Sequence[Span], *, kept: Collection[str] = (), is_package: bool = False
) -> tuple[str, tuple[Span, ...]]:
    """The file without the names that only its holes used, and where the holes are now; they keep their content.

    A file that does not parse, or would not afterwards, comes back as it is.

    Args:
        text: the whole file with the true bodies in the holes.
        spans: the holes, as code points; usually one.
        kept: names that other files take from this one.
        is_package: the file is an ``__init__.py``: what it imports from elsewhere, it offers to others.
    """
    tree = parse(text)
    if tree is None:
        return text, tuple(spans)
    places = Places(text)
    bindings = [b for b in _bindings(tree.body) if b.name not in kept and not (is_package and _is_reexport(b))]
    edits = _edits(tree, _unused_outside(tree, bindings, places, spans), places)
    closed = _cut(text, edits)
    return (closed, tuple(_moved(span, edits) for span in spans)) if parse(closed) else (text, tuple(spans))


# --------------------------------------------------------------------------------------------- what is bound


def _bindings(body: Sequence[ast.stmt]) -> Iterator[_Binding]:
    for statement in body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                yield from _imported(statement)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if not (name.startswith("__") and name.endswith("__")):
                    yield _Binding(statement, name, name)
            case ast.If() | ast.Try():
                for block in _blocks(statement):
                    yield from _bindings(block)


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[_Binding]:
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return
    for alias in statement.names:
        path = alias.asname or alias.name
        bound = path.partition(".")[0] if alias.asname is None else path
        if bound != "*":
            yield _Binding(statement, bound, path, alias)


def _blocks(statement: ast.If | ast.Try) -> list[list[ast.stmt]]:
    if isinstance(statement, ast.If):
        return [statement.body, statement.orelse]
    handlers = [handler.body for handler in statement.handlers]
    return [statement.body, *handlers, statement.orelse, statement.finalbody]


def _is_reexport(binding: _Binding) -> bool:
    return not isinstance(binding.statement, ast.Import)


# --------------------------------------------------------------------------------------------- what is used


@dataclass(frozen=True, slots=True)
class _Use:
    """A dotted name that is read, and where."""

    path: str
    offset: int


def _uses(tree: ast.AST, places: Places) -> Iterator[_Use]:
    for name, chain in _chains(tree):
        yield _Use(chain, places.offset(name.lineno, name.col_offset))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            offset = places.offset(node.lineno, node.col_offset)
            yield from (_Use(chain, offset) for chain in _chains_in_string(node.value))


def _chains(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Every longest dotted name, with the node it is."""
    pending = [tree]
    while pending:
        node = pending.pop()
        chain = dotted(node)
        if chain is None:
            pending.extend(ast.iter_child_nodes(node))
        elif isinstance(node, ast.expr):
            yield node, chain


def dotted(node: ast.AST) -> str | None:
    """``a.b.c`` of an expression that is only names and dots; None of any other."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            inner = dotted(value)
            return None if inner is None else f"{inner}.{attribute}"
    return None


def _chains_in_string(value: str) -> list[str]:
    """Names in a quoted annotation, an entry of ``__all__`` or an argument of ``cast``; prose is none of these."""
    if _DOTTED_NAME.fullmatch(value):
        return [value]
    tree = parse(value) if _ANNOTATION.fullmatch(value) else None
    return [chain for _, chain in _chains(tree)] if tree else []


def _unused_outside(
    tree: ast.Module, bindings: list[_Binding], places: Places, spans: Sequence[Span]
) -> list[_Binding]:
    """The bindings whose names are used inside the holes, or inside what is dropped with it, and nowhere else."""
    uses = list(_uses(tree, places))
    inside = list(spans)
    dropped: list[_Binding] = []
    while True:
        outer = [use for use in uses if not _within(use.offset, inside)]
        inner = [use for use in uses if _within(use.offset, inside)]
        more = [b for b in bindings if b not in dropped and _only_inner(b, bindings, places, outer, inner)]
        if not more:
            return dropped
        dropped += more
        inside += [places.span(b.statement) for b in more if b.alias is None]


def _only_inner(
    binding: _Binding, bindings: list[_Binding], places: Places, outer: list[_Use], inner: list[_Use]
) -> bool:
    siblings = [b for b in bindings if b.name == binding.name]
    own = [places.span(b.statement) for b in siblings if b.alias is None]
    outer = [use for use in outer if not (use.path == binding.name and use.offset in {start for start, _ in own})]
    if not any(_touches(use.path, binding) for use in inner):
        return False
    if any(_touches(use.path, binding) for use in outer):
        return False
    root_used = any(use.path.partition(".")[0] == binding.name for use in outer)
    return not root_used or any(_stays(b, outer) for b in siblings if b is not binding)


def _stays(sibling: _Binding, outer: list[_Use]) -> bool:
    return any(_touches(use.path, sibling) for use in outer)


def _touches(use: str, binding: _Binding) -> bool:
    """Whether a dotted name may go through a binding: one is the beginning of the other."""
    longer, shorter = sorted((use + ".", binding.path + "."), key=len, reverse=True)
    return longer.startswith(shorter)


def _within(offset: int, spans: Sequence[Span]) -> bool:
    return any(start <= offset < end for start, end in spans)


# --------------------------------------------------------------------------------------------- cutting it out

_Edit = tuple[Span, str]


def _edits(tree: ast.Module, dropped: list[_Binding], places: Places) -> list[_Edit]:
    return [edit for statement in tree.body for edit in _edits_of(statement, dropped, places)]


def _edits_of(statement: ast.stmt, dropped: list[_Binding], places: Places) -> list[_Edit]:
    if _vanishes(statement, dropped):
        return _replace_lines(statement, "", places)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return _narrow_import(statement, dropped, places)
    if isinstance(statement, ast.If | ast.Try):
        return [edit for block in _blocks(statement) for edit in _edits_of_block(block, dropped, places)]
    return []


def _edits_of_block(block: list[ast.stmt], dropped: list[_Binding], places: Places) -> list[_Edit]:
    edits = [edit for statement in block for edit in _edits_of(statement, dropped, places)]
    is_elif = bool(block) and places.text.startswith("elif", places.span(block[0])[0])
    if edits and not is_elif and all(_vanishes(statement, dropped) for statement in block):
        edits[-1] = (edits[-1][0], places.indent(block[0]) + "pass" + places.newline)
    return edits


def _vanishes(statement: ast.stmt, dropped: list[_Binding]) -> bool:
    own = [binding for binding in dropped if binding.statement is statement]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return len(own) == len(statement.names)
    if isinstance(statement, ast.If | ast.Try):
        inner = [child for block in _blocks(statement) for child in block]
        real = [child for child in inner if not isinstance(child, ast.Pass)]
        return bool(real) and all(_vanishes(child, dropped) for child in real)
    return bool(own)


def _narrow_import(statement: ast.Import | ast.ImportFrom, dropped: list[_Binding], places: Places) -> list[_Edit]:
    gone = {id(binding.alias) for binding in dropped if binding.statement is statement}
    if not gone:
        return []
    left = [alias for alias in statement.names if id(alias) not in gone]
    line = _import_line(statement, left, places.indent(statement), places.newline)
    return _replace_lines(statement, places.indent(statement) + line + places.newline, places)


def _import_line(statement: ast.Import | ast.ImportFrom, left: list[ast.alias], indent: str, newline: str) -> str:
    names = [ast.unparse(alias) for alias in left]
    if isinstance(statement, ast.Import):
        return "import " + ", ".join(names)
    start = f"from {'.' * statement.level}{statement.module or ''} import "
    if len(indent + start + ", ".join(names)) <= _LINE_WIDTH:
        return start + ", ".join(names)
    listed = "".join(f"{indent}    {name},{newline}" for name in names)
    return f"{start}({newline}{listed}{indent})"


def _replace_lines(statement: ast.stmt, replacement: str, places: Places) -> list[_Edit]:
    """One edit over the whole lines of a statement; none where it shares a line with other code."""
    span = places.whole_lines(statement)
    return [] if span is None else [(span, replacement)]


def _cut(text: str, edits: Sequence[_Edit]) -> str:
    for (first, last), replacement in sorted(edits, reverse=True):
        text = text[:first] + replacement + text[last:]
    return text


def _moved(span: Span, edits: Sequence[_Edit]) -> Span:
    by = sum(len(replacement) - (last - first) for (first, last), replacement in edits if first < span[0])
    return span[0] + by, span[1] + by
