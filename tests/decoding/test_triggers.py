"""Where a token starts a name, and which names may be new."""

from __future__ import annotations

import pytest

from generation.decoding.triggers import binds, find_trigger
from generation.source.lexer import ExpectedName, Scanner
from generation.types import NameKind


@pytest.mark.parametrize(
    ("before", "piece", "glue", "word", "kind"),
    [
        ("self", ".", ".", "", NameKind.ATTRIBUTE),
        ("self", "._", ".", "_", NameKind.ATTRIBUTE),
        ("self", ".get", ".", "get", NameKind.ATTRIBUTE),
        ("return", " self", " ", "self", NameKind.NAME),
        ("f", "(self", "(", "self", NameKind.NAME),
        ("(a", ").", ").", "", NameKind.ATTRIBUTE),
        ("'text ", "self.x", None, None, None),
        ("x", " =", None, None, None),
        ("import", " os", None, None, None),
        ("sel", "f", None, None, None),
    ],
)
def test_find_trigger(before: str, piece: str, glue: str | None, word: str | None, kind: NameKind | None) -> None:
    point = find_trigger(Scanner(before), piece)
    found = (point.glue, point.word, point.expected.kind) if point else (None, None, None)
    assert found == (glue, word, kind)


@pytest.mark.parametrize(
    ("kind", "bracket", "following", "new"),
    [
        (NameKind.NAME, "", " = 1", True),
        (NameKind.NAME, "", " == 1", False),
        (NameKind.NAME, "", ": int", True),
        (NameKind.NAME, "", ", b = c", True),
        (NameKind.NAME, "", ".x = 1", False),
        (NameKind.NAME, "", " += 1", False),
        (NameKind.NAME, "(", "=1)", True),
        (NameKind.NAME, "(", ")", False),
        (NameKind.NAME, "[", ".name for a in b]", True),
        (NameKind.NAME, "[", ".name\n    for b, a in c]", True),
        (NameKind.NAME, "[", " for c in b]", False),
        (NameKind.NAME, "(", " := f())", True),
        (NameKind.ATTRIBUTE, "", " = 1", True),
        (NameKind.ATTRIBUTE, "", ", b", False),
    ],
)
def test_binds(kind: NameKind, bracket: str, following: str, new: bool) -> None:
    assert binds("a", ExpectedName(kind, True, bracket), following) is new
    assert not binds("a", ExpectedName(kind, False, bracket), following)
