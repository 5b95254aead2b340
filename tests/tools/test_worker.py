"""What the process that runs Jedi changes in it, compared with Jedi as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jedi
import pytest
from jedi.inference.filters import _AbstractUsedNamesFilter

from generation.tools.worker import list_by_position

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
    "collections.OrderedDict().", "open('').", "Own(1).method.", "Own(1).late.", "", "int",
)  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_lists_by_position_are_those_of_jedi(expression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = CODE.replace("EXPRESSION", expression)
    usual, checked = _AbstractUsedNamesFilter.values, list[int]()
    monkeypatch.setattr(_AbstractUsedNamesFilter, "values", usual)  # is put back whatever happens
    list_by_position()
    quick = _AbstractUsedNamesFilter.values
    assert quick is not usual

    def both(self: Any) -> Any:
        found = quick(self)
        assert [_place(name) for name in found] == [_place(name) for name in usual(self)]
        checked.append(len(found))
        return found

    monkeypatch.setattr(_AbstractUsedNamesFilter, "values", both)
    line = CODE[: CODE.index("EXPRESSION")].count("\n") + 1
    assert jedi.Script(code, path=tmp_path / "code.py").complete(line, 4 + len(expression))
    assert any(checked)


def _place(name: Any) -> tuple[str, str, tuple[int, int]]:
    return type(name).__name__, name.tree_name.value, name.tree_name.start_pos
