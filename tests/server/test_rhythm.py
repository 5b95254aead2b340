"""The pause adapts to how fast somebody types."""

from __future__ import annotations

from lsp_server.rhythm import Rhythm


def typed(gap_s: float) -> tuple[Rhythm, float]:
    rhythm, now_s = Rhythm(), 0.0
    for _ in range(20):
        now_s += gap_s
        rhythm.note(now_s)
    return rhythm, now_s


def test_a_burst_starts_nothing_before_the_next_key() -> None:
    for gap_s in (0.02, 0.05, 0.08):
        rhythm, now_s = typed(gap_s)
        assert rhythm.delay_s(now_s) > gap_s


def test_a_slow_typist_does_not_wait_long() -> None:
    rhythm, now_s = typed(0.5)
    assert rhythm.delay_s(now_s) <= 0.15
    assert rhythm.delay_s(now_s + 0.2) == 0


def test_a_pause_says_nothing_about_the_speed() -> None:
    rhythm, now_s = typed(0.05)
    before_s = rhythm.delay_s(now_s)
    rhythm.note(now_s + 30)
    assert rhythm.delay_s(now_s + 30) == before_s
