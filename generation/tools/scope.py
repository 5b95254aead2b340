"""Names that the text above the cursor binds, and where; read from the repaired buffer with ``ast``, without Jedi.

Answers two questions: which names are in scope because this function has bound them so far, and how much of the
function's text the value of an expression can depend on, which decides whether an answer may be reused. Knows nothing
of modules, types and caches. Start reading at ``function_at``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from generation.source import parsing
from generation.tools.repair import DUMMY, RepairedBuffer, open_blocks, statements

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.ListComp | ast.SetComp
_SCOPES = (*_Scope.__args__, ast.DictComp, ast.GeneratorExp)
_BINDING = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.arg, ast.alias, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping),
)
_IDENTIFIER = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Binding:
    """``name`` (dotted for an attribute) gets a value, or is narrowed, on ``line`` of the function."""

    name: str
    line: int


@dataclass(frozen=True)
class FunctionText:
    """The outermost function around the cursor, as far as it is written; what no question needs is not looked for.

    Attributes:
        node: its tree; lines are one lower than in ``code``, and 1-based.
        start: where its ``def`` line starts in the buffer.
        indent: of its ``def`` line; not empty for a method.
        code: its text up to the cursor.
        nested: the cursor is in a function inside it, which may use what is bound only later.
        in_class: it is a method, which does not see itself by its bare name.
    """

    node: _Function
    start: int
    indent: str
    code: str
    nested: bool
    in_class: bool

    @property
    def name(self) -> str:
        """As it is defined."""
        return self.node.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """Of this function, in order."""
        return tuple(argument.arg for argument in _arguments(self.node.args))

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """Everything it binds, in order of lines."""
        return tuple(sorted(_all_bindings(self.node), key=lambda binding: binding.line))

    @cached_property
    def visible(self) -> tuple[str, ...]:
        """Names bound in it that can be used at the cursor."""
        line, last = self.code.count("\n"), self.code[self.code.rfind("\n") + 1 :]
        own = [] if self.in_class else [self.name]
        return tuple(dict.fromkeys([*own, *_visible(self.node, (line + 2, len(last.encode())))]))

    @cached_property
    def statement_lines(self) -> tuple[int, ...]:
        """Lines on which statements start."""
        return tuple(sorted({n.lineno - 2 for n in ast.walk(self.node) if isinstance(n, ast.stmt)}))

    def relevant_text(self, expression: str) -> str:
        """The text that the value of ``expression`` can depend on, apart from what surrounds the function."""
        paths = set(_prefixes(expression))
        if not paths:
            return ""
        last = max((binding.line for binding in self.bindings if binding.name in paths), default=-1)
        if last < 0:
            return ""
        following = next((line for line in self.statement_lines if line > last), None)
        if following is None:
            return self.code
        lines = self.code.split("\n")[:following]
        while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        return "\n".join(lines)

    def attributes_of(self, receiver: str) -> list[str]:
        """Attributes that this function has assigned on the receiver so far; ``super()`` has what it overrides."""
        if receiver.startswith("super("):
            return [self.name]
        start = receiver + "."
        names = (binding.name[len(start) :] for binding in self.bindings if binding.name.startswith(start))
        return [name for name in dict.fromkeys(names) if "." not in name and not name.startswith(DUMMY)]


def function_at(buffer: RepairedBuffer) -> FunctionText | None:
    """The outermost function around the cursor, or None outside of functions and where its text does not parse."""
    head = buffer.text[: buffer.offset]
    *above, current = statements(head + DUMMY)
    blocks = [block for block in open_blocks(above) if len(block.indent) < len(current.indent)]
    start = next((block.start - len(block.indent) for block in blocks if block.keyword == "def"), None)
    if start is None:
        return None
    tree = _parse(buffer.text[start : buffer.end])
    if tree is None:
        return None
    return FunctionText(
        node=next(node for node in ast.walk(tree) if isinstance(node, _Function)),
        start=start,
        indent=next(block.indent for block in blocks if block.keyword == "def"),
        code=head[start:],
        nested=sum(block.keyword == "def" for block in blocks) > 1,
        in_class=any(block.keyword == "class" for block in blocks),
    )


def _parse(code: str) -> ast.Module | None:
    """The tree of an indented function; its lines are 1-based and one lower than in ``code``."""
    try:
        return parsing.parse("if 1:\n" + code if code[:1].isspace() else "\n" + code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [argument for argument in (arguments.vararg, arguments.kwarg) if argument]


def _all_bindings(tree: ast.AST) -> Iterator[Binding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _narrowed(node)
        for name in bound_names(node):
            yield Binding(name, getattr(node, "lineno", 2) - 2)


def _narrowed(call: ast.Call) -> Iterator[Binding]:
    """``isinstance`` changes what is known of its first argument."""
    if isinstance(call.func, ast.Name) and call.func.id == "isinstance" and call.args:
        path = dotted_path(call.args[0])
        if path:
            yield Binding(path, call.lineno - 2)


def bound_names(node: ast.AST) -> list[str]:
    """Names (dotted for attributes) that this node by itself binds."""
    if not isinstance(node, _BINDING):
        return []  # most of a tree, which the patterns would take longer to tell
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            return [dotted_path(node)]
        case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
            return [dotted_path(value)]
        case ast.alias(name=name, asname=other):
            return [other or name.partition(".")[0]]
        case (
            ast.Name(id=str(name), ctx=ast.Store() | ast.Del())
            | ast.arg(arg=str(name))
            | ast.FunctionDef(name=str(name))
            | ast.AsyncFunctionDef(name=str(name))
            | ast.ClassDef(name=str(name))
            | ast.ExceptHandler(name=str(name))
            | ast.MatchAs(name=str(name))
            | ast.MatchStar(name=str(name))
            | ast.MatchMapping(rest=str(name))
        ):
            return [name]
    return []


def dotted_path(node: ast.AST) -> str:
    """The dotted path of a chain of names, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted_path(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _prefixes(expression: str) -> Iterator[str]:
    """Every dotted path whose value the expression reads: ``f(a.b).c`` gives f, a, a.b."""
    for match in _IDENTIFIER.finditer(expression):
        parts = match[0].split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _visible(node: ast.AST, cursor: tuple[int, int]) -> Iterator[str]:
    """Names bound below ``node`` that can be used at the cursor (line as ``ast`` counts, column in bytes)."""
    for child in ast.iter_child_nodes(node):
        if not _unborn(node, child, cursor):
            yield from (n for n in bound_names(child) if n and "." not in n and DUMMY not in n and _binds_name(child))
            if not isinstance(child, _SCOPES) or _contains(child, cursor):
                yield from _visible(child, cursor)


def _binds_name(node: ast.AST) -> bool:
    return not isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(getattr(node, "ctx", None), ast.Del)


def _unborn(statement: ast.AST, target: ast.AST, cursor: tuple[int, int]) -> bool:
    """The target of an assignment or loop whose right side is being written does not exist yet."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            return target in targets and _contains(value, cursor)
        case ast.AnnAssign(target=bound) | ast.NamedExpr(target=bound):
            return target is bound and _contains(statement, cursor)
        case ast.For(target=bound, iter=iterated) | ast.AsyncFor(target=bound, iter=iterated):
            return target is bound and _contains(iterated, cursor)
    return False


def _contains(node: ast.AST, cursor: tuple[int, int]) -> bool:
    if not isinstance(node, ast.expr | ast.stmt):
        return False
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= cursor < end
