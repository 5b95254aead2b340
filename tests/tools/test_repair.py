"""Every prefix of real functions becomes a file that parses."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import json.decoder
import textwrap
import time
import warnings
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.tools.receiver import receiver_of
from generation.tools.repair import DUMMY, repair


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a prefix can end inside an escape
        ast.parse(text)
    return True


def functions(source: str) -> list[tuple[int, int]]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        (starts[min([n.lineno, *(d.lineno for d in n.decorator_list)]) - 1], starts[n.end_lineno or 0]) for n in nodes
    ]


@pytest.mark.parametrize("module", [json.decoder, textwrap, contextlib, dataclasses])
def test_prefixes_of_real_functions_parse(module: ModuleType) -> None:
    source = inspect.getsource(module)
    spans = functions(source)
    for start, end in spans[:: max(1, len(spans) // 5)]:
        for cursor in range(start, end, max(1, (end - start) // 15)):
            buffer = repair(source[:cursor], source[end:])
            assert parses(buffer.text), source[start:cursor]
            assert buffer.text[buffer.end :] == source[end:]


SOURCE = '''
import os

@decorate(1)
class Outer(Base, metaclass=Meta):
    """A "doc" with def words:

    def not_code(): pass
    """
    class Inner:
        @property
        @other(lambda a: a)
        async def method(self, päth: "str" = {"k": [1, 2]}, *args, **kw) -> None:
            try:
                async with open(päth) as f, g() as h:
                    x = [a.b for a in f if a.c(d, e=1)]  # comment. with dots
                    y = f"{x!r:>{width}} and {{}}" + 'it\\'s'
                    match y:
                        case {"k": v} if v.w:
                            return await self.a(x)[1:2].b
                        case _:
                            pass
            except (ValueError, TypeError) as error:
                raise error from None
            else:
                while (n := self.n) > 1: self.n -= 1
            finally:
                del x
            for i, j in self.items():
                if i in j and not i.x or (lambda q: q.z):
                    yield i, *j
                elif i: pass
                else:
                    @deco
                    def nested(): return 1
                    total = 1 + \\
                        2
'''


@pytest.mark.parametrize("after", ["", "\n\nclass Next:\n    pass\n", "        def sibling(self): ...\n"])
@pytest.mark.parametrize(("tabs", "newline"), [(False, "\n"), (True, "\r\n")])
def test_every_prefix_of_hard_code_parses(after: str, tabs: bool, newline: str) -> None:
    source = SOURCE.replace("    ", "\t") if tabs else SOURCE
    after = after.replace("    ", "\t") if tabs else after
    start = source.index("@property")
    for cursor in range(start, len(source) + 1):
        buffer = repair(source[:cursor].replace("\n", newline), after.replace("\n", newline))
        assert parses(buffer.text), source[start:cursor]


CASES = [
    ("x = foo(a, b.$0", "x = foo(a, b.mw_)"),
    ("x = [a.$0", "x = [a.mw_]"),
    ("if self.$0", "if self.mw_: pass"),
    ("for a in b.$0", "for a in b.mw_: pass"),
    ("with a.$0", "with a.mw_: pass"),
    ("def f(a: b.$0", "def f(a: b.mw_): pass"),
    ("x = f'{a.$0", "x = f'{a.mw_}'"),
    ("return $0", "return mw_"),
    ("f(lambda p: p.$0", "f(lambda p: p.mw_)"),
    ("y = a.b if x.$0", "y = a.b if x.mw_ else x"),
    ("f(a=1, b.$0", "b.mw_"),
    ("x = 1  # see a.$0", "x = 1  # see a.\nmw_"),
    ("try:\n    a.$0", "try:\n    a.mw_\nexcept Exception: pass"),
    ("if x:\n$0", "if x:\n    mw_"),
    ("@a.$0", "@a.mw_\ndef mw_(): pass"),
]


@pytest.mark.parametrize(("case", "expected"), CASES)
def test_repair_of(case: str, expected: str) -> None:
    buffer = repair(case.replace("$0", ""), "")
    assert buffer.text.strip() == expected
    assert buffer.text.startswith(DUMMY, buffer.offset)


def test_broken_line_is_closed_once() -> None:
    buffer = repair("def f():\n    g(a.", "))\n    h()\n")
    assert buffer.text == "def f():\n    g(a.mw_)\n    h()\n"


def test_rest_of_a_line_stays_when_it_fits() -> None:
    buffer = repair("def f(c):\n    x = [r.", " for r in c]\n    h()\n")
    assert buffer.text == "def f(c):\n    x = [r.mw_ for r in c]\n    h()\n"


def test_try_is_left_to_the_text_that_follows() -> None:
    buffer = repair("try:\n    a.", "\nexcept ValueError:\n    pass\n")
    assert buffer.text.count("except") == 1
    assert parses(buffer.text)


def test_errors_elsewhere_stay_and_do_not_hinder() -> None:
    buffer = repair("def broken(:\n    pass\n\ndef f(a):\n    a.", "\ndef also(:\n")
    assert "    a.mw_\n" in buffer.text
    assert buffer.text.endswith("def also(:\n")


@pytest.mark.parametrize("text", ["", "\n", "   ", "\0", "\ufeff", "a.\0", "\\", '"""', "(" * 300])
def test_odd_texts(text: str) -> None:
    buffer = repair(text, "")
    assert parses(buffer.text)
    assert 0 <= buffer.offset <= buffer.end == len(buffer.text)


@settings(max_examples=150)
@given(st.text(alphabet="ab.:()[]{}'\"\\#@,=*\n\t ifdn_€", max_size=60), st.text(alphabet='ab.:()\n "', max_size=20))
def test_never_raises(before: str, after: str) -> None:
    buffer = repair(before, after)
    assert 0 <= buffer.offset <= buffer.end <= len(buffer.text)


def test_cost_does_not_grow_with_the_file() -> None:
    filler = "".join(f"def f{i}(a, b=(1, 2)):\n    '''doc'''\n    return a.b(b)[0]\n\n" for i in range(5000))
    before = filler + "def last(x):\n    y = x.items()\n    for z in y:\n        z."
    assert before.count("\n") > 20_000
    started = time.perf_counter()
    buffer = repair(before, "\n")
    assert time.perf_counter() - started < 1.0  # generous: what is measured elsewhere is 20 ms
    assert buffer.text.startswith("z.mw_", buffer.offset - 2)


RECEIVERS = [
    ("x.", "x"),
    ("a = self.b.", "self.b"),
    ("f(a, b(c)[1].", "b(c)[1]"),
    ("return (a + b).", "(a + b)"),
    ("x = 'a.b'.", "'a.b'"),
    ("x = rb'''a\nb'''.", "rb'''a\nb'''"),
    ("foo({'a)': 1}, ')').", "foo({'a)': 1}, ')')"),
    ("super().", "super()"),
    ("if not größe.", "größe"),
    ("1.", None),
    ("x..", None),
    ("x", None),
    ("# Ends here.\n    self.", "self"),
    ("(a\n    .b()\n    .", "a\n    .b()"),
    ("in [1, 2].", "[1, 2]"),
    ("x = 'it\\'s'.", "'it\\'s'"),
]


@pytest.mark.parametrize(("text", "expected"), RECEIVERS)
def test_receiver(text: str, expected: str | None) -> None:
    assert receiver_of(text) == expected


@settings(max_examples=150)
@given(st.text(alphabet="ab.()[]{}'\"\\ \n1", max_size=40))
def test_receiver_never_raises(text: str) -> None:
    receiver = receiver_of(text + ".")
    assert receiver is None or receiver in text
