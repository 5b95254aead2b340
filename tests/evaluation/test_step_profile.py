"""The parts of a forward add up to it."""

from __future__ import annotations

import pytest

from generation.decoding.llama.native import STEP_PARTS
from generation.evaluation.step_profile import profile
from tests.decoding.llama.networks import model_of


def test_every_part_takes_time_and_all_are_the_whole() -> None:
    network = model_of("llama", int8=True).network
    forward = network.blank_forward()
    forward(4, 64)
    network.times_ms()
    forward(4, 64)
    parts = network.times_ms()
    assert tuple(parts) == STEP_PARTS
    assert all(value > 0 for value in parts.values())
    assert sum(network.times_ms().values()) == 0


def test_the_limit_is_what_must_be_read_by_the_bandwidth() -> None:
    found = profile(model_of("llama", int8=True), 2, 64, 1)
    assert set(found["ms"]) == {*STEP_PARTS, "else", "whole"}
    assert found["limit_ms"] == pytest.approx(found["read_mb"] / found["bandwidth_gb_per_s"], abs=0.1)
