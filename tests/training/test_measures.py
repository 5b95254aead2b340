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


def test_marks_that_are_asked_for_are_right_listed_or_wrong() -> None:
    """Seven places: a true mark that is likeliest, one that is weighed, one missed; a mark before a listed name, before
    nothing, right behind another; one that is weighed where no name follows."""
    targets = torch.tensor([MARK, MARK, MARK, 1, 2, 3, 0])
    previous = torch.tensor([0, 0, 0, 0, 0, MARK, 0])
    logits = torch.full((7, 5), -9.0)
    logits[[0, 3, 4, 5], MARK] = 9.0
    logits[1, 1], logits[1, MARK] = 9.0, 8.0
    logits[2, 1], logits[2, MARK] = 9.0, 7.0
    logits[6, 0], logits[6, MARK] = 9.0, 8.5
    tally = Tally()
    tally.add(logits, targets, previous, MARK, lambda position: position == 3, lambda position: position != 6)
    figures = tally.figures()
    assert (figures["true_marks"], figures["body_tokens"]) == (3, 4)
    assert (figures["mark_recall"], figures["mark_precision"], figures["mark_need"]) == (0.3333, 0.6667, 0.3333)
    assert (figures["weighed_recall"], figures["weighed_precision"]) == (0.6667, 0.75)
