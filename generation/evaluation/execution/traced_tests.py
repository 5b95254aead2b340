"""Runs a test suite and says which passing tests execute which lines. Runs inside the sandbox, by its path.

``python traced_tests.py QUESTION ANSWER``: the question (JSON) holds ``tests``, paths, and ``spans``, lists of first
and last line by file; the answer holds, by file, for each span the tests that ran through it. Imports nothing of the
package. Start reading at ``main``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

UNUSUAL = "not stress and not slow and not benchmark"  # which suites leave out by settings that are not read here
OPTIONS = [
    "-q", "-m", UNUSUAL, "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "-p", "no:randomly",
    "-W", "ignore",
]  # fmt: skip


class Contexts:
    """A plugin: lines are counted for the test that runs, and tests that pass are remembered."""

    def __init__(self, tracer: coverage.Coverage) -> None:
        self._tracer = tracer
        self.passed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Lines from here on are this test's."""
        self._tracer.switch_context(item.nodeid)
        yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test counts when its own part passed."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)


def main(question: Path, answer: Path) -> None:
    """Run the tests, write the answer."""
    asked = json.loads(question.read_text(encoding="utf-8"))
    files = {str(Path(file).resolve()): spans for file, spans in asked["spans"].items()}
    tracer = coverage.Coverage(data_file=None, include=list(files), config_file=False)
    contexts = Contexts(tracer)
    tracer.start()
    pytest.main([*OPTIONS, "--continue-on-collection-errors", *asked["tests"]], plugins=[contexts])
    tracer.stop()
    data = tracer.get_data()
    found: dict[str, Any] = {}
    for name, spans in asked["spans"].items():
        lines = data.contexts_by_lineno(str(Path(name).resolve()))
        found[name] = [_tests(lines, first, last, contexts.passed) for first, last in spans]
    answer.write_text(json.dumps(found), encoding="utf-8")


def _tests(lines: dict[int, list[str]], first: int, last: int, passed: set[str]) -> list[str]:
    ran = {test for line in range(first, last + 1) for test in lines.get(line, ())}
    return sorted(ran & passed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
