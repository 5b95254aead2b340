"""Checks of generated code. What was generated stands between ``<<`` and ``>>`` in the cases."""

from __future__ import annotations

import argparse
import ast
import inspect
import json.decoder
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from generation.config import ToolConfig
from generation.tools import checks
from generation.tools.checks import Problem, check
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex

LIBRARY = """\
import functools
from contextlib import contextmanager

def plain(a, b, c=1): ...
def starred(a, *rest, key, **more): ...
def positional(a, /, b): ...
@functools.wraps(plain)
def wrapped(a): ...
try:
    def twice(a): ...
except ImportError:
    def twice(a, b): ...

class Base:
    def __init__(self, name, size=0):
        self.name = name
        self.hook = None
    def grow(self, by): ...
    @staticmethod
    def parse(text): ...
    @classmethod
    def load(cls, path): ...
    @contextmanager
    def opened(self): ...
    def hook(self): ...

class Child(Base):
    def shrink(self, by, *, fast=False): ...

class Unknown(Missing):
    def known(self): ...
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repo").resolve()
    (root / "library.py").write_text(LIBRARY, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def index(root: Path) -> MemberIndex:
    return MemberIndex.build(root)


@pytest.fixture(scope="module")
def tool(root: Path) -> Iterator[JediTool]:
    tool = JediTool(root, ToolConfig(deadline_s=30, kill_after_s=60))
    yield tool
    tool.close()


def marked(case: str) -> tuple[str, tuple[int, int]]:
    before, _, rest = textwrap.dedent(case).partition("<<")
    part, _, after = rest.partition(">>")
    return before + part + after, (len(before), len(before) + len(part))


def problems(
    root: Path, case: str, tool: JediTool | None = None, index: MemberIndex | None = None
) -> tuple[Problem, ...]:
    text, span = marked(case)
    return check(root, root / "new.py", text, span, tool, index)


def call(expression: str, header: str = "import library\nfrom library import *\n", before: str = "") -> str:
    return f"{header}from library import Base, Child, Unknown, plain, positional, starred, twice, wrapped\n\ndef f(items, names):\n{before}<<    {expression}\n>>"


# ------------------------------------------------------------------------------------------------- syntax


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("def f():\n<<    return (1\n>>\ndef g():\n    pass\n", 1),
        ("def f():\n<<    x = 1\n     y = 2\n>>", 2),
        ("def f():\n<<    break\n>>", 1),
        ("def f():\n<<    '''open\n>>\ndef g():\n    pass\n", 1),
        ("def f():\n    return <<1 +>>\n", 1),
        ("def broken(:\n    pass\n\ndef f():\n<<    return 1 +\n>>", 4),
        ("def f():\n<<    x = '\\0'; y = \0\n>>", 1),
    ],
)
def test_syntax_errors_of_the_part(root: Path, case: str, line: int) -> None:
    (problem,) = problems(root, case)
    assert problem.kind == checks.SYNTAX
    assert abs(problem.line - line) <= 1  # Python blames the line after an open bracket
    assert problem.message


@pytest.mark.parametrize(
    "case",
    [
        "def f():\n<<    return 1\n>>",
        "def f():\n    return <<1>>\n",
        "def broken(:\n    pass\n\ndef f():\n<<    return 1\n>>",
        "def f():\n<<    return 1\n>>\nx = = 2\n",
        "async def f(g):\n<<    await g\n>>\nx = = 2\n",
        "def f(x):\n    for y in x:\n<<        continue\n>>\nx = = 2\n",
        "def f():\n<<    return '\\d'\n>>",
        "def f():\n<<>>\n    pass\n",
    ],
)
def test_the_rest_of_the_file_is_not_the_parts_fault(root: Path, case: str) -> None:
    assert problems(root, case) == ()


# ------------------------------------------------------------------------------------------------- undefined names


def test_undefined_names_in_the_part_only(root: Path) -> None:
    found = problems(root, "def f(a):\n    other\n<<    x = a\n    return x + missing\n>>\n\ndef g():\n    another\n")
    assert [(item.kind, item.line, item.name) for item in found] == [(checks.UNDEFINED, 3, "missing")]


def test_a_local_that_is_read_before_it_is_bound(root: Path) -> None:
    (problem,) = problems(root, "x = 1\n\ndef f():\n<<    y = x\n    x = 2\n    return y\n>>")
    assert (problem.kind, problem.name) == (checks.UNDEFINED, "x")


@pytest.mark.parametrize(
    "case",
    [
        "from os import *\n\ndef f():\n<<    return getcwd()\n>>",
        "globals().update(NAMES={})\n\ndef f():\n<<    return NAMES\n>>",
        "def helper(:\n    pass\n\ndef f():\n<<    return helper()\n>>",
        "def f():\n<<    return [n for n in range(3)], __file__\n>>",
        "def f():\n<<    try:\n        return unicode\n    except NameError:\n        return str\n>>",
    ],
)
def test_names_that_may_be_defined(root: Path, case: str) -> None:
    assert problems(root, case) == ()


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "expression",
    [
        "plain(1)",
        "plain(1, 2, 3, 4)",
        "plain(1, 2, d=3)",
        "plain(1, 2, a=3)",
        "library.plain()",
        "starred(1)",
        "positional(a=1, b=2)",
        "Base()",
        "Base('x', 1, 2)",
        "Child('x', 0, wrong=1)",
        "plain(*items, d=1)",
        "plain(1, 2, 3, 4, *items)",
    ],
)
def test_calls_that_do_not_fit(root: Path, index: MemberIndex, expression: str) -> None:
    (problem,) = problems(root, call(expression), index=index)
    assert (problem.kind, problem.line) == (checks.ARGUMENTS, 5)
    assert problem.name == expression.partition("(")[0]


@pytest.mark.parametrize(
    "expression",
    [
        "plain(1, 2)",
        "plain(1, b=2, c=3)",
        "plain(*items)",
        "plain(1, **names)",
        "starred(1, 2, 3, key=4, other=5)",
        "library.plain(1, 2)",
        "wrapped(1, 2, 3)",  # decorated: nobody knows
        "twice(1, 2, 3)",  # defined twice
        "Unknown(1, 2, 3)",  # a base outside the repository
        "Child('x')",
        "Base.grow(1)",
        "library.nothing()",
    ],
)
def test_calls_that_fit_or_are_not_certain(root: Path, index: MemberIndex, expression: str) -> None:
    assert problems(root, call(expression), index=index) == ()


def test_a_call_that_may_fail_is_meant(root: Path, index: MemberIndex) -> None:
    for caught, count in (("TypeError", 0), ("ValueError", 1)):
        case = f"from library import plain\n\ndef f(items):\n<<    try:\n        plain()\n    except {caught}:\n        pass\n>>"
        assert len(problems(root, case, index=index)) == count


@pytest.mark.parametrize("before", ["self = other.parent\n        ", "g = lambda self: "])
def test_another_self_is_no_object_of_the_class(root: Path, index: MemberIndex, before: str) -> None:
    case = (
        f"from library import Child\n\nclass Mine(Child):\n    def own(self, other):\n<<        {before}self.grow()\n>>"
    )
    assert problems(root, case, index=index) == ()


@pytest.mark.parametrize("before", ["    plain = items\n", "    from os import plain\n", "    def plain(): ...\n"])
def test_a_local_name_hides_the_definition(root: Path, index: MemberIndex, before: str) -> None:
    assert problems(root, call("plain()", before=before), index=index) == ()


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("self.grow()", False),
        ("self.grow(1, 2)", False),
        ("self.shrink(1, True)", False),
        ("self.parse()", False),
        ("self.load(1, 2)", False),
        ("self.own(1)", False),
        ("self.grow(1)", True),
        ("self.shrink(1, fast=True)", True),
        ("self.parse('x')", True),
        ("self.load('x')", True),
        ("self.opened(1, 2)", True),
        ("self.hook(1, 2)", True),  # replaced in __init__
        ("self.unknown(1)", True),
        ("self.own()", True),
    ],
)
def test_methods_of_self(root: Path, index: MemberIndex, expression: str, fits: bool) -> None:
    head = "from library import Child\n\nclass Mine(Child):\n    def own(self): ...\n    def use(self):\n"
    case = f"{head}<<        {expression}\n>>"
    assert [item.kind for item in problems(root, case, index=index)] == ([] if fits else [checks.ARGUMENTS])


def test_calls_inside_the_file_need_no_index(root: Path) -> None:
    (problem,) = problems(root, "def g(a): ...\n\ndef f():\n<<    g()\n>>")
    assert problem.message == "call of g: missing a required argument: 'a'"


def test_classes_that_are_their_own_ancestors(root: Path, index: MemberIndex) -> None:
    case = "class A: ...\nclass B(A): ...\nclass A(B):\n    def use(self, n):\n<<        return self.other(n), A(n)\n>>"
    assert problems(root, case, index=index) == ()


# ------------------------------------------------------------------------------------------------- members


@pytest.mark.timeout(120)
def test_unknown_members(root: Path, tool: JediTool) -> None:
    case = """\
        import json

        from library import Base

        def f(x):
            json.before()
        <<    base = Base("a")
            base.grow(1)
            base.swell(1)
            return json.dumps(x), json.dump_string(x)
        >>
        """
    found = problems(root, case, tool)
    assert [(item.kind, item.line, item.name) for item in found] == [
        (checks.MEMBER, 8, "swell"),
        (checks.MEMBER, 9, "dump_string"),
    ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "body",
    [
        "    json.extra = 1\n    return json.extra\n",
        "    try:\n        return json.extra\n    except AttributeError:\n        return None\n",
        "    if hasattr(json, 'extra'):\n        return json.extra\n",
        "    return x.anything, unknown(x).anything\n",
        "    return Open().anything\n",
        "    return json.__extra__\n",
        "    y = json\n    y = x\n    return y.extra\n",
        "    import json as y\n    y = x\n    return y.extra\n",
    ],
)
def test_members_that_may_exist(root: Path, tool: JediTool, body: str) -> None:
    head = "import json\n\ndef unknown(x): ...\n\nclass Open:\n    def __init__(self, **k):\n        self.__dict__.update(k)\n"
    assert problems(root, f"{head}\ndef f(x):\n<<{body}>>", tool) == ()


def test_names_that_no_module_has(root: Path, tool: JediTool) -> None:
    body = (
        "    from json import dumps, loadz\n    from library import Base, Bass\n    return dumps, Base, loadz, Bass\n"
    )
    found = problems(root, f"def f():\n<<{body}>>", tool)
    assert [(problem.kind, problem.line, problem.name) for problem in found] == [
        (checks.MEMBER, 1, "loadz"),
        (checks.MEMBER, 2, "Bass"),
    ]
    ready = (
        "    try:\n        from json import loadz\n    except ImportError:\n        loadz = None\n    return loadz\n"
    )
    assert problems(root, f"def f():\n<<{ready}>>", tool) == ()
    assert problems(root, "def f():\n<<    from missing import loadz\n    return loadz\n>>", tool) == ()


# ------------------------------------------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize(
    "body", ["    pass\n", "    ...\n", "    import json\n", "    'Doc.'\n    from json import dumps\n"]
)
def test_bodies_that_do_nothing(root: Path, body: str) -> None:
    (problem,) = problems(root, f"def f():\n<<{body}>>")
    assert (problem.kind, problem.name) == (checks.IDLE, "f")


@pytest.mark.parametrize(
    ("function", "endless"),
    [
        ("def f(a):\n<<    return f(a)\n>>", True),
        ("def f(a):\n<<    if f(a):\n        return 1\n>>", True),
        ("def f(a):\n<<    x = [b for b in f(a) or ()]\n    return x\n>>", True),
        ("class A:\n    def f(self):\n<<        self.f()\n>>", True),
        ("class A:\n    async def f(this):\n<<        return await this.f()\n>>", True),
        ("class A:\n    @property\n    def f(self):\n<<        return [self.f]\n>>", True),
        ("class A:\n    def f(self):\n<<        self = self.f()\n        return self\n>>", True),
        ("class A:\n    def f(self):\n<<        x = 1\n        self = x\n        return self.f()\n>>", False),
        ("def f(a):\n<<    return a and f(a - 1)\n>>", False),
        ("def f(a):\n<<    if a:\n        return f(a - 1)\n    return 0\n>>", False),
        ("def f(a):\n<<    return 0 if a else f(1)\n>>", False),
        ("def f(a):\n<<    return lambda: f(a)\n>>", False),
        ("def f(a, f):\n<<    return f(a)\n>>", False),
        ("class A:\n    def f(self):\n<<        return super().f()\n>>", False),
        ("def f(): ...\nclass A:\n    def f(self):\n<<        return f()\n>>", False),
        ("class A:\n    @overridden\n    def f(self):\n<<        return self.f()\n>>", False),
    ],
)
def test_functions_that_call_themselves_first(root: Path, function: str, endless: bool) -> None:
    case = f"def overridden(x): ...\n{function}"
    assert [problem.kind for problem in problems(root, case)] == [checks.ENDLESS] * endless


# ------------------------------------------------------------------------------------------------- real code


def test_where_nothing_stands_nothing_is_wrong(root: Path, tool: JediTool) -> None:
    after = "    return json.dumpz(x)\n"
    assert problems(root, f"import json\n\n\ndef f(x):\n<<>>{after}", tool) == ()
    assert problems(root, f"import json\n\n\ndef f(x):\n<<\n>>{after}", tool) == ()


@pytest.mark.parametrize("module", [argparse, ast, json.decoder, textwrap])
def test_real_code_has_no_problems(module: ModuleType) -> None:
    path = Path(inspect.getfile(module))
    text = path.read_text(encoding="utf-8")
    assert check(path.parent, path, text, (0, len(text))) == ()
