"""What a forward costs is measured a few times, kept, and measured again where what was kept is not usable."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from generation.decoding import step_costs
from generation.decoding.step_costs import MOST_ROWS, known_costs, measure


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(step_costs, "cache_root", lambda: tmp_path)
    return tmp_path / "speed"


def test_rows_and_contexts_cost_what_they_take() -> None:
    costs = measure(lambda rows, context: time.sleep((10 * rows + context) / 5e4), (0, 100))
    assert list(costs.short_ms) == sorted(costs.short_ms)
    assert costs.short_ms[-1] > 5 * costs.short_ms[0]
    assert costs.long_ms[0] > 3 * costs.short_ms[0]


def test_the_first_loads_measure_and_the_least_counts(folder: Path) -> None:
    """A neighbour that was busy the first time is forgotten."""
    calls: list[int] = []

    def forward(rows: int, _: int) -> None:
        calls.append(rows)
        time.sleep(pause_s)

    pause_s = 0.004
    first = known_costs("a", forward, (0, 8))
    assert set(calls) >= {1, 2, MOST_ROWS}
    assert (first.times, first.short_ms[0] >= 4) == (1, True)
    pause_s = 0.0
    second = known_costs("a", forward, (0, 8))
    assert (second.times, max(second.short_ms) < 4) == (2, True)
    pause_s = 0.004
    third = known_costs("a", forward, (0, 8))
    assert (third.times, third.short_ms) == (3, second.short_ms)
    calls.clear()
    assert known_costs("a", forward, (0, 8)) == third
    assert calls == []
    known_costs("b", forward, (0, 8))
    assert calls
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["", "[]", '{"contexts": [0, 8], "short_ms": [1.0], "long_ms": [1.0]}'])
def test_what_is_damaged_is_measured_again(folder: Path, damage: str) -> None:
    first = known_costs("a", lambda *_: None, (0, 8))
    (path,) = folder.iterdir()
    path.write_text(damage)
    assert known_costs("a", lambda *_: None, (0, 8)).contexts == first.contexts
    assert len(path.read_text()) > 100


def test_a_cache_that_cannot_be_written_costs_time_only(folder: Path) -> None:
    folder.write_text("in the way")
    assert len(known_costs("a", lambda *_: None, (0, 8)).short_ms) == MOST_ROWS
