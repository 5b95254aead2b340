from __future__ import annotations

import ast

import pytest

from generation.marks.context import PromptContext, look_around


def head_of(before: str, after: str = "") -> str:
    return look_around(PromptContext("a.py", before, after)).head


def test_the_head_is_decorators_signature_and_docstring() -> None:
    head = '@cache\n@deco(\n    1,\n)\ndef f(\n    a: int,\n) -> str:\n    """Doc."""\n'
    assert head_of(f"import os\nx = 1\n{head}") == head


def test_a_def_in_the_docstring_is_not_the_target() -> None:
    head = 'def f():\n    """Example::\n\n        def g():\n            pass\n    """\n'
    assert head_of(f"x = 1\n{head}") == head


@pytest.mark.parametrize("indent", ["  ", "\t", "        "])
def test_any_indent(indent: str) -> None:
    around = look_around(PromptContext("a.py", f"class A:\n{indent}x = 1\n{indent}def f(self):\n", "\ny = 2\n"))
    assert around.owner
    assert around.target
    assert (around.owner.name, around.target.name, around.head) == ("A", "f", f"{indent}def f(self):\n")


def test_windows_line_ends() -> None:
    assert head_of('x = 1\r\ndef f():\r\n    """D."""\r\n') == 'def f():\n    """D."""\n'


def test_async_and_nested_functions() -> None:
    assert head_of("def outer():\n    x = 1\n    async def inner(a):\n") == "    async def inner(a):\n"


def test_code_behind_the_hole_is_read() -> None:
    around = look_around(PromptContext("a.py", "class A:\n    def f(self):\n", "\n    def g(self): ...\n"))
    assert around.owner
    assert [member.name for member in around.owner.members] == ["f", "g"]


def test_code_around_a_cursor_inside_a_line_is_read() -> None:
    before = "class A:\n    def f(self):\n        x = self."
    around = look_around(PromptContext("a.py", before, "\n\n    def g(self): ...\n"))
    assert around.owner
    assert around.owner.name == "A"
    assert around.opening == "    def f(self):"
    assert around.head == "    def f(self):\n        x = self."


def test_a_body_begun_leaves_signature_and_docstring_the_opening() -> None:
    opening = '@cache\ndef f(\n    a,\n):\n    """Doc\n\n    def g(): ...\n    """'
    around = look_around(PromptContext("a.py", f"x = 1\n{opening}\n    x = a\n    return x."))
    assert around.opening == opening
    assert around.docstring == "Doc\n\ndef g(): ..."


@pytest.mark.parametrize("before", ["", "\n", "x", "x = 1\n", "def", "def f(", "class A:\n", "\0\n", "'''\n"])
def test_without_a_function_the_head_is_the_end_of_the_text(before: str) -> None:
    around = look_around(PromptContext("a.py", before))
    assert around.target is None
    assert before.endswith(around.head)
    assert isinstance(around.tree, ast.Module)


@pytest.mark.parametrize(
    ("path", "module"), [("src/pkg/mod.py", "pkg.mod"), ("pkg/__init__.py", "pkg"), ("mod.pyi", "mod"), ("", "")]
)
def test_module_of_a_path(path: str, module: str) -> None:
    assert PromptContext(path, "").module_name == module
