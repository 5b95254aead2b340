"""What is done quicker than Jedi and parso do it, compared with them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jedi
import parso
import pytest
from jedi.inference.filters import ParserTreeFilter, _AbstractUsedNamesFilter
from parso.parser import BaseParser
from parso.python.tree import Module

from generation.tools import quicker_jedi

CODE = """
import asyncio, collections, io, pathlib

class Base:
    shared = 1
    def __init__(self, size):
        self.size = size
        self.__hidden = 2
    class Inner:
        deep = 3
        def far(self): self.out = 4

class Own(Base):
    if shared := 5:
        maybe = 6
    else:
        maybe = 7
    again = 1
    again = 2
    def method(self, other=lambda x: x):
        def local(y): return y
        self.late, (self.one, self.two) = 1, (2, 3)
        other.foreign = 1
        return [z for z in self.one]

def last(a, *b, c=1, **d):
    for e in b:
        with open(e) as f:
            global g
            g = 1
    EXPRESSION
"""
EXPRESSIONS = (
    "''.", "[].", "{}.", "(1).", "Own(1).", "Own.", "Base.Inner().", "io.", "pathlib.Path().", "asyncio.Queue().",
    "collections.OrderedDict().", "open('').", "Own(1).method.", "Own(1).late.", "", "int", "[q for q in b if q",
    "(lambda w: w",
)  # fmt: skip
USUAL_VALUES, USUAL_FLOWS = _AbstractUsedNamesFilter.values, ParserTreeFilter._check_flows
SOURCES = sorted((Path(__file__).parents[2] / "generation" / "tools").glob("*.py"))
BROKEN = (
    "def f(:\n  x = (1,\n\nclass\n",
    "if 1:\n        x\n    y\n z\n",
    "x = '''\n",
    ")\n  ]\n",
    "f'{a!r:>{b}} {'\n",
    "",
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """With the replacements, which are taken back whatever happens."""
    replaced = ((_AbstractUsedNamesFilter, "values"), (ParserTreeFilter, "_check_flows"), (Module, "get_used_names"),
                (BaseParser, "_add_token"), (parso.python.diff, "difflib"),
                (parso.python.diff, "_update_positions"))  # fmt: skip
    for owner, name in replaced:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    usual = [getattr(owner, name) for owner, name in replaced]
    quicker_jedi.install()
    assert all(getattr(owner, name) is not one for (owner, name), one in zip(replaced, usual, strict=True))
    yield monkeypatch


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_names_of_scopes_are_those_of_jedi(expression: str, tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    values, flows, checked = _AbstractUsedNamesFilter.values, ParserTreeFilter._check_flows, list[int]()

    def both(self: Any) -> Any:
        found = values(self)
        quick.setattr(ParserTreeFilter, "_check_flows", USUAL_FLOWS)
        assert [_place(name) for name in found] == [_place(name) for name in USUAL_VALUES(self)]
        quick.setattr(ParserTreeFilter, "_check_flows", flows)
        checked.append(len(found))
        return found

    quick.setattr(_AbstractUsedNamesFilter, "values", both)
    code = CODE.replace("EXPRESSION", expression)
    line = CODE[: CODE.index("EXPRESSION")].count("\n") + 1
    assert jedi.Script(code, path=tmp_path / "code.py").complete(line, 4 + len(expression))
    assert any(checked)


def _place(name: Any) -> tuple[str, str, tuple[int, int]]:
    return type(name).__name__, name.tree_name.value, name.tree_name.start_pos


def test_trees_and_names_are_those_of_parso(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    texts = [*(path.read_text(encoding="utf-8") for path in SOURCES), *BROKEN, CODE]
    expected = [_described(text) for text in texts]
    request.getfixturevalue("quick")
    assert [_described(text) for text in texts] == expected


def _described(text: str) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    tree = parso.parse(text)
    names = tree.get_used_names()
    return tree.dump(), {name: [one.start_pos for one in names[name]] for name in names}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_buffer_is_read_as_a_new_one(seed: int, tmp_path: Path) -> None:
    chosen = random.Random(seed)
    grammar, lines = parso.load_grammar(), SOURCES[seed % len(SOURCES)].read_text(encoding="utf-8").splitlines(True)
    for _ in range(12):
        for _ in range(chosen.randint(1, 3)):
            at = chosen.randrange(len(lines))
            lines[at : at + chosen.randint(0, 6)] = chosen.choices(["    x = self.y\n", "def f():\n", ")\n", "\n"], k=2)
        text = "".join(lines)
        kept = grammar.parse(text, path=tmp_path / f"{seed}.py", diff_cache=True)
        assert kept.get_code() == text
        assert _described(text) == (kept.dump(), _described(text)[1])


def test_what_differs_is_what_differs() -> None:
    chosen = random.Random(0)
    for _ in range(300):
        old, new = (chosen.choices("abc", k=chosen.randint(0, 12)) for _ in range(2))
        codes = quicker_jedi.EndsFirst(None, old, new).get_opcodes()
        assert [line for tag, _, _, start, end in codes for line in new[start:end]] == new
        assert [line for tag, start, end, _, _ in codes for line in old[start:end]] == old
        assert all((old[a:b] == new[c:d]) == (tag == "equal") for tag, a, b, c, d in codes)
