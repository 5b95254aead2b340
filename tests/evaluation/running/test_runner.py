"""A run over the tiny repository with a model that writes what the test says, and the real tool."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from generation import models, service
from generation.config import GeneratorConfig
from generation.errors import ModelLoadError
from generation.evaluation.bare_python import measured_tool
from generation.evaluation.running import runner
from generation.evaluation.running.plan import Plan, draw_tasks
from generation.evaluation.running.records import Record, ledger
from generation.evaluation.tasks import collect_tasks
from generation.ledger import read_lines
from tests.decoding.scripted import ScriptedModel
from tests.evaluation.conftest import share_parsed

TINY = Path(__file__).parents[3] / "benchmark_repos" / "tiny"
BODIES = {  # by weight
    "available": {
        "        return self.invented_here(isbn)\n": 1.0,
        "        return self.catalog.find(isbn).copies\n": 0.6,
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
def plan(tmp_path: Path, parsed: Path) -> Plan:
    tasks = [task for task in collect_tasks(TINY, "tiny") if task.qualname.rpartition(".")[2] in BODIES]
    common = GeneratorConfig(tool=measured_tool())
    configs = {name: common.with_preset(name) for name in ("off", "dot")}
    return Plan({"tiny": TINY}, {"tiny": tasks}, configs, share_parsed(tmp_path / "out", parsed))


@pytest.fixture
def plain(plan: Plan) -> Plan:
    """Without the tool, which takes most of the time."""
    return replace(plan, configs={"off": plan.configs["off"]})


def made(plan: Plan, model: ScriptedModel) -> list[Record]:
    return runner.generate(plan, lambda config: model)


def timeless(record: Record) -> str:
    calls = [{**call, "elapsed_ms": 0, "cached": False} for call in record.calls]
    stats = {name: value for name, value in record.stats.items() if not name.endswith("_ms")}
    same = replace(record, seconds=0.0, first_text_s=None, memory_bytes=0, calls=calls, stats=stats)
    return json.dumps(same, default=lambda value: {name: getattr(value, name) for name in value.__slots__})


def test_the_same_run_gives_the_same_records_and_leaves_nothing_behind(
    plan: Plan, tmp_path: Path, parsed: Path
) -> None:
    plan = replace(plan, tasks={"tiny": [t for t in plan.tasks["tiny"] if t.qualname != "Desk.take_back"]})
    first = made(plan, ScriptedModel(preferences))
    second = made(replace(plan, out=share_parsed(tmp_path / "again", parsed)), ScriptedModel(preferences))
    assert [record.error for record in first] == [None] * 4
    assert list(map(timeless, first)) == list(map(timeless, second))
    assert {path.name for path in plan.out.iterdir()} == {"cache", "locks", "records.jsonl"}
    assert not (tmp_path / "cache/index").exists()  # a working copy is not worth remembering
    texts = {(record.task.partition("::")[2].partition("@")[0], record.config): record for record in first}
    assert texts["typical_debt", "off"].text.strip() == "return sum(reader.owed_cents for reader in readers)"
    assert "invented_here" in texts["Desk.available", "off"].text
    assert texts["Desk.available", "dot"].calls[0]["best"]
    assert all(record.first_text_s is not None and record.memory_bytes > 0 for record in first)


def test_a_run_goes_on_after_the_last_whole_record(plain: Plan) -> None:
    records = made(plain, ScriptedModel(preferences))
    path = ledger(plain.out).path
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    path.write_text(lines[0] + "\n" + lines[1][:40])  # killed while it wrote the second
    model = ScriptedModel(preferences)
    told: list[int] = []
    again = runner.generate(plain, lambda config: model, known=told.append)
    assert list(map(timeless, again)) == list(map(timeless, records))
    assert len(model.states) == 2
    assert told == [1, 1]
    assert len(read_lines(path)[0]) == 3


def test_what_another_process_is_at_is_left_to_it(plain: Plan) -> None:
    done = {record.key: record for record in made(plain, ScriptedModel(preferences))}
    records = ledger(plain.out)
    theirs = plain.key(plain.tasks["tiny"][0], "off")
    records.path.unlink()
    model = ScriptedModel(preferences)
    with records.claim(theirs) as is_ours:
        assert is_ours
        run = threading.Thread(target=lambda: made(plain, model))
        run.start()
        until_s = time.monotonic() + 30
        while len(read_lines(records.path)[0]) < 2 and time.monotonic() < until_s:
            time.sleep(0.05)
        assert len(read_lines(records.path)[0]) == 2
        assert run.is_alive()
        records.add(done[theirs])
    run.join(30)
    assert not run.is_alive()
    assert len(model.states) == 2


SCRIPT = """
import sys
from pathlib import Path
from generation.config import GeneratorConfig
from generation.evaluation.bare_python import measured_tool
from generation.evaluation.running import runner
from generation.evaluation.running.plan import Plan
from generation.evaluation.tasks import collect_tasks
from tests.decoding.scripted import ScriptedModel

root, out = map(Path, sys.argv[1:])
config = GeneratorConfig(tool=measured_tool()).with_preset("off")
plan = Plan({"tiny": root}, {"tiny": collect_tasks(root, "tiny")}, {"off": config}, out)
runner.generate(plan, lambda config: ScriptedModel(lambda text: {"pass\\n"[len(text.rpartition("        ")[2]):][:1]: 1.0}))
"""


def test_processes_share_the_work_and_one_that_is_killed_is_made_up_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, str(TINY), str(out)]
    root = str(Path(__file__).parents[3])
    processes = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    until_s = time.monotonic() + 60
    while not read_lines(out / "records.jsonl")[0] and time.monotonic() < until_s:
        time.sleep(0.01)
    processes[0].kill()
    errors = [process.communicate(timeout=90)[1] for process in processes]
    assert processes[1].returncode == 0, errors
    keys = [Record(**line).key for line in read_lines(out / "records.jsonl")[0]]
    assert len(keys) == len(set(keys)) == len(collect_tasks(TINY, "tiny"))


def test_other_settings_are_other_records(plan: Plan) -> None:
    one = replace(plan, tasks={"tiny": plan.tasks["tiny"][:1]}, configs={"off": plan.configs["off"]})
    made(one, ScriptedModel(preferences))
    shorter = replace(one, configs={"off": replace(plan.configs["off"], max_tokens=3)})
    [record] = made(shorter, ScriptedModel(preferences))
    assert record.stats["generated_tokens"] <= 3
    made(replace(one, weights={"off": "other"}), ScriptedModel(preferences))
    assert len(ledger(plan.out).known()) == 3


def test_each_set_of_weights_is_loaded_once_and_when_it_is_needed(plain: Plan) -> None:
    off = plain.configs["off"]
    configs = {"off": off, "plain-off": replace(off, adapter="plain"), "short": replace(off, max_tokens=3)}
    several = replace(plain, configs=configs)
    loaded: list[str | None] = []

    def load(config: GeneratorConfig) -> ScriptedModel:
        loaded.append(config.adapter)
        return ScriptedModel(preferences)

    records = runner.generate(several, load)
    assert loaded == [None, "plain"]
    assert len(records) == 9
    runner.generate(several, load)
    assert len(loaded) == 2


def test_a_row_whose_adapter_does_not_exist_is_an_error(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "resolve", lambda name: tmp_path)
    config = replace(plan.configs["off"], adapter="absent")
    with pytest.raises(ModelLoadError, match="absent"):
        runner.generate(replace(plan, configs={"plain-off": config}))


def test_the_best_of_several_candidates_counts(plan: Plan) -> None:
    sampled = replace(plan.configs["off"], sampling=replace(plan.configs["off"].sampling, candidates=8))
    tasks = [task for task in plan.tasks["tiny"] if task.qualname == "Desk.available"]
    [record] = made(replace(plan, tasks={"tiny": tasks}, configs={"off": sampled}), ScriptedModel(preferences))
    assert "invented_here" not in record.text  # which is the most likely, and has an unknown member


def test_several_candidates_cost_what_all_of_them_cost(plain: Plan) -> None:
    task = next(task for task in plain.tasks["tiny"] if task.qualname == "typical_debt")  # the model knows one body
    one = replace(plain, tasks={"tiny": [task]})
    four = replace(plain.configs["off"], sampling=replace(plain.configs["off"].sampling, candidates=4))
    [alone] = made(one, ScriptedModel(preferences))
    [best] = made(replace(one, configs={"off": four}), ScriptedModel(preferences))
    assert best.text == alone.text
    assert best.stats["generated_tokens"] == 4 * alone.stats["generated_tokens"]


def test_the_true_body_is_hidden_while_a_task_is_generated(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    stream = service.Session.stream

    def spying(self, site, file):  # type: ignore[no-untyped-def]
        seen.append((self.root / file.path).read_text())
        assert self.index.definitions(["statistics"]) == []
        return stream(self, site, file)

    monkeypatch.setattr(service.Session, "stream", spying)
    task = next(task for task in plan.tasks["tiny"] if task.qualname == "typical_debt")
    made(replace(plan, tasks={"tiny": [task]}), ScriptedModel(preferences))
    assert len(seen) == 2
    assert not any("statistics" in text for text in seen)


def test_tasks_are_drawn_evenly(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "a.py").write_text("def f():\n    'd'\n    a = 1\n    return a\n")
    roots = {"small": small, "tiny": TINY}
    drawn = draw_tasks(roots, 6, None, 0)
    assert {name: len(tasks) for name, tasks in drawn.items()} == {"small": 1, "tiny": 5}
    assert {name: len(tasks) for name, tasks in draw_tasks(roots, 6, 3, 0).items()} == {"small": 1, "tiny": 3}
    assert draw_tasks(roots, 6, None, 0) == drawn
