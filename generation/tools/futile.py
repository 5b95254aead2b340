"""Bodies that cannot be meant: they do nothing, or call their own function before they do anything else.

Knows no types. Start reading at ``futile_bodies``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from generation.source.parsing import reaches_into
from generation.tools.scope import bound_names, dotted_path

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_PROPERTIES = ("property", "cached_property")


def futile_bodies(tree: ast.AST, lines: range, owner: bool = False) -> Iterator[tuple[_Function, bool]]:
    """Functions whose body stands in these 1-based lines; whether they call themselves, or do nothing.

    One that stands in the body of such a function may do nothing.

    Args:
        tree: of the file.
        lines: of it.
        owner: the tree is that of a class.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt) and not reaches_into(node, lines):
            continue
        if isinstance(node, _Function):
            if not all(statement.lineno in lines for statement in _without_docstring(node.body)[:1]):
                yield from futile_bodies(node, lines)
            elif _does_nothing(node.body):
                yield node, False
            elif _is_endless(node, owner):
                yield node, True
        else:
            yield from futile_bodies(node, lines, owner or isinstance(node, ast.ClassDef))


def _without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    return body[1:] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else body


def _does_nothing(body: Sequence[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _is_endless(function: _Function, is_method: bool) -> bool:
    """The first statement, whatever happens, calls the function itself: on ``self`` in a method, else by its name."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    statements = _without_docstring(function.body)
    binding = statements[1:] if is_method else statements  # what the first binds in a method, it has read before
    names = {name for statement in binding for node in ast.walk(statement) for name in bound_names(node)}
    names |= {parameter.arg for parameter in parameters[is_method:]}
    itself = f"{parameters[0].arg}.{function.name}" if is_method and parameters else function.name
    if names & {itself, *itself.split(".")} or (is_method and not parameters):
        return False
    decorators = [dotted_path(decorator).rpartition(".")[2] for decorator in function.decorator_list]
    if any(name not in _PROPERTIES for name in decorators):
        return False  # nobody knows what stands under the name then
    for node in _certain(statements[0]) if statements else ():
        reads = node if decorators else node.func if isinstance(node, ast.Call) else None
        if reads is not None and dotted_path(reads) == itself:
            return True
    return False


def _certain(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions that a statement evaluates first of all, in whatever branch it goes on."""
    match node:
        case ast.If(test=value) | ast.While(test=value) | ast.IfExp(test=value) | ast.For(iter=value):
            yield from _certain(value)
        case ast.Expr(value=value) | ast.Assign(value=value) | ast.Return(value=ast.expr() as value):
            yield from _certain(value)
        case ast.keyword(value=value) | ast.BoolOp(values=[value, *_]):
            yield from _certain(value)
        case ast.ListComp() | ast.SetComp() | ast.DictComp():
            yield from _certain(node.generators[0].iter)
        case ast.Lambda() | ast.GeneratorExp() | ast.Yield() | ast.YieldFrom():
            return
        case ast.expr():
            yield node
            for child in ast.iter_child_nodes(node):
                yield from _certain(child)
