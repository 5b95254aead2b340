"""What ``pylint_client`` and ``pylint_worker`` say to each other: one JSON object a line, in both directions.

Imports nothing, so that the caller needs no pylint. Start reading at ``Question``.
"""

from __future__ import annotations

from typing import TypedDict

SYMBOLS = (
    "syntax-error",
    "no-member",
    "undefined-variable",
    "used-before-assignment",
    "no-value-for-parameter",
    "too-many-function-args",
    "unexpected-keyword-arg",
    "not-callable",
    "import-error",
    "no-name-in-module",
)


class Question(TypedDict):
    """``text`` is what the file at ``path`` (below the root) is taken to hold; ``warm`` only fills the caches."""

    path: str
    text: str
    timeout_s: float
    warm: bool


class Found(TypedDict):
    """One message of pylint; ``line`` counts from 1."""

    symbol: str
    line: int
    text: str


class Answer(TypedDict):
    """What was found, or why nothing can be said: ``timeout`` or ``crash``."""

    found: list[Found]
    error: str | None
