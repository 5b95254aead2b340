from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from generation.marks.outline import enclosing_class, imports_of, module_outline, parse, signature_line
from generation.types import ImportNeeded


def outline_at(text: str) -> list[str]:
    """Declarations of the class around ``$0``."""
    before, _, after = dedent(text).partition("$0")
    found = enclosing_class(parse(before + after), before.count("\n"))
    assert found
    return [member.declaration for member in found.members]


def test_imports_of_every_form() -> None:
    tree = parse("import os\nimport a.b as c\nfrom ..x import y as z, w\nif TYPE_CHECKING:\n    from t import T\n")
    assert imports_of(tree) == (
        ImportNeeded("os"),
        ImportNeeded("a.b", None, "c"),
        ImportNeeded("..x", "y", "z"),
        ImportNeeded("..x", "w"),
        ImportNeeded("t", "T"),
    )


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def f(a, /, b: int=3, *c, d, **e) -> str: ...", "def f(a, /, b: int=3, *c, d, **e) -> str"),
        ("async def f(\n    self,  # comment\n): ...", "async def f(self)"),
        ("def f(a=('long', 'default', 'value', 'here')): ...", "def f(a=...)"),
        ("class C(A, metaclass=M): ...", "class C(A, metaclass=M)"),
        ("class C: ...", "class C"),
    ],
)
def test_signature_on_one_line(source: str, line: str) -> None:
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    assert signature_line(node) == line


def test_members_of_a_class() -> None:
    assert outline_at(
        """
        class Session(Base):
            limit = 3
            timeout: float

            def __init__(self, adapter: Adapter, verify):
                self.adapter = adapter
                if verify:
                    self.verify = verify
                self.hooks: list[Hook] = []

            @property
            def name(self) -> str: ...

            def send(self, request):
                $0return 1
        """
    ) == [
        "limit = 3",
        "timeout: float",
        "def __init__(self, adapter: Adapter, verify)",
        "adapter: Adapter",
        "verify = verify",
        "hooks: list[Hook]",
        "name: str",
        "def send(self, request)",
    ]


def test_the_innermost_class_encloses() -> None:
    assert outline_at("class A:\n    a = 1\n    class B:\n        $0b = 2\n    c = 3\n") == ["b = 2"]


def test_a_class_in_another_branch_encloses() -> None:
    text = "try:\n    a = 1\nexcept ImportError:\n    class Late:\n        b = 1\n"
    found = enclosing_class(parse(text), 4)
    assert found is not None
    assert found.name == "Late"


def test_a_function_below_a_class_is_in_no_class() -> None:
    assert enclosing_class(parse("class A:\n    a = 1\n\ndef f(): ...\n"), 3) is None


@pytest.mark.parametrize(
    "broken",
    [
        "def broken(:\n    pass\n",
        "class Broken(\n    x = 1\n",
        "x = (1,\n",
        "def broken():\n    return [1,\n",
        "s = '''never closed\n",
        "def broken():\n  a\n b\n",
    ],
)
def test_what_stands_before_broken_code_is_still_read(broken: str) -> None:
    names = [member.name for member in module_outline(parse(f"import os\n\ndef first(): ...\n\n{broken}"))]
    assert names[:1] == ["first"]


def test_what_stands_behind_broken_code_is_still_read_at_its_line() -> None:
    members = module_outline(parse("def broken(:\n    pass\n\ndef second(): ...\n"))
    assert [(member.name, member.line) for member in members] == [("second", 3)]


def test_one_broken_method_leaves_the_others() -> None:
    assert outline_at(
        """
        class A:
            def one(self): ...
            def two(self):
                x = (
            def three(self): $0...
        """
    ) == ["def one(self)", "def three(self)"]


@pytest.mark.parametrize("text", ["", "\0", "(" * 5000, "x" * 10 + "\n" * 50 + ")"])
def test_hopeless_text_has_an_empty_outline(text: str) -> None:
    assert module_outline(parse(text)) == ()
