"""Layouts that stay while somebody types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from generation.marks.typed_prompts import MOST_TYPED, TypedPrompts

PATH = Path("/r/m.py")
HEAD = "import os\n\n\ndef f(path):\n"


def laid_out(numbers: Iterator[int], before: str) -> str:
    return f"layout {next(numbers)}\n{before[-120:]}"


def prompt_of(
    prompts: TypedPrompts, numbers: Iterator[int], before: str, after: str = "", *, waited_for: bool = True
) -> str:
    return prompts.prompt(PATH, before, after, lambda: laid_out(numbers, before), waited_for=waited_for)


@given(st.lists(st.text("ab (\n", max_size=9), max_size=9))
def test_what_is_typed_and_taken_away_moves_the_end_only(texts: list[str]) -> None:
    prompts, numbers = TypedPrompts(), count()
    first = prompt_of(prompts, numbers, HEAD)
    for text in texts:
        assert prompt_of(prompts, numbers, HEAD + text) == first + text


def test_another_place_is_laid_out_anew() -> None:
    prompts, numbers = TypedPrompts(), count()
    prompt_of(prompts, numbers, HEAD)
    assert prompt_of(prompts, numbers, HEAD, "x\n").startswith("layout 1\n")
    assert prompt_of(prompts, numbers, "import sys\n" + HEAD * 20, "x\n").startswith("layout 2\n")
    other = prompts.prompt(Path("/r/other.py"), HEAD, "x\n", lambda: "own", waited_for=True)
    assert other == "own"


def test_much_typing_is_laid_out_anew_and_sooner_while_nobody_waits() -> None:
    prompts, numbers = TypedPrompts(), count()
    prompt_of(prompts, numbers, HEAD)
    some, much = HEAD + "x" * (MOST_TYPED // 2 + 1), HEAD + "x" * (MOST_TYPED + 1)
    assert prompt_of(prompts, numbers, some).startswith("layout 0\n")
    assert prompt_of(prompts, numbers, some, waited_for=False).startswith("layout 1\n")
    assert prompt_of(prompts, numbers, much).startswith("layout 1\n")
    assert prompt_of(prompts, numbers, HEAD + "y" * (MOST_TYPED + 1)).startswith("layout 2\n")
