"""Where the tool is asked, and whether a name that it does not know may be new.

Pure functions on visible text: no tokens, no model, no tool.
"""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass

from generation.source.lexer import ExpectedName, Scanner
from generation.types import NameKind

_BUILTINS = frozenset(dir(builtins))
_OWNER = re.compile(r"(?<![\w.])[\w.]*\w\s*\.\s*$")
_DEF = re.compile(r"^([ \t]*)(?:async\s+)?def\b", re.MULTILINE)
_TEXT = re.compile(
    r"\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)  # strings and comments
_ASSIGNS = re.compile(r"\s*(:=|=(?!=))")
_AFTER_EXPRESSION = re.compile(r"\s*(->|:|=)")


@dataclass(frozen=True, slots=True)
class TriggerPoint:
    """A place inside a token that is about to be written, where a name starts.

    Attributes:
        glue: the token's text before the name.
        word: the token's text of the name itself, as far as it is in this token.
        expected: what kind of name.
    """

    glue: str
    word: str
    expected: ExpectedName


def find_trigger(scanner: Scanner, piece: str) -> TriggerPoint | None:
    """The first place in ``piece`` where a name starts; the end of ``piece`` counts when a dot stands there."""
    ahead = scanner.copy()
    for index, char in enumerate(piece):
        if char.isidentifier() and (expected := ahead.expected_name()):
            return TriggerPoint(piece[:index], piece[index:], expected)
        ahead.feed(char)
    expected = ahead.expected_name()
    if expected and expected.kind is NameKind.ATTRIBUTE:
        return TriggerPoint(piece, "", expected)
    return None


def point_after_mark(scanner: Scanner, piece: str, *, grows: bool) -> TriggerPoint | None:
    """Where the name of a mark starts: at once, or behind the space that ``piece``, the first token, brings.

    Args:
        scanner: of the text before the mark.
        piece: the text of the token behind it.
        grows: a name put here would grow together with the word before it.
    """
    point = find_trigger(scanner, piece)
    if point is not None and not point.glue.strip(" "):
        return point
    if grows:
        return None
    kind = NameKind.ATTRIBUTE if scanner.previous == "." else NameKind.NAME
    return TriggerPoint("", "", scanner.expected_name() or ExpectedName(kind, may_bind=False, bracket=""))


def names_argument(expected: ExpectedName, following: str) -> bool:
    """Whether an identifier that ``following`` comes after is the name of a keyword argument."""
    assigns = _ASSIGNS.match(following)
    return expected.kind is NameKind.NAME and expected.bracket == "(" and bool(assigns and assigns[1] == "=")


def is_familiar(name: str, kind: NameKind, before: str, function: str) -> bool:
    """Whether the text shows that ``name`` exists, so that the tool need not be asked.

    An attribute is familiar where the file has it behind the same owner; a name where its own function has it, for a
    local name of another function does not exist in this one. What only names an argument of a call, or the function
    itself, is no variable.

    Args:
        name: the whole identifier.
        kind: what it is.
        before: the text it comes after, with the dot of an attribute.
        function: the end of that text, from the function's ``def`` on.
    """
    if kind is NameKind.ATTRIBUTE:
        owner = _OWNER.search(before[-200:])
        return owner is not None and re.search(rf"(?<![\w.]){re.escape(owner[0] + name)}\b", before) is not None
    header, *rest = re.split(r":[ \t]*\n", _TEXT.sub("", function), maxsplit=1)
    body = "".join(rest)
    word = rf"{re.escape(name)}\b"
    return name in _BUILTINS or any(
        re.search(pattern, code)
        for pattern, code in [
            (rf"(?<![\w.])(?<!\bdef ){word}", header),
            (rf"(?<![\w.]){word}(?![ \t]*=(?!=))", body),  # not the name of an argument: `f(name=1)`
            (rf"(?m)^[ \t]*{word}", _outside_brackets(body)),
        ]
    )


def _outside_brackets(code: str) -> str:
    """The text that stands in no bracket: there a name at the start of a line is no name of an argument."""
    kept, depth = [], 0
    for char in code:
        depth += (char in "([{") - (char in ")]}")
        if depth <= 0:
            kept.append(char)
    return "".join(kept)


def function_start(before: str, indent: str) -> int:
    """Where the function begins whose body has this indentation; the end of the text where there is none."""
    starts = [m.start() for m in _DEF.finditer(before) if len(m[1]) < len(indent)]
    return starts[-1] if starts else len(before)


def binds(name: str, expected: ExpectedName, following: str) -> bool:
    """Whether ``name``, followed by ``following``, makes a new name instead of using one that exists.

    Args:
        name: the identifier.
        expected: the position it stands at.
        following: text after it, to the end of the line or, in brackets, as far as known.
    """
    if not expected.may_bind:
        return False
    if _ASSIGNS.match(following):
        return True
    if expected.kind is NameKind.ATTRIBUTE:
        return False
    if not expected.bracket:
        return following.lstrip(" ").startswith((",", ":"))
    return re.search(rf"\bfor\b[^:]*\b{re.escape(name)}\b[^:]*\bin\b", following) is not None


def is_decided(expected: ExpectedName, following: str) -> bool:
    """Whether what ``binds`` says of a name with ``following`` behind it is sure, whatever comes next.

    A comprehension may bind a name of brackets that are closed by then: `[f(x) for x in y]`.
    """
    if "\n" in following and not expected.bracket:
        return True
    if not expected.bracket or expected.kind is NameKind.ATTRIBUTE or _ASSIGNS.match(following):
        return len(following.strip()) >= 2
    if re.search(r"\bin\b", following) or re.match(r"[ \t]*,[ \t]*\n", following):  # an argument on its own line
        return True
    open_brackets = 1
    for end, character in enumerate(following, start=1):
        open_brackets += (character in "([{") - (character in ")]}")
        if open_brackets == 0:
            return _AFTER_EXPRESSION.match(following, end) is not None
    return False
