"""Every filter of a completion on its own, on marked text: ``$0`` is the cursor, ``$[`` and ``$]`` hold what is generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from generation.source.finishing import (
    drop_repeat_of_above,
    drop_rest_of_line,
    drop_unfinished,
    finish,
    stay_inside,
)
from generation.types import Extent, GenerationRequest


@dataclass(frozen=True)
class Marked:
    stem: str
    generated: str
    rest: str

    @property
    def text(self) -> str:
        return self.stem + self.generated


def marked(case: str) -> Marked:
    stem, _, rest = case.partition("$[")
    generated, _, rest = rest.partition("$]")
    return Marked(stem, generated, rest)


@pytest.mark.parametrize(
    ("case", "kept"),
    [
        ("f($[a, b)$])", "a, b"),
        ("f(g($[a))$]))", "a"),
        ("f(g($[a))$])", "a)"),
        ("f($[a, g(b))$])", "a, g(b)"),
        ("x = [$[1, 2]$]]", "1, 2"),
        ('x = "$[word"$]"', "word"),
        ('x = f"{$[a}"$]}"', "a"),
        ("f($[a, b)$]", "a, b)"),
        ('"""Return $[a value."""$]"""', "a value."),
        ('f("$[a")$]")', "a"),
        ("x = $[f(a)$]  # note", "f(a)"),
    ],
)
def test_a_bracket_is_not_closed_twice(case: str, kept: str) -> None:
    found = marked(case)
    assert stay_inside(found.text, found.stem, found.rest) == found.stem + kept


@pytest.mark.parametrize(
    ("case", "kept"),
    [
        ("return $[a + b$] + b", "a "),
        ("if $[a:$]:", "a"),
        ("x = $[a$]", "a"),
        ("x = $[abc$]c", "ab"),
        ("x = $[a  # note$]  # note", "a  "),
        ("x = $[f(a, beta$]beta, c)", "f(a, "),
        ("print($[len(x)$])", "len(x)"),
        ("x = [$[[1], [2]$]]", "[1], [2]"),
    ],
)
def test_the_rest_of_the_line_is_not_said_twice(case: str, kept: str) -> None:
    found = marked(case)
    assert drop_rest_of_line(found.text, found.stem, found.rest) == found.stem + kept


@pytest.mark.parametrize(
    ("case", "kept"),
    [
        ("$[a = 1\nb = 2\nc = fo$]", "a = 1\nb = 2"),
        ("x = f($[a,\n b,\n c$]", "a,\n b,"),
        ("x = $[alpha + bet$]", "alpha"),
        ("x = a($[b.c(d(e.$]", "b.c"),
        ("x = a($[b.c(d(e), f, g.$]", "b.c(d(e), f)"),
        ("$[return 1\n    if x:\n        $]", "return 1"),
        ("$[if x:  # why\n    y = 1\n    z$]", "if x:  # why\n    y = 1"),
        ("$[if x:\n    $]", "if x"),
        ("return $[a and b$]", "a"),
        ("return $[not a$]", ""),
        ("x = $[a if b else c$]", "a"),
        ("x = $[f(a, [b for b, c in d$]", "f(a)"),
        ("foo($[a, lambda x, y$]", "a"),
        ("if $[a and b$]", "a"),
        ("x = $[alpha$]", ""),
    ],
)
def test_what_a_limit_cut_off_is_dropped(case: str, kept: str) -> None:
    found = marked(case)
    assert drop_unfinished(found.text, found.stem) == found.stem + kept


def test_the_line_above_is_not_repeated() -> None:
    assert drop_repeat_of_above("    a = b\n", "x\n    a = b\n") == ""
    assert drop_repeat_of_above("    )\n", "x(\n    )\n") == "    )\n"
    assert drop_repeat_of_above("    a = c\n", "x\n    a = b\n") == "    a = c\n"


def request(before: str, stem: str, after: str, prefix: str = "", extent: Extent = Extent.LINE) -> GenerationRequest:
    indent = stem[: len(stem) - len(stem.lstrip())]
    return GenerationRequest(
        Path("/r"), Path("/r/a.py"), before, after, before + stem, indent, extent=extent, stem=stem, prefix=prefix
    )


@pytest.mark.parametrize(
    ("wanted", "generated", "kept"),
    [
        (request("", "x = ", "\n"), "f(a)\n", "f(a)"),
        (request("", "f(", ")\ny = 1\n"), "a)\n", "a"),
        (request("", "f(", ")\ny = 1\n"), "g(a))\n", "g(a)"),
        (request("", "x = ", "\n"), "  \n", ""),
        (request("", "self.", "\n", "co"), "co", ""),  # the model adds nothing to the name
        (request("", "self.", "\n", "co"), "count\n", "count"),
        (request("", "    ", "\n    return x\n"), "return x\n", ""),  # stands below
        (request("    a = b\n", "    ", "\n"), "a = b\n", ""),  # stands above
        (request("", "    ", "\n    call()\n", extent=Extent.BLOCK), "a\n    b\n    call()\n", "a\n    b"),
        (request("", "    ", "\n", extent=Extent.BLOCK), "a = 1\n" + "    b()\n" * 4, "a = 1\n    b()"),
    ],
)
def test_all_filters_together(wanted: GenerationRequest, generated: str, kept: str) -> None:
    assert finish(wanted.stem + generated, wanted, complete=True) == kept


def test_a_body_goes_through_its_own_filters() -> None:
    wanted = GenerationRequest(Path("/r"), Path("/r/a.py"), "def f():\n", "", "def f():\n", "    ")
    assert finish("    a = 1\n    b = (", wanted, complete=False) == "    a = 1\n"
    assert finish("    a = 1\n\n", wanted, complete=True) == "    a = 1\n"
    docstring = '    """A sum."""\n'
    assert finish(docstring + "    return [\n        a\n", wanted, complete=True) == "    return [\n        a]\n"
    assert finish(docstring, wanted, complete=False) == "", "which is there already, or was not wanted"
