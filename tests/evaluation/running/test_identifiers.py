"""Teacher-forced names with a model that writes what the test says, and the real tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.config import GeneratorConfig
from generation.evaluation.bare_python import measured_tool
from generation.evaluation.metrics.dependencies import Dependency
from generation.evaluation.metrics.facts import Facts
from generation.evaluation.running.identifiers import Identifier, measure
from generation.evaluation.running.plan import Plan
from generation.evaluation.tasks import collect_tasks
from tests.decoding.scripted import ScriptedModel
from tests.evaluation.conftest import share_parsed

TINY = Path(__file__).parents[3] / "benchmark_repos" / "tiny"
Found = dict[tuple[str, str], tuple[Identifier, ...]]


def preferences(text: str) -> dict[str, float]:
    """Thinks that every object has ``finder``, and a little less that it has ``find``."""
    after = text.rpartition(".")[2]
    if after == "finder(" or (after and not "finder(".startswith(after)):
        return {"(": 1.0}
    return {"finder("[len(after)]: 1.0, **({"(": 0.5} if after == "find" else {})}


@pytest.fixture
def found(tmp_path: Path, parsed: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))
    [task] = [task for task in collect_tasks(TINY, "tiny") if task.qualname == "Desk.available"]
    body = (TINY / task.path).read_text()[task.start : task.end]
    places = [("self.catalog", body.index("catalog")), ("self.catalog.find", body.index("find"))]
    facts = {task.id: Facts(tuple(Dependency(*place) for place in places), frozenset())}
    common = GeneratorConfig(tool=measured_tool())
    configs = {row: common.with_preset(row) for row in ("off", "dot")}
    plan = Plan({"tiny": TINY}, {"tiny": [task]}, configs, share_parsed(tmp_path / "out", parsed))
    first = measure(plan, facts, 8, lambda config: ScriptedModel(preferences))
    assert measure(plan, facts, 8, lambda config: pytest.fail("was kept")) == first
    return {(task_id.partition("::")[2].partition("@")[0], row): names for (task_id, row), names in first.items()}


def test_the_tool_turns_an_invented_member_into_the_true_one(found: Found) -> None:
    catalog, find = found["Desk.available", "dot"]
    assert find == Identifier("find", free=False, chosen=True, offered=True, wrong_list=False)
    assert catalog.offered
    assert not catalog.free
    assert found["Desk.available", "off"][1] == Identifier("find", False, None, None, None)
