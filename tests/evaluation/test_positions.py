from __future__ import annotations

import ast

import pytest

from generation.evaluation.places import Places
from generation.evaluation.positions import Positions, positions


def positions_of(body: str, head: str = "", header: str = "def f(self, arg):\n") -> Positions:
    text = head + header + body
    tree = ast.parse(text)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    return positions(tree, function, (len(head + header), len(text)), Places(text))


@pytest.mark.parametrize(
    ("expression", "receiver"),
    [
        ("self.x", "self"),
        ("arg.x", "parameter"),
        ("mod.x", "module"),
        ("name.x", "imported name"),
        ("local.x", "local"),
        ("arg.y.x", "chain"),
        ("f().x", "call"),
        ("arg[0].x", "other"),
        ("''.x", "other"),
        ("Own.x", "other"),
    ],
)
def test_receivers(expression: str, receiver: str) -> None:
    head = "import mod\nfrom m import name\nclass Own: ...\n"
    found = positions_of(f"    local = 1\n    return {expression}\n", head)
    last = next(position for position in found.asked if position.name == "x")
    assert (last.kind.value, last.receiver.value) == ("attribute", receiver)


def test_positions_are_in_the_order_of_the_text() -> None:
    body = "    é = self.a.b(arg, len(self.c))\n    return é . d\n"
    found = positions_of(body)
    assert [position.name for position in found.asked] == ["self", "a", "b", "arg", "self", "c", "é", "d"]
    text = "def f(self, arg):\n" + body
    assert all(text.startswith(position.name, position.offset) for position in found.asked)


def test_targets_keywords_builtins_and_f_strings_are_not_asked() -> None:
    found = positions_of("    self.new = None\n    print(f'{arg.x}', True)\n    for i in range(3): pass\n")
    assert [position.name for position in found.asked] == ["self"]


def test_a_builtin_that_the_file_binds_is_asked() -> None:
    assert [position.name for position in positions_of("    print(1)\n", "print = 1\n").asked] == ["print"]


def test_names_that_are_bound_only_later_are_counted() -> None:
    found = positions_of("    return [x for x in arg if x]\n")
    assert [position.name for position in found.asked] == ["arg", "x"]
    assert found.forward_names == 1
