"""What all tests share: a test marked ``model`` needs the default model and says so where it is missing."""

from __future__ import annotations

import pytest

from generation.models.catalog import find_cached


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("model") and find_cached("default") is None:
        pytest.fail("needs the default model; `make test` fetches it, or: memberwise model pull default", pytrace=False)
