"""A run over the tiny repository with a model that writes what the test says, and the real tool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from generation.config import GeneratorConfig, ToolConfig
from generation.evaluation.running import runner
from generation.evaluation.bare_python import bare_python
from generation.evaluation.running.records import Record, read_records
from generation.evaluation.tasks import collect_tasks
from tests.decoding.scripted import ScriptedModel

TINY = Path(__file__).parents[3] / "benchmark_repos" / "tiny"
BODIES = {  # by weight
    "available": {
        "        return self.invented_here(isbn)\n": 1.0,
        "        return self.catalog.find(isbn).copies\n": 0.1,
    },
    "typical_debt": {"    return sum(reader.owed_cents for reader in readers)\n": 1.0},
    "take_back": {"        pass\n": 1.0},
}


def preferences(text: str) -> dict[str, float]:
    """Writes a body of the last function of the prompt, then ends."""
    header = text.rpartition("def ")[2]
    bodies = BODIES.get(header.partition("(")[0], {})
    written = header.rpartition('"""\n')[2]
    following = {body[len(written) :][:1]: weight for body, weight in bodies.items() if body.startswith(written)}
    return following or {"": 1.0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def plan(tmp_path: Path) -> runner.Plan:
    tasks = [task for task in collect_tasks(TINY, "tiny") if task.qualname.rpartition(".")[2] in BODIES]
    common = GeneratorConfig(tool=ToolConfig(python=bare_python()))
    configs = {name: common.with_preset(name) for name in ("off", "dot")}
    return runner.Plan({"tiny": TINY}, {"tiny": tasks}, configs, tmp_path / "out")


def timeless(record: Record) -> object:
    calls = [{**call, "elapsed_ms": 0, "cached": False} for call in record.calls]
    stats = {name: value for name, value in record.stats.items() if not name.endswith("_ms")}
    return replace(record, seconds=0.0, calls=calls, stats=stats)


def test_a_run_is_generated_judged_and_resumed(plan: runner.Plan) -> None:
    records = runner.generate(plan, ScriptedModel(preferences))
    assert [record.error for record in records] == [None] * 6
    off = {
        record.task.partition("::")[2].partition("@")[0]: record.text for record in records if record.config == "off"
    }
    assert off["typical_debt"].strip() == "return sum(reader.owed_cents for reader in readers)"
    assert "invented_here" in off["Desk.available"]

    verdicts = runner.judge(plan, records)
    assert len(verdicts) == 9
    named = {
        (task.partition("::")[2].partition("@")[0], config): verdict for (task, config), verdict in verdicts.items()
    }
    assert named["Desk.available", "off"].has_unknown_name
    assert not named["Desk.available", "dot"].has_unknown_name
    assert named["typical_debt", "off"].valid
    assert named["Desk.take_back", "off"].empty
    assert all(verdict.strictly_valid for (_, config), verdict in named.items() if config == runner.TRUE)

    lines = plan.records_path.read_text().splitlines()
    assert len(lines) == 6
    plan.records_path.write_text("\n".join(lines[:3]) + "\n" + lines[3][:40])  # killed while it wrote the fourth
    model = ScriptedModel(preferences)
    again = runner.generate(plan, model)
    assert {timeless_key(record) for record in again} == {timeless_key(record) for record in records}
    assert len(model.states) == 3
    assert len(list(read_records(plan.records_path))) == 6
    assert [path.name for path in plan.out.iterdir() if path.name.startswith("memberwise-copy")] == []


def timeless_key(record: Record) -> str:
    return json.dumps(timeless(record), default=str, sort_keys=True)


def test_other_settings_are_other_records(plan: runner.Plan) -> None:
    one = replace(plan, tasks={"tiny": plan.tasks["tiny"][:1]}, configs={"off": plan.configs["off"]})
    runner.generate(one, ScriptedModel(preferences))
    shorter = replace(one, configs={"off": replace(plan.configs["off"], max_tokens=3)})
    [record] = runner.generate(shorter, ScriptedModel(preferences))
    assert record.stats["generated_tokens"] <= 3
    assert len(list(read_records(plan.records_path))) == 2


def test_the_true_body_is_hidden_while_a_task_is_generated(plan: runner.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    stream = runner.service.Session.stream

    def spying(self, site, file):  # type: ignore[no-untyped-def]
        seen.append((self.root / file.path).read_text())
        assert self.index.definitions(["statistics"]) == []
        return stream(self, site, file)

    monkeypatch.setattr(runner.service.Session, "stream", spying)
    task = next(task for task in plan.tasks["tiny"] if task.qualname == "typical_debt")
    runner.generate(replace(plan, tasks={"tiny": [task]}), ScriptedModel(preferences))
    assert len(seen) == 2
    assert not any("statistics" in text for text in seen)


def test_tasks_are_drawn_evenly(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "a.py").write_text("def f():\n    'd'\n    a = 1\n    return a\n")
    roots = {"small": small, "tiny": TINY}
    drawn = runner.draw_tasks(roots, 6, None, 0)
    assert {name: len(tasks) for name, tasks in drawn.items()} == {"small": 1, "tiny": 5}
    assert {name: len(tasks) for name, tasks in runner.draw_tasks(roots, 6, 3, 0).items()} == {"small": 1, "tiny": 3}
    assert runner.draw_tasks(roots, 6, None, 0) == drawn
