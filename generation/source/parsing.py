"""Python's parser for threads, and quiet: one at a time, without warnings.

CPython 3.11 counts the depth of the tree it builds in one place for all threads and then fails with a ``SystemError``;
silencing warnings is for all threads as well.
"""

from __future__ import annotations

import ast
import threading
import warnings

PARSING = threading.RLock()  # held by whoever parses by other means


def parse(text: str) -> ast.Module:
    """The tree of a text.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as ``ast.parse``.
    """
    with PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in somebody's strings is not ours to report
        return ast.parse(text)


def reaches_into(node: ast.stmt, lines: range) -> bool:
    """Whether any of a statement stands in these 1-based lines."""
    return node.lineno < lines.stop and (node.end_lineno or node.lineno) >= lines.start
