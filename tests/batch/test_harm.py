"""What goes wrong in a night: hanging tools, poisoned files. The rest goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generation.batch.records import Status
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.config import GeneratorConfig
from generation.evaluation.bare_python import measured_tool
from generation.tools import worker_pool
from tests.batch.test_run import SHOP, preferences
from tests.decoding.scripted import ScriptedModel


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "basket.py").write_text(SHOP)
    return folder


def plan_of(root: Path, out: Path) -> BatchPlan:
    config = GeneratorConfig(tool=measured_tool(), max_tokens=80).with_preset("dot")
    targets, unreadable = find_targets("shop", root, Select.STUBS)
    return BatchPlan({"shop": root}, {"shop": targets}, config, out, unreadable=unreadable)


def test_a_tool_that_hangs_costs_its_deadline_and_nothing_else(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time\ntime.sleep(1000)\n")
    monkeypatch.setattr(worker_pool, "WORKER", hanging)
    plan = plan_of(root, tmp_path / "out")
    tool = replace(plan.config.tool, deadline_s=0.2, kill_after_s=0.5)
    records = run(replace(plan, config=replace(plan.config, tool=tool)), lambda _: ScriptedModel(preferences))
    found = {record.function: record for record in records}
    assert found["Basket.total"].status is Status.DONE
    assert {call["error"] for call in found["Basket.total"].calls} <= {"timeout", "crash", "3 crashes in a row"}
    assert found["Basket.total"].calls


def test_poisoned_files_are_a_record_each_and_the_rest_is_filled(root: Path, tmp_path: Path) -> None:
    (root / "long.py").write_text("x = '" + 20_000_000 * "a" + "'\n\ndef f():\n    pass\n")
    (root / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000 + "\ndef f():\n    pass\n")
    (root / "null.py").write_bytes(b"def f():\n    pass\x00\n")
    (root / "one.py").write_text("from two import second\n\ndef first():\n    return second()\n")
    (root / "two.py").write_text('from one import first\n\ndef second():\n    """Ask first."""\n')
    (root / "loop").symlink_to(root)
    records = run(plan_of(root, tmp_path / "out"), lambda _: ScriptedModel(preferences))
    by_path: dict[str, list[Status]] = {}
    for record in records:
        by_path.setdefault(record.path, []).append(record.status)
        assert record.error or record.status is Status.DONE
    assert by_path["long.py"] == [Status.FAILED]
    assert by_path["basket.py"].count(Status.DONE) == 3
    assert by_path["two.py"] == [Status.DONE]
    assert set(by_path) <= {"long.py", "deep.py", "null.py", "two.py", "basket.py"}
