"""What all tests share: no property has a deadline; a test marked ``model`` needs the default model and says so where it is missing."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from generation.models.catalog import find_cached

# Before anything imports torch: its threads spin while they wait, and on a busy machine tiny models take minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("busy machine", deadline=None)  # a pause of the machine is no failure
settings.load_profile("busy machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("model") and find_cached("default") is None:
        pytest.fail("needs the default model; `make test` fetches it, or: memberwise model pull default", pytrace=False)
