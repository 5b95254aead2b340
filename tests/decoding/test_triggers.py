"""Where a token starts a name, and which names may be new."""

from __future__ import annotations

import pytest

from generation.decoding.loop.triggers import binds, find_trigger, function_start, is_decided, is_familiar
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
        ("import", " os", " ", "os", NameKind.IMPORT),
        ("import os", " as", None, None, None),
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
        (NameKind.NAME, "(", ") for a in b]", True),
        (NameKind.NAME, "(", ".x) -> None:", False),
        (NameKind.NAME, "(", " == 1)", False),
        (NameKind.ATTRIBUTE, "", " = 1", True),
        (NameKind.ATTRIBUTE, "", ", b", False),
    ],
)
def test_binds(kind: NameKind, bracket: str, following: str, new: bool) -> None:
    expected = ExpectedName(kind, True, bracket)
    assert binds("a", expected, following) is new
    sure = next((end for end in range(len(following)) if is_decided(expected, following[:end])), len(following))
    assert binds("a", expected, following[:sure]) is new
    assert not binds("a", ExpectedName(kind, False, bracket), following)


FILE = """import json

class Basket:
    def price(self):
        local = self.tax
        return self.items.count

    def total(self, factor):
        \"\"\"Sum of rebate.\"\"\"
        amount = factor * self.rate("discount", unit=1)  # of customer
        return """


@pytest.mark.parametrize(
    ("before", "name", "familiar"),
    [
        ("", "factor", True),  # a parameter
        ("", "amount", True),  # bound in this function
        ("", "len", True),  # a builtin
        ("", "local", False),  # bound in another one
        ("", "json", False),  # of the module: the model should have asked
        ("", "rebate", False),  # a word of the docstring
        ("", "discount", False),  # of a string
        ("", "customer", False),  # of a comment
        ("", "rate", False),  # an attribute is no name
        ("", "act", False),  # part of a name
        ("", "unit", False),  # the name of an argument
        ("", "total", False),  # the function itself
        ("self.", "tax", True),
        ("self.", "rate", True),
        ("self.", "items", True),
        ("self.", "count", False),  # a member of another owner
        ("self.items.", "count", True),
        ("items.", "count", False),  # another object's member
        ("f().", "tax", False),  # nobody knows the owner
    ],
)
def test_is_familiar(before: str, name: str, familiar: bool) -> None:
    text = FILE + before
    kind = NameKind.ATTRIBUTE if before else NameKind.NAME
    assert is_familiar(name, kind, text, text[function_start(FILE, " " * 8) :]) is familiar


def test_a_name_that_has_just_named_an_argument_is_not_familiar() -> None:
    text = "def f(a):\n    return g(a, mode="
    assert not is_familiar("mode", NameKind.NAME, text, text)
    assert is_familiar("mode", NameKind.NAME, text + "mode == mode, ", text + "mode == mode, ")
    over_lines = "def f(a):\n    open(\n        a,\n        mode="
    assert not is_familiar("mode", NameKind.NAME, over_lines, over_lines)
    bound = over_lines.replace("    open", "    mode = a\n    open")
    assert is_familiar("mode", NameKind.NAME, bound, bound)


def test_function_start_is_that_of_the_innermost_function_around() -> None:
    text = "def a():\n    async def b():\n        pass\n    "
    assert text[function_start(text, "    ") :].startswith("def a")
    assert text[function_start(text, "        ") :].startswith("    async def b")
    assert function_start("x = 1\n", "") == 6
