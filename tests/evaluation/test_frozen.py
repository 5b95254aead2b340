from __future__ import annotations

from pathlib import Path

import pytest

from generation.errors import ConfigError
from generation.evaluation.frozen import differences, freeze, thaw
from generation.evaluation.repositories import read_manifest
from generation.evaluation.tasks import Task, collect_tasks

LISTS = Path(__file__).parents[2] / "benchmark_repos"
SOURCE = "def f(a):\n    'd'\n    b = a\n    return b\n\n\ndef g(a):\n    'd'\n    c = a\n    return c\n"


@pytest.fixture
def frozen(tmp_path: Path) -> tuple[Path, Path, list[Task]]:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "mod.py").write_text(SOURCE)
    tasks = collect_tasks(root, "r")
    freeze({"r": tasks}, tmp_path / "tasks.jsonl")
    return tmp_path / "tasks.jsonl", root, tasks


def test_what_was_frozen_comes_back_without_the_text(frozen: tuple[Path, Path, list[Task]]) -> None:
    path, root, tasks = frozen
    assert thaw(path, {"r": root, "other": root}) == {"r": tasks}
    assert thaw(path, {"other": root}) == {}
    assert differences(path, {"r": tasks}) == []
    assert "return" not in path.read_text()


def test_a_changed_body_is_refused(frozen: tuple[Path, Path, list[Task]]) -> None:
    path, root, _ = frozen
    (root / "mod.py").write_text(SOURCE.replace("c = a", "c = b"))
    with pytest.raises(ConfigError, match=r"1 tasks are not what they were, the first is r/mod.py::g@"):
        thaw(path, {"r": root})


def test_differences_are_named(frozen: tuple[Path, Path, list[Task]]) -> None:
    path, root, tasks = frozen
    (root / "mod.py").write_text("# one line more\n" + SOURCE)
    found = differences(path, {"r": [tasks[0], *collect_tasks(root, "r")[1:]]})
    assert [line.partition(":")[0] for line in found] == ["no longer a task", "not in the file"]


def test_a_file_that_holds_no_tasks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match="cannot read tasks"):
        thaw(tmp_path / "tasks.jsonl", {})


def test_the_public_benchmark_has_frozen_tasks_of_all_its_repositories() -> None:
    names = {repository.name for repository in read_manifest(LISTS / "eval.txt")}
    lines = (LISTS / "eval-tasks.jsonl").read_text().splitlines()
    tasks = thaw(LISTS / "eval-tasks.jsonl", {})
    assert tasks == {}  # reads every line
    assert len(set(lines)) == 480
    assert {line.split('"')[3] for line in lines} == names
