"""The expression before a dot, read backwards from the end of unfinished text.

Purely lexical: names, dotted chains, calls, subscripts, brackets and strings. Knows nothing of what they mean.
Start reading at ``receiver_of``.
"""

from __future__ import annotations

import keyword
import re

_WORD = re.compile(r"\w+\Z")
_OPENER = {")": "(", "]": "[", "}": "{"}
_PREFIX = re.compile(r"(?<!\w)[rRbBuUfF]{1,2}\Z")
LONGEST = 2000  # characters; a longer expression is not looked at


def receiver_of(before: str) -> str | None:
    """The expression whose attribute is named at the end of ``before``, or None when that is not after a dot."""
    text = before[-LONGEST:].rstrip()
    if not text.endswith(".") or text.endswith(".."):
        return None
    end = len(text) - 1
    start = _chain_start(text, end)
    receiver = text[start:end].strip()
    return receiver if receiver and not receiver[0].isdigit() else None


def _chain_start(text: str, end: int) -> int:
    """Where the chain of names and trailers that ends at ``end`` starts."""
    start = _atom_start(text, end)
    while start is not None:
        rest = text[:start].rstrip(" \t")  # above the line may stand a comment that ends with a dot
        if not rest.endswith(".") or rest.endswith(".."):
            return start
        end, start = start, _atom_start(text, len(rest) - 1)
        if start is None:
            return end
    return end


def _atom_start(text: str, end: int) -> int | None:
    """Start of a name with its calls and subscripts, of a bracket or of a string; None when there is none."""
    end = len(text[:end].rstrip())
    start: int | None = None
    while end > 0 and text[end - 1] in ")]}":
        start = _bracket_start(text, end)
        if start is None or text[start] == "{":
            return start
        end = start
    if end > 0 and text[end - 1] in "'\"":
        return _string_start(text, end)
    word = _WORD.search(text, 0, end)
    return start if word is None or (start is not None and keyword.iskeyword(word[0])) else word.start()


def _bracket_start(text: str, end: int) -> int | None:
    """Where the bracket that closes just before ``end`` opens."""
    pending: list[str] = []
    position: int | None = end
    while position:
        char = text[position - 1]
        if char in _OPENER:
            pending.append(_OPENER[char])
        elif char in "([{" and pending.pop() != char:
            return None
        position = _string_start(text, position) if char in "'\"" else position - 1
        if not pending:
            return position
    return None


def _string_start(text: str, end: int) -> int | None:
    """Where the literal that closes just before ``end`` starts, its prefix included."""
    quote = text[end - 1]
    quote = 3 * quote if text.endswith(3 * quote, 0, end) and end >= 6 else quote
    start = end - len(quote)
    while True:
        start = text.rfind(quote, 0, start)
        if start < 0 or (len(quote) == 1 and "\n" in text[start:end]):
            return None
        if (start - len(text[:start].rstrip("\\"))) % 2 == 0:
            break
    prefix = _PREFIX.search(text, max(0, start - 3), start)
    return prefix.start() if prefix else start
