"""Where code reads a member of something whose type does not change under its feet.

A tool that infers types is easily wrong about a name that is bound twice, or whose type a test has narrowed; whoever
catches ``AttributeError`` or asks ``hasattr`` expects the member to be missing. Such accesses are left out. Knows
nothing of any tool. Start at ``certain_accesses``.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from generation.source.parsing import reaches_into, unguarded
from generation.tools.scope import bound_names

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_NARROWING = ("isinstance", "issubclass", "hasattr", "callable", "setattr", "type")


def certain_accesses(tree: ast.Module, lines: range) -> list[ast.Attribute]:
    """Reads of ``receiver.name`` in functions, where the receiver is made of names, dots, calls and indices.

    Args:
        tree: of the whole file.
        lines: of it, 1-based; only functions that reach into these are read.
    """
    found: list[tuple[str, ast.Attribute]] = []
    for function in _outermost_functions(tree, lines):
        doubtful = _doubtful(function)
        for access in _reads(function):
            special = access.attr.startswith("__") and access.attr.endswith("__")
            parts = {ast.unparse(part) for part in _receivers(access.value)}
            if access.lineno < lines.stop and parts and not parts & doubtful and not special:
                found.append((ast.unparse(access.value), access))
    assigned = _assigned(tree, {access.attr for _, access in found})
    return [access for receiver, access in found if (receiver, access.attr) not in assigned]


def _assigned(tree: ast.Module, names: set[str]) -> set[tuple[str, str]]:
    """Receiver and name of every attribute with one of these names that the file sets."""
    nodes = ast.walk(tree) if names else ()
    stored = (n for n in nodes if isinstance(n, ast.Attribute) and n.attr in names and not isinstance(n.ctx, ast.Load))
    return {(ast.unparse(node.value), node.attr) for node in stored}


def _outermost_functions(node: ast.AST, lines: range) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and not reaches_into(child, lines):
            continue
        if isinstance(child, _FUNCTION):
            yield child
        else:
            yield from _outermost_functions(child, lines)


def _reads(node: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes that are read where no one is ready to catch their absence."""
    for child in unguarded(node, "AttributeError"):
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
            yield child
        yield from _reads(child)


def _receivers(node: ast.expr) -> Iterator[ast.expr]:
    """``a.b().c``, ``a.b()``, ``a.b`` and ``a``; nothing when anything else is in between."""
    found = []
    while True:
        found.append(node)
        match node:
            case ast.Name():
                yield from found
                return
            case ast.Attribute(value=inner) | ast.Call(func=inner) | ast.Subscript(value=inner):
                node = inner
            case _:
                return


def _doubtful(function: ast.AST) -> set[str]:
    """Names bound more than once in ``function``, and expressions whose type it tests."""
    nodes = (node for node in ast.walk(function) if not isinstance(node, ast.Attribute | ast.Subscript))
    bound = Counter(name for node in nodes for name in bound_names(node))
    return {name for name, count in bound.items() if count > 1} | set(_tested(function))


def _tested(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=called), args=[tested, *_]) if called in _NARROWING:
                yield ast.unparse(tested)
            case ast.Match():
                yield ast.unparse(node.subject)
