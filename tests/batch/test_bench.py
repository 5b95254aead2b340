"""What ``bench batch`` compares with what."""

from __future__ import annotations

import pytest

from generation.batch.bench import Rate, Setting, report, settings


def rate(together: int, threads: int, seconds: float, *, same: bool = True) -> Rate:
    return Rate(Setting(together, threads), 12, seconds, 900, 1.0, same)


def test_ratios_are_against_the_quickest_way_without_a_batch() -> None:
    found = report([rate(1, 2, 6.0), rate(4, 2, 4.0), rate(8, 2, 3.0), rate(1, 1, 8.0)], command_s=5.0)
    assert found["best"] == "8 at a time, 2 threads"
    assert found["speedup_vs_serial"] == pytest.approx(2.0)
    assert found["speedup_vs_serial_half_of_the_cores"] == pytest.approx(2.667)
    assert found["speedup_vs_commands"] == pytest.approx(20.0)
    assert found["same_text"]


def test_another_text_is_told_and_commands_need_not_be_measured() -> None:
    found = report([rate(1, 2, 6.0), rate(4, 2, 7.0, same=False), rate(1, 1, 5.0)])
    assert found["speedup_vs_serial"] == pytest.approx(0.714)
    assert "speedup_vs_commands" not in found
    assert not found["same_text"]


def test_one_by_one_is_measured_first_and_last() -> None:
    chosen = settings([2, 4], [1])
    assert [one.together for one in chosen] == [1, 2, 4, 1, 4]
    assert chosen[0].threads >= chosen[3].threads
    assert chosen[-1].workers == 1
