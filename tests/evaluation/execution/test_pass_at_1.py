"""A repository with tests of its own, in the real sandbox."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from generation.errors import ConfigError
from generation.evaluation.execution.pass_at_1 import Trial, pass_at_1
from generation.evaluation.execution.sandbox import Limits, Sandbox
from generation.evaluation.sources import KeptNames
from generation.evaluation.tasks import TRUE, collect_tasks, open_hole
from generation.evaluation.validity.verdicts import Check

MODULE = """
def double(x):
    \'\'\'Twice.\'\'\'
    y = x + x
    return y


def untested(x):
    \'\'\'Nobody asks.\'\'\'
    y = x
    return y


def indifferent(x):
    \'\'\'Asked, but nothing depends on it.\'\'\'
    y = x
    return y
"""
TESTS = """
import pytest
import lib

@pytest.mark.parametrize("x", [1, 2])
def test_double(x):
    assert lib.double(x) == 2 * x

def test_indifferent():
    lib.indifferent(1)

def test_that_fails_by_itself():
    assert lib.untested(1) == 5

@pytest.mark.stress  # which such a suite does not run by itself
def test_for_an_hour():
    assert lib.untested(1) == 1
"""
BODIES = {
    "good": "    return 2 * x\n",
    "wrong": "    return 3\n",
    "never ends": "    while True:\n        pass\n",
}

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository").resolve()
    (root / "lib.py").write_text(MODULE)
    (root / "tests").mkdir()
    (root / "tests/test_lib.py").write_text(TESTS)
    return root


def checks_of(root: Path, doubling: dict[str, str]) -> list[Check]:
    checks = []
    for task in collect_tasks(root, "r"):
        opened = open_hole(task, MODULE, KeptNames(root))
        bodies = {TRUE: MODULE[task.start : task.end], **(doubling if task.qualname == "double" else {})}
        for row, body in bodies.items():
            span = (0, len(opened.before + body))
            checks.append(
                Check(task.qualname, row, "lib.py", opened.before + body + opened.after, span, body, opened.text)
            )
    return checks


@pytest.fixture(scope="module")
def found(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Trial]:
    checks, cache = checks_of(root, BODIES), tmp_path_factory.mktemp("cache")
    results = pass_at_1({root: checks}, {}, cache, limits=Limits(cpu_s=3))
    started_s = time.monotonic()
    assert pass_at_1({root: checks}, {}, cache) == results  # kept by content
    assert time.monotonic() - started_s < 5
    assert (root / "lib.py").read_text() == MODULE
    return results


def test_only_functions_that_tests_can_judge_are_tasks(found: dict[tuple[str, str], Trial]) -> None:
    assert {task for task, _ in found} == {"double"}
    assert found["double", TRUE] == Trial(passed=True, tests=2)


@pytest.mark.parametrize("row", BODIES)
def test_what_passes(found: dict[tuple[str, str], Trial], row: str) -> None:
    assert found["double", row].passed is (row == "good")


def test_that_the_time_was_over_is_not_kept(root: Path, tmp_path: Path) -> None:
    pass_at_1({root: checks_of(root, {})}, {}, tmp_path)
    checks = checks_of(root, {"slow": "    import time; time.sleep(1)\n    return 2 * x\n"})
    assert not pass_at_1({root: checks}, {}, tmp_path, limits=Limits(wall_s=0.5))["double", "slow"].passed
    assert pass_at_1({root: checks}, {}, tmp_path)["double", "slow"].passed


def test_a_sandbox_sees_its_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "scratch").mkdir()
    sandbox = Sandbox(tmp_path / "inside", scratch=tmp_path / "scratch")
    look = (
        f"from pathlib import Path; print(Path({str(tmp_path / 'secret')!r}).exists(), Path.home());"
        f"Path({str(tmp_path / 'scratch/made')!r}).touch()"
    )
    outcome = sandbox.python(["-c", look], Limits())
    assert (outcome.code, outcome.output.split()) == (0, ["False", "/tmp"])
    assert (tmp_path / "scratch/made").exists()
    assert sandbox.python(["-c", "open('made', 'w')"], Limits()).code == 1
    assert sandbox.python(["-c", "import time; time.sleep(30)"], Limits(wall_s=0.5)).code == 124
    assert "MemoryError" in sandbox.python(["-c", "bytearray(10 ** 10)"], Limits(memory_bytes=2 * 10**9)).output
    call = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    assert sandbox.python(["-c", call], Limits()).code == 1


def test_without_a_sandbox_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="needs bwrap and prlimit"):
        Sandbox(tmp_path)
