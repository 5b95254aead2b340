"""Python's parser for threads, and quiet: one at a time, without warnings, and quick.

CPython 3.11 counts the depth of the tree it builds in one place for all threads and then fails with a ``SystemError``;
silencing warnings is for all threads as well. A tree is thousands of objects, none of them garbage, for which Python
would look over everything else again and again: that was most of the time.
"""

from __future__ import annotations

import ast
import gc
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PARSING = threading.RLock()  # held by whoever parses by other means


def parse(text: str) -> ast.Module:
    """The tree of a text.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as ``ast.parse``.
    """
    with PARSING, _uncollected(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in somebody's strings is not ours to report
        return ast.parse(text)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage inside; whoever has turned that off himself keeps it so."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def reaches_into(node: ast.stmt, lines: range) -> bool:
    """Whether any of a statement stands in these 1-based lines."""
    return node.lineno < lines.stop and (node.end_lineno or node.lineno) >= lines.start


def blocks_of(node: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    """The indented blocks of a compound statement."""
    for branch in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        for name in ("body", "orelse", "finalbody"):
            if block := getattr(branch, name, None):
                yield block


def is_for_type_checkers(statement: ast.stmt) -> bool:
    """Whether the body of an ``if`` is never run: ``if TYPE_CHECKING`` and ``if typing.TYPE_CHECKING``."""
    test = statement.test if isinstance(statement, ast.If) else None
    return getattr(test, "attr", getattr(test, "id", "")) == "TYPE_CHECKING"


def unguarded(node: ast.AST, error: str) -> Iterator[ast.AST]:
    """The children of a node, without what stands where ``error`` is caught, or suppressed."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.With) and any(error in ast.unparse(item) for item in child.items):
            continue
        if isinstance(child, ast.Try | ast.TryStar) and any(_catches(handler, error) for handler in child.handlers):
            yield from (*child.handlers, *child.orelse, *child.finalbody)
        else:
            yield child


def _catches(handler: ast.ExceptHandler, error: str) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "Exception"
    return any(name in caught for name in (error, "Exception", "BaseException"))
