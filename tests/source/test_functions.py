"""Locating a function: spans are shown by marking them in the text (``[`` and ``]`` around the body)."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import generation
from generation.errors import TargetError
from generation.source.functions import (
    FunctionSite,
    find_again,
    find_at,
    find_function,
    hole,
    list_functions,
    replace_body,
)


def marked(text: str, site: FunctionSite) -> str:
    """The text with the body in ``«»`` and the lead, if any, before it as a literal."""
    before, after = text[: site.body_start], text[site.body_end :]
    lead = repr(site.lead) if site.lead else ""
    return f"{before}«{lead}{text[site.body_start : site.body_end]}»{after}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    return 1\n", "def f():\n«    return 1\n»"),
        ("def f():\n    return 1", "def f():\n«    return 1»"),
        ("def f():\n    return 1\n\n\nx = 1\n", "def f():\n«    return 1\n»\n\nx = 1\n"),
        ("def f():\n    '''d'''\n    return 1\n", "def f():\n    '''d'''\n«    return 1\n»"),
        ("def f():\n    '''d'''\n", "def f():\n    '''d'''\n«»"),
        ("def f():\n    '''d'''", "def f():\n    '''d'''«'\\n'»"),
        ("def f():\n    '''d'''; pass\n", "def f():\n    '''d'''«'\\n'; pass\n»"),
        ("def f(): ...\n", "def f():«'\\n' ...\n»"),
        ("def f(): ...  # why\n", "def f():«'\\n    # why\\n' ...  # why\n»"),
        ("def f():\n    pass  # add\n\n\nx = 1\n", "def f():\n«'    # add\\n'    pass  # add\n»\n\nx = 1\n"),
        ("def f():\n    ...  # type: ignore\n", "def f():\n«    ...  # type: ignore\n»"),
        ("def f():\n    return 1  # why\n", "def f():\n«    return 1  # why\n»"),
        ("def f(): x = 1; return x\ny = 2\n", "def f():«'\\n' x = 1; return x\n»y = 2\n"),
        ("def f(): 'd'\n", "def f():«\"\\n    'd'\\n\" 'd'\n»"),
        ("def f(): \\\n    return 1\n", "def f():«'\\n' \\\n    return 1\n»"),
        ("def f():  # why\n    pass\n", "def f():  # why\n«    pass\n»"),
        ("def f():\n    # how\n\n    # so\n    pass\n", "def f():\n    # how\n\n    # so\n«    pass\n»"),
        ("def f():\n    '''d'''\n    # how\ny = 1\n", "def f():\n    '''d'''\n    # how\n«»y = 1\n"),
        ("def f():\n    # gone\n    return 1\n", "def f():\n«    # gone\n    return 1\n»"),
        ("def f(\n    a,\n) -> dict[str, int]:\n    pass\n", "def f(\n    a,\n) -> dict[str, int]:\n«    pass\n»"),
        ("def f(a=lambda: {1: 2}):\n    pass\n", "def f(a=lambda: {1: 2}):\n«    pass\n»"),
        ("def f(a: 'x:y' = ':'): pass\n", "def f(a: 'x:y' = ':'):«'\\n' pass\n»"),
        ("def f() -> (lambda: 1):\n    pass\n", "def f() -> (lambda: 1):\n«    pass\n»"),
        ("def f(a, \\\n      b):\n    pass\n", "def f(a, \\\n      b):\n«    pass\n»"),
        ("def f[T: int](x: T) -> T:\n    pass\n", "def f[T: int](x: T) -> T:\n«    pass\n»"),
        ("@a(b='@')\n@c\nasync def f():\n    pass\n", "@a(b='@')\n@c\nasync def f():\n«    pass\n»"),
        ("def f():\r\n    pass\r\ny = 1\r\n", "def f():\r\n«    pass\r\n»y = 1\r\n"),
        ("def f():\r    pass\ry = 1\r", "def f():\r«    pass\r»y = 1\r"),
        ("\fdef f():\n    pass\n\f\ny = 1\n", "\fdef f():\n«    pass\n»\f\ny = 1\n"),
        ("s = 'é漢\u2028'\ndef f(ä='ü'):\n    pass\n", "s = 'é漢\u2028'\ndef f(ä='ü'):\n«    pass\n»"),
        ("def f():\n", "def f():\n«»"),
        ("def f():", "def f():«'\\n'»"),
        ("def f():\n    # how\n\ny = 1\n", "def f():\n    # how\n«»\ny = 1\n"),
    ],
)
def test_body_span(text: str, expected: str) -> None:
    site = find_function(text, "f")
    assert marked(text, site) == expected
    assert text[site.header_end - 1] == ":"
    assert text.startswith(("@", "def", "async"), site.decorators_start)
    assert text.startswith(("def", "async"), site.header_start)
    new = replace_body(text, site, f"{site.body_indent}return 42")
    if "[T" not in text or sys.version_info >= (3, 12):
        (function,) = [
            node for node in ast.walk(ast.parse(new)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert ast.unparse(function.body[-1]) == "return 42"
        assert ast.get_docstring(function) == ("d" if "d'" in text else None)


@pytest.mark.parametrize(
    ("body", "stub"),
    [
        ("...", True),
        ("pass", True),
        ("'''d'''", True),
        ("'''d'''\n    ...", True),
        ("raise NotImplementedError", True),
        ("raise NotImplementedError('later')", True),
        ("# only a comment", True),
        ("return", False),
        ("raise ValueError", False),
        ("x = 1\n    pass", False),
        ("'%s' % 1", False),
        ("1", False),
    ],
)
def test_stub(body: str, stub: bool) -> None:
    assert find_function(f"def f():\n    {body}\n", "f").is_stub is stub


TREE = """\
import typing
if typing.TYPE_CHECKING:
    def choice(): ...
else:
    def choice(): return 1
try:
    def attempt(): pass
except ImportError:
    def fallback(): pass
class Outer:
    class Inner:
        async def method(self):
            def local(): pass
            class Local:
                def deep(self): pass
    @property
    def size(self): return 1
    @size.setter
    def size(self, value): self.x = value
    @typing.overload
    def pick(self, x: int) -> int: ...
    @typing.overload
    def pick(self, x: str) -> str: ...
    def pick(self, x): return x
"""


def test_names_and_class_path() -> None:
    found = {site.qualname: site for site in list_functions(TREE)}
    assert list(found) == [
        "choice", "attempt", "fallback", "Outer.Inner.method", "Outer.Inner.method.local",
        "Outer.Inner.method.Local.deep", "Outer.size", "Outer.pick",
    ]  # fmt: skip
    assert found["Outer.Inner.method"].class_path == ("Outer", "Inner")
    assert found["Outer.Inner.method.local"].class_path == ()
    assert found["Outer.Inner.method.Local.deep"].class_path == ("Local",)
    assert found["Outer.Inner.method.Local.deep"].body_indent == " " * 20


def test_an_implementation_wins_over_its_overloads() -> None:
    site = find_function(TREE, "Outer.pick")
    assert not site.is_overload
    assert site.line == 23
    assert find_function(TREE, "Outer.pick#1").is_overload


def test_several_definitions_are_ambiguous_and_can_be_told_apart() -> None:
    with pytest.raises(TargetError, match=r"Outer.size is defined 2 times, in lines 17, 19; .*Outer.size#2"):
        find_function(TREE, "Outer.size")
    assert find_function(TREE, "Outer.size#2").line == 18
    assert find_function(TREE, "choice#2").line == 4
    with pytest.raises(TargetError, match=r"no Outer.size#3: Outer.size is defined 2"):
        find_function(TREE, "Outer.size#3")
    with pytest.raises(TargetError, match="no choice#x"):
        find_function(TREE, "choice#x")


@pytest.mark.parametrize(
    "name", ["choice#2", "Outer.size#1", "Outer.size#2", "Outer.pick#1", "Outer.pick#3", "attempt"]
)
def test_a_function_is_found_again_among_its_namesakes(name: str) -> None:
    site = find_function(TREE, name)
    assert find_again(TREE, site) == site
    assert find_again(f"# one line more\n{TREE}", site).line == site.line + 1


def test_a_function_whose_namesakes_changed_is_not_found_again() -> None:
    setter = find_function(TREE, "Outer.size#2")
    with pytest.raises(TargetError, match=r"Outer.size was defined 2 time\(s\) and now is 3"):
        find_again(f"{TREE}    def size(self): ...\n", setter)
    with pytest.raises(TargetError, match=r"no Outer.size#2: Outer.size is defined 1"):
        find_again(TREE.replace("def size", "def width", 1), setter)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("atempt", "did you mean attempt?"),
        ("method", "did you mean Outer.Inner.method"),
        ("Outer.Inner", "did you mean Outer.Inner.method"),
        ("zzz", "it defines choice, attempt, fallback"),
    ],
)
def test_a_missing_name_offers_near_ones(name: str, message: str) -> None:
    with pytest.raises(TargetError, match="there is no function") as caught:
        find_function(TREE, name)
    assert message in str(caught.value)


def test_locals_may_be_spelled_as_python_does() -> None:
    assert find_function(TREE, "Outer.Inner.method.<locals>.local").line == 12


@pytest.mark.parametrize(
    ("line", "qualname"),
    [
        (11, "Outer.Inner.method"),
        (12, "Outer.Inner.method.local"),
        (15, "Outer.size"),
        (16, "Outer.size"),
        (4, "choice"),
    ],
)
def test_find_at_takes_the_innermost(line: int, qualname: str) -> None:
    assert find_at(TREE, line).qualname == qualname


def test_find_at_accepts_the_empty_lines_of_an_unwritten_body() -> None:
    text = "def f():\n    '''d'''\n    \n    # here\n\n# of g\ndef g():\n\n    \n"
    assert [find_at(text, line).name for line in (2, 3, 4, 7, 8)] == ["f", "f", "f", "g", "g"]
    with pytest.raises(TargetError, match=r"line 6 is not in a function; the nearest are g \(line 7\), f \(line 1\)"):
        find_at(text, 5)


def test_find_at_outside_the_file() -> None:
    with pytest.raises(TargetError, match="line 99 is outside the file, which has 24 lines"):
        find_at(TREE, 98)
    with pytest.raises(TargetError, match="column 80 is outside line 8"):
        find_at(TREE, 7, 79)
    assert find_at(TREE, 6, 4).qualname == "attempt"


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("x = = 1\n", 1),
        ("x = foo(1,\n", 1),
        ("x = foo(1,\n    2\n", 1),
        ("class Broken(:\n    def m(self):\n        pass\n", 1),
        ("if x\n    y = 1\nelse:\n    y = 2\n", 1),
        ("x = 'abc\n", 1),
        ("def g():\n\n", 1),
        ("def g(a:\n    return a\n", 1),
        ("  y = 1\n", 1),
        ("def g():\n    x = 1\n  y = 2\n", 3),
        ("try:\n    x = 1\n", 3),
        ("x = )\nfoo bar baz\n", 1),
        ("print 'hello'\n", 1),
    ],
)
def test_a_syntax_error_elsewhere_is_a_warning(broken: str, line: int) -> None:
    whole = "class Session:\n    def send(self, é):\n        '''d'''\n        return é\n\ny = 1\n"
    for text in (broken + whole, whole + broken):
        site = find_function(text, "Session.send")
        assert text[site.body_start : site.body_end] == "        return é\n"
        assert text.startswith("def send", site.header_start)
        assert site.line == text[: site.header_start].count("\n")
        assert site.warnings
    at = find_function(broken + whole, "Session.send").warnings[0]
    assert at.startswith(f"line {line} has a syntax error")


def test_methods_of_a_class_with_a_broken_header_keep_their_names() -> None:
    site = find_function("class Foo(Bar:\n    def m(self):\n        pass\n", "Foo.m")
    assert site.class_path == ("Foo",)


def test_a_broken_body_is_replaced_as_a_whole() -> None:
    text = "def f():\n    x = = 1\n      y = (\n\n    return x +\n\ndef g(): pass\n"
    site = find_function(text, "f")
    assert not site.is_stub
    assert replace_body(text, site, "    return 1") == "def f():\n    return 1\n\ndef g(): pass\n"


def test_a_broken_header_of_the_function_itself() -> None:
    with pytest.raises(TargetError, match="the header of f in line 1 has a syntax error"):
        find_function("def f(x:\n    pass\n", "f")
    assert list_functions("def f(x:\n    pass\n") == []


def test_an_unwritten_body_of_the_function_itself_is_no_warning() -> None:
    assert find_function("def f():\n\ny = 1\n", "f").warnings == ()


def test_what_is_no_python_at_all() -> None:
    with pytest.raises(TargetError, match="cannot be read as Python"):
        find_function("".join(f"<p>line {n}</p> (\n" for n in range(300)), "f")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_replace_body_uses_the_line_ends_asked_for(newline: str) -> None:
    text = newline.join(["def f():", "    pass", "x = 1", ""])
    site = find_function(text, "f")
    expected = newline.join(["def f():", "    a = 1", "    return a", "x = 1", ""])
    assert replace_body(text, site, "    a = 1\n    return a\n", newline) == expected


def test_tabs() -> None:
    text = "class A:\n\tdef f(self): ...\n"
    assert replace_body(text, find_function(text, "A.f"), "\t\treturn 1") == "class A:\n\tdef f(self):\n\t\treturn 1\n"


SOURCES = sorted(Path(generation.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_our_own_files(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sites = list_functions(text)
    assert len(sites) == len(functions)
    for site in sites:
        before, after = hole(text, site)
        assert before.endswith("\n")
        assert before.startswith(text[: site.body_start])
        ast.parse(replace_body(text, site, f"{site.body_indent}return None"))
        assert text.endswith(after)


PIECES = st.sampled_from(
    [
        "x = 1\n",
        "if x:\n",
        "    y = 2\n",
        "(\n",
        ")\n",
        "'''\n",
        "class A:\n",
        "\n",
        "  \n",
        "def g(a):\n",
        "@d\n",
        "else:\n",
        "é = '\n",
    ]
)


@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=6))
def test_a_found_site_lies_in_the_original_text(above: list[str], below: list[str]) -> None:
    text = "".join([*above, "def target(a, b):\n    '''d'''\n    return a\n", *below])
    try:
        sites = list_functions(text)
    except TargetError:
        return
    for site in sites:
        assert text[site.header_start : site.header_end].startswith("def ")
        assert text[site.header_end - 1] == ":"
        assert site.header_end <= site.body_start <= site.body_end <= len(text)
        assert text.count("\n", 0, site.header_start) == site.line
