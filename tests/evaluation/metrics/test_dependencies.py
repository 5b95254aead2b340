"""Functions whose dependencies a reader can name, in a repository of two files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.config import ToolConfig
from generation.evaluation.metrics.bodies import chains
from generation.evaluation.metrics.dependencies import dependencies
from generation.evaluation.metrics.facts import gather
from generation.evaluation.tasks import collect_tasks
from generation.source.functions import find_function
from generation.tools import worker_pool
from generation.tools.references import References

HELPERS = "LIMIT = 3\n\n\ndef helper(count, copies=1):\n    return count\n\n\nclass Box:\n    size = 1\n"
MODULE = '''
import os
import absent
from pkg import helpers
from pkg.helpers import LIMIT, Box, helper as renamed


class Shop:
    def __init__(self, box: Box):
        self.box = box

    def method(self, path, copies):
        """Doc."""
        self.local_only = os.path.join(path)
        found = renamed(self.box.size, copies=copies)
        size = LIMIT
        for item in helpers.helper(found):
            print(f"{self.other(item)}", absent.thing)
        return self.method(size, copies)

    def other(self, item):
        """Doc."""
        def inner():
            """Doc."""
            first = item
            return first, Box
        return inner()
'''


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository").resolve()
    (root / "pkg").mkdir()
    (root / "pkg/__init__.py").write_text("")
    (root / "pkg/helpers.py").write_text(HELPERS)
    (root / "pkg/shop.py").write_text(MODULE)
    return root


@pytest.fixture(scope="module")
def references(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[References]:
    with References(repository, ToolConfig(cache=tmp_path_factory.mktemp("cache"))) as asked:
        yield asked


def dependencies_of(references: References, repository: Path, qualname: str) -> frozenset[str]:
    site = find_function(MODULE, qualname)
    span = (site.body_start, site.body_end)
    found = dependencies(references, repository, "pkg/shop.py", MODULE, site.header_start, span)
    assert all(MODULE.startswith(one.name, site.body_start + one.offset) for one in found)
    return frozenset(one.chain for one in found)


def test_what_the_repository_defines_counts(references: References, repository: Path) -> None:
    assert dependencies_of(references, repository, "Shop.method") == {
        "renamed", "self.box", "self.box.size", "LIMIT", "helpers", "helpers.helper", "self.other",
    }  # fmt: skip


def test_locals_and_outer_parameters_do_not_count(references: References, repository: Path) -> None:
    assert dependencies_of(references, repository, "Shop.other.inner") == {"Box"}


def test_a_hit_is_the_same_expression() -> None:
    wanted = {"self.box", "self.box.size", "helper", "helpers.helper"}
    assert chains("    return self.box.size + self.helper\n") & wanted == {"self.box", "self.box.size"}
    assert chains("    return helpers.helper(\n") & wanted == frozenset()


def test_facts_are_kept_by_content(repository: Path, tmp_path: Path) -> None:
    tasks = [task for task in collect_tasks(repository, "r") if task.qualname == "Shop.method"]
    asked: list[object] = []
    first = gather({repository: tasks}, tmp_path, ToolConfig(cache=tmp_path / "jedi"), done=asked.append)
    again = gather({repository: tasks}, tmp_path, ToolConfig(python=Path("/nowhere")), done=asked.append)
    assert first == again
    [facts] = first.values()
    assert "self.box.size" in facts.dependencies
    assert "box.size" in facts.published


def test_where_jedi_does_not_answer_nothing_is_kept(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task for task in collect_tasks(repository, "r") if task.qualname == "Shop.method"]
    broken = tmp_path / "worker.py"
    broken.write_text("import sys; sys.exit('no memory left')")
    with monkeypatch.context() as patch:
        patch.setattr(worker_pool, "WORKER", broken)
        [failed] = gather({repository: tasks}, tmp_path / "kept", ToolConfig()).values()
    assert "no memory left" in (failed.error or "")
    assert not failed.dependencies
    [facts] = gather({repository: tasks}, tmp_path / "kept", ToolConfig(cache=tmp_path / "jedi")).values()
    assert facts.error is None
    assert "self.box.size" in facts.dependencies


def test_what_a_killed_worker_was_asked_another_answers(repository: Path, tmp_path: Path) -> None:
    with References(repository, ToolConfig(cache=tmp_path)) as references:
        assert "renamed" in references.offered("pkg/shop.py", MODULE, len(MODULE))
        os.kill(references._pool.pids[0], signal.SIGKILL)
        assert "renamed" in references.offered("pkg/shop.py", MODULE, len(MODULE))
