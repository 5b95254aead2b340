"""What is counted of an adapter's marks."""

from __future__ import annotations

import pytest
import torch

from generation.training.measures import Tally, is_shown

MARK = 4


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("def f(rows):\n    return", " rows", True),
        ("def f(rows):\n    total = 1\n    return", " total + 1", True),
        ("def f(rows):\n    return", " len(rows)", True),
        ("def f(rows):\n    return", " helper(rows)", False),
        ("def g(helper): ...\ndef f(rows):\n    return", " helper(rows)", False),
        ("def f(rows):\n    return self.", "rows", False),
        ("def f(rows):\n    self.total = 1\n    return", " total", False),
        ("def f(rows):\n    return rows", ")", False),
        ("def f(rows):\n   ", " return rows", False),
    ],
)
def test_a_name_is_listed_without_need_where_the_function_shows_it(before: str, after: str, shown: bool) -> None:
    assert is_shown(before, after) is shown


def test_marks_that_are_written_are_right_listed_or_wrong() -> None:
    """Five places: a true mark found, one missed, one before a listed name, one before nothing, one right behind another."""
    targets = torch.tensor([MARK, MARK, 1, 2, 3])
    previous = torch.tensor([0, 0, 0, 0, MARK])
    logits = torch.full((5, 5), -1.0)
    logits[[0, 2, 3, 4], MARK] = 9.0
    logits[1, 1] = 9.0
    tally = Tally()
    tally.add(logits, targets, previous, MARK, lambda position: position == 2)
    figures = tally.figures()
    assert (figures["true_marks"], figures["body_tokens"]) == (2, 3)
    assert (figures["mark_recall"], figures["mark_precision"], figures["mark_need"]) == (0.5, 0.6667, 0.3333)
