"""What all tests share: no property has a deadline, a test marked ``model`` fails without the default model, and where
``MEMBERWISE_NO_SKIPS`` is set, as in .ci/run, a test that is skipped for a reason not named here fails, too."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from generation.models.catalog import find_cached

# Before anything imports torch: its threads spin while they wait, and on a busy machine tiny models take minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("busy machine", deadline=None)  # a pause of the machine is no failure
settings.load_profile("busy machine")

# Reasons that are good ones also where everything is installed that .ci/run installs.
MAY_BE_SKIPPED = {
    "needs a GPU",
    "the GPU works",
    "torch says whether the GPU can be used",
    "the extra bench, which compiles for minutes, is not installed",
}
if sys.version_info >= (3, 13):
    MAY_BE_SKIPPED.add("tree-sitter 0.22 has no wheels for this Python")
if platform.machine() != "x86_64":
    MAY_BE_SKIPPED |= {"triton has wheels for Linux only", "no wheel of Neovim for this platform, and none installed"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("model") and find_cached("default") is None:
        pytest.fail("needs the default model; `make test` fetches it, or: memberwise model pull default", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return no_skip((yield))


def no_skip(report: Any) -> Any:
    """The report, of a failure where something was skipped that must not be."""
    if os.environ.get("MEMBERWISE_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in MAY_BE_SKIPPED:
            report.outcome, report.longrepr = "failed", f"skipped, which .ci/run does not allow: {reason}"
    return report
