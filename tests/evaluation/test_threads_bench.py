"""Two threads beside busy programs: no collapse."""

from __future__ import annotations

import pytest

from generation.config import GeneratorConfig
from generation.evaluation.threads_bench import measure, situations
from generation.service import load_model

pytestmark = pytest.mark.model


def test_busy_neighbours_leave_two_threads_at_least_half_of_the_speed_of_one() -> None:
    models = {count: load_model(GeneratorConfig(threads=count)) for count in (1, 2)}
    for name, neighbours in situations():
        speeds = measure(models, 8, neighbours)
        assert speeds["2 threads"] > speeds["1 threads"] / 2, (name, speeds)
