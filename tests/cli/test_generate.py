"""``memberwise generate``: targets, errors, rendering, and one real generation."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from generation.cli import display
from generation.cli.generate import find_target, repository_of
from generation.cli.main import main
from generation.errors import ConfigError
from generation.service import usual_preset
from generation.types import Candidate, NameKind, Suggestion, SuggestionSource, ToolCalled
from tests.source.test_text_diff import CHANGES

SHOP = '''\
class Basket:
    def __init__(self) -> None:
        self.prices: list[int] = []

    def add_price(self, price: int) -> None:
        self.prices.append(price)

    def total(self) -> int:
        """The sum of all prices."""


def twice(a): ...
def twice(a): ...
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    path = tmp_path / "shop.py"
    path.write_text(SHOP)
    return path


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("::Basket.totl", "did you mean Basket.total or "),
        ("::Basket.add_price", "has a body already; --replace writes it anew"),
        ("::twice", "is defined 2 times, in lines 12, 13; say which: twice#2, or FILE:LINE"),
        (":99", "line 99 is outside the file"),
        (":8:99", "column 99 is outside line 8"),
        ("", "write FILE::QUALNAME or FILE:LINE[:COLUMN]"),
    ],
)
def test_a_target_that_cannot_be_used(shop: Path, place: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", f"{shop}{place}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("memberwise: error: ")
    assert message in printed.err
    assert shop.read_text() == SHOP


def test_a_binary_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.py").write_bytes(b"\0\1\2")
    assert main(["generate", f"{tmp_path / 'data.py'}::f"]) == 2
    assert "is binary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--candidates", "0"], "--candidates 0 is out of range; it must be from 1 to 64"),
        (["--max-tokens", "-1"], "--max-tokens -1 is out of range"),
        (["--temperature", "nan"], "--temperature nan is out of range"),
        (["--top-p", "0"], "--top-p 0.0 is out of range"),
        (["--seed", "-1"], "--seed -1 is out of range"),
        (["--deadline", "0"], "--deadline 0.0 is out of range"),
        (["--python", "python3", "--untrusted"], "leave one out"),
        (["--candidates", "2", "--deadline", "1"], "--deadline ends one generation"),
        (["--repo", "nowhere"], "--repo nowhere is not a folder"),
        (["--model", "no/such"], "memberwise model pull no/such"),
    ],
)
def test_an_argument_that_cannot_be_used(
    shop: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", f"{shop}::Basket.total", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_number_at_all(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["generate", f"{shop}::Basket.total", "--seed", "one"])
    assert left.value.code == 2
    assert "invalid int value: 'one'" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["::Basket.total", ":8", ":9:5"])
def test_a_target_by_name_and_by_position(shop: Path, place: str) -> None:
    target = find_target(f"{shop}{place}", None)
    assert target.site.qualname == "Basket.total"
    assert target.root == shop.parent


def test_a_written_function_can_be_replaced(shop: Path) -> None:
    assert find_target(f"{shop}::Basket.add_price", None, replace_body=True).site.name == "add_price"


def test_a_file_outside_the_repository(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ConfigError, match="is not in the repository"):
        find_target(f"{shop}::Basket.total", other)


def test_the_repository_is_where_a_project_file_is(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "package"
    inner.mkdir(parents=True)
    (tmp_path / "project" / "setup.py").write_text("")
    assert repository_of(inner / "module.py") == tmp_path / "project"


# ----------------------------------------------------------------------------------------------- rendering


@pytest.mark.parametrize(("old", "new"), [*CHANGES, ("a\n", "a\n")])
def test_edits_turn_the_old_text_into_the_new(old: str, new: str) -> None:
    text = old
    for edit in reversed(display.edits(old, new)):
        text = text[: edit.start] + edit.text + text[edit.end :]
    assert text == new
    assert bool(display.edits(old, new)) is (old != new)


def test_generated_text_cannot_steer_the_terminal() -> None:
    assert display.visible("a\x1b[2J\tb\r\nc") == "a\\x1b[2J\tb\nc"
    assert "\x1b" not in display.styled_diff("+\x1b[2J\n").plain


def test_explain_shows_one_row_for_each_question() -> None:
    best = tuple(Candidate(name, 0.5, SuggestionSource.INDEX) for name in "abcdef")
    calls = [
        ToolCalled(15, NameKind.ATTRIBUTE, "self", 6, True, best, Suggestion("a"), "b", 12.4, False),
        ToolCalled(30, NameKind.NAME, None, 0, False, (), None, None, 0.1, True, "timeout"),
        ToolCalled(30, NameKind.NAME, None, 9, False, best[:1], None, None, 0.1, False, "crash"),
    ]
    printed = io.StringIO()
    console = Console(width=200, file=printed)
    console.print(display.explain_table(calls, "    x = 1\n    self.a\n    return y\n", 10))
    _, first, second, third = printed.getvalue().splitlines()
    assert first.split() == ["11", "self", "6", *_five("a", "b", "c", "d", "e"), "a", "jedi", "b", "12"]
    assert second.split() == ["12", "-", "0?", "timeout", "-", "-", "-", "0", "cached"]
    assert third.split() == ["12", "-", "9?", "a", "0.50", "(index),", "crash", "-", "-", "-", "0"]


def _five(*names: str) -> list[str]:
    return ", ".join(f"{name} 0.50 (index)" for name in names).split()


# ---------------------------------------------------------------------------------------- the real thing


@pytest.mark.model
def test_a_function_is_generated(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", f"{shop}::Basket.total", "--json", "--max-tokens", "48"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["function"] == "Basket.total"
    assert answer["file"] == str(shop)
    assert answer["trigger"] == usual_preset("default")
    assert answer["statistics"]["tool_calls"] == len(answer["events"]) > 0
    [edit] = answer["edits"]
    text = SHOP[: edit["start"]] + edit["text"] + SHOP[edit["end"] :]
    ast.parse(text)
    assert answer["text"].strip() in text
    assert shop.read_text() == SHOP
