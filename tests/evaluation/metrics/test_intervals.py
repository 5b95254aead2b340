from __future__ import annotations

import math

import pytest

from generation.evaluation.metrics.intervals import NOTHING, Bootstrap, Statistic, ratio


def shares(*numbers: float | None) -> list[Statistic | None]:
    return [None if number is None else (number, 1.0) for number in numbers]


def test_the_interval_holds_the_mean_and_narrows() -> None:
    few = Bootstrap(20, 0).value(shares(*[0.0, 1.0] * 10), ratio)
    many = Bootstrap(800, 0).value(shares(*[0.0, 1.0] * 400), ratio)
    assert few["value"] == many["value"] == 0.5
    # the normal approximation: 1.96 * 0.5 / sqrt(n)
    assert few["high"] == pytest.approx(0.5 + 0.219, abs=0.05)
    assert few["low"] == pytest.approx(0.5 - 0.219, abs=0.05)
    assert many["high"] == pytest.approx(0.5 + 0.0346, abs=0.01)
    assert Bootstrap(20, 3).value(shares(*[0.0, 1.0] * 10), ratio) == Bootstrap(20, 3).value(
        shares(*[0.0, 1.0] * 10), ratio
    )


def test_tasks_that_do_not_count_are_left_out() -> None:
    assert Bootstrap(3, 0).value(shares(1.0, None, 0.0), ratio)["value"] == 0.5
    assert Bootstrap(2, 0).value(shares(None, None), ratio) == NOTHING
    assert Bootstrap(2, 0).value([(0.0, 0.0), (0.0, 0.0)], ratio) == NOTHING


def test_a_pooled_share_weighs_tasks_by_what_they_have() -> None:
    assert Bootstrap(2, 0).value([(1.0, 1.0), (0.0, 3.0)], ratio)["value"] == 0.25


def test_a_difference_is_paired() -> None:
    """Tasks that are hard for both rows do not widen the interval of their difference."""
    hard = [0.0, 1.0] * 50
    bootstrap = Bootstrap(100, 0)
    same = bootstrap.difference(shares(*hard), shares(*hard), ratio)
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}
    better = bootstrap.difference(shares(*(h + 0.1 for h in hard)), shares(*hard), ratio)
    assert better["low"] == pytest.approx(0.1)
    assert better["high"] == pytest.approx(0.1)
    assert math.isclose(better["value"] or 0, 0.1)
