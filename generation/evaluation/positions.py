"""Where in a true body a tool would be asked, and what the right answer is.

All attributes that are read, and all names that are read where an expression starts: keywords and builtins are not
asked for, variables of the function are. Left out: names inside f-strings (Python 3.11 does not say where they are)
and names that the text binds only later, such as the element of a comprehension, which no tool can know; they are
counted. Knows nothing of tools. Start reading at ``positions``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from generation.evaluation.places import Places
from generation.evaluation.tasks import FunctionNode
from generation.types import NameKind

_BUILTINS = frozenset(dir(builtins))


class Receiver(StrEnum):
    """What stands before the dot; at a name, that there is no dot."""

    SELF = "self"
    MODULE = "module"
    IMPORTED_NAME = "imported name"
    PARAMETER = "parameter"
    CHAIN = "chain"
    CALL = "call"
    LOCAL = "local"
    OTHER = "other"
    NONE = "name"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file where ``name`` is the right answer."""

    offset: int
    name: str
    kind: NameKind
    receiver: Receiver


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a function in the order of the text, and how many names were bound too late to be known."""

    asked: tuple[Position, ...]
    forward_names: int


def positions(tree: ast.Module, function: FunctionNode, span: tuple[int, int], places: Places) -> Positions:
    """Positions in the body of a function of a file.

    Args:
        tree: the whole file.
        function: one of its functions.
        span: the removed body.
        places: of the file's text.
    """
    scope = _Scope(tree, function, span, places)
    asked = []
    forward_names = 0
    for node in _outside_f_strings(function):
        position = _position(node, scope, places)
        if position is None or not span[0] <= position.offset < span[1]:
            continue
        if position.kind is NameKind.NAME and scope.binds_only_later(position.name, position.offset):
            forward_names += 1
        else:
            asked.append(position)
    return Positions(tuple(sorted(asked, key=lambda position: position.offset)), forward_names)


def _outside_f_strings(tree: ast.AST) -> Iterator[ast.AST]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.JoinedStr):
            pending.extend(ast.iter_child_nodes(node))


def _position(node: ast.AST, scope: _Scope, places: Places) -> Position | None:
    match node:
        case ast.Attribute(attr=name, ctx=ast.Load(), value=value):
            _, end = places.span(node)
            return Position(end - len(name), name, NameKind.ATTRIBUTE, scope.receiver(value))
        case ast.Name(id=name, ctx=ast.Load()) if name not in _BUILTINS or scope.binds(name):
            start, _ = places.span(node)
            return Position(start, name, NameKind.NAME, Receiver.NONE)
    return None


class _Scope:
    """Which names the file binds, how, and where."""

    def __init__(self, tree: ast.Module, function: FunctionNode, span: tuple[int, int], places: Places) -> None:
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        arguments += [argument for argument in (function.args.vararg, function.args.kwarg) if argument]
        self._parameters = {argument.arg for argument in arguments}
        self._modules: set[str] = set()
        self._imported: set[str] = set()
        self._outside: set[str] = set()
        self._inside: dict[str, int] = {}
        for node in ast.walk(tree):
            for name in self._bound_by(node):
                offset = _binding_offset(node, places)
                if span[0] <= offset < span[1]:
                    self._inside[name] = min(offset, self._inside.get(name, offset))
                else:
                    self._outside.add(name)

    def _bound_by(self, node: ast.AST) -> list[str]:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                return [name]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                return [name]
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                return [name]
            case ast.Import(names=aliases):
                names = [alias.asname or alias.name.partition(".")[0] for alias in aliases]
                self._modules.update(names)
                return names
            case ast.ImportFrom(names=aliases):
                names = [alias.asname or alias.name for alias in aliases]
                self._imported.update(names)
                return names
        return []

    def binds(self, name: str) -> bool:
        """Whether the file binds the name anywhere."""
        return name in self._outside or name in self._inside

    def binds_only_later(self, name: str, offset: int) -> bool:
        """Whether nothing but the body binds the name, and that after this offset."""
        return name not in self._outside and name in self._inside and offset < self._inside[name]

    def receiver(self, value: ast.expr) -> Receiver:
        """What kind of expression stands before a dot."""
        match value:
            case ast.Attribute():
                return Receiver.CHAIN
            case ast.Call():
                return Receiver.CALL
            case ast.Name(id=name):
                return self._receiver_name(name)
        return Receiver.OTHER

    def _receiver_name(self, name: str) -> Receiver:
        kinds = {
            Receiver.SELF: name in {"self", "cls"},
            Receiver.PARAMETER: name in self._parameters,
            Receiver.MODULE: name in self._modules,
            Receiver.IMPORTED_NAME: name in self._imported,
            Receiver.LOCAL: name in self._inside,
        }
        return next((kind for kind, applies in kinds.items() if applies), Receiver.OTHER)


def _binding_offset(node: ast.AST, places: Places) -> int:
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    return places.offset(line, column)
