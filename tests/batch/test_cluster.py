"""A run on a real cluster of two nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import os
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from generation.batch.cluster import Cluster, Filler, pack, run_on_ray
from generation.batch.fill import FillOptions
from generation.batch.records import BatchRecord, Status
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.config import GeneratorConfig
from generation.evaluation.bare_python import measured_tool
from generation.ledger import read_lines
from tests.batch.test_run import BODIES, SHOP, preferences
from tests.decoding.scripted import ScriptedModel

MANY = "".join(f'\n\ndef describe_{n}(basket: Basket) -> str:\n    """It is number {n}."""\n' for n in range(12))


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def slow_model(_: GeneratorConfig) -> ScriptedModel:
    return ScriptedModel(lambda text: time.sleep(0.02) or preferences(text))


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_loses_nothing_and_repeats_nothing(two_nodes: Any, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "basket.py").write_text(SHOP + MANY)
    config = GeneratorConfig(tool=measured_tool(), max_tokens=80).with_preset("dot")
    targets, _ = find_targets("shop", root, Select.STUBS)
    options = FillOptions(retries=0)
    plan = BatchPlan({"shop": root}, {"shop": targets}, config, tmp_path / "out", options)
    second = two_nodes.add_node(num_cpus=1)
    made: list[BatchRecord] = []

    def killing(record: BatchRecord) -> None:
        made.append(record)
        if len(made) == 3:
            two_nodes.remove_node(second, allow_graceful=False)

    found = run_on_ray(plan, Cluster(two_nodes.address, workers=2), slow_model, done=killing)
    keys = [tuple(line[part] for part in ("path", "function")) for line in read_lines(plan.out / "records.jsonl")[0]]
    assert len(keys) == len(set(keys)) == len(made) == len(found) == len(targets) == 16
    local = run(BatchPlan({"shop": root}, {"shop": targets}, config, tmp_path / "alone", options), slow_model)
    assert [(one.function, one.status, one.text) for one in found] == [
        (one.function, one.status, one.text) for one in local
    ]
    assert sum(one.status is Status.DONE for one in found) > 3
    again: list[BatchRecord] = []
    assert run_on_ray(plan, Cluster(two_nodes.address, workers=1), slow_model, done=again.append) == found
    assert not again


def test_a_worker_knows_the_environment_of_a_repository_where_its_machine_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "shop"
    venv.create(root / ".venv", symlinks=True)
    packages = next(root.glob(".venv/lib/python*/site-packages"))
    (packages / "till.py").write_text("def coins() -> int:\n    return 1\n")
    (root / "basket.py").write_text('import till\n\n\ndef change() -> int:\n    """In coins."""\n')
    config = GeneratorConfig(max_tokens=20).with_preset("dot")
    targets, _ = find_targets("shop", root, Select.STUBS)
    plan = BatchPlan({"shop": root}, {"shop": targets}, config, tmp_path / "out", FillOptions(retries=0))
    monkeypatch.setitem(BODIES, "change", ["    return till.money()\n", "    return till.coins()\n"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with closing(Filler(plan, lambda _: ScriptedModel(preferences))) as filler:
        assert "till.coins" in filler.fill(targets[0], pack(root, plan.out), ()).text
    assert not list((tmp_path / "temporary").iterdir())


def test_an_archive_leaves_out_what_is_no_source(tmp_path: Path) -> None:
    import io
    import tarfile

    os.mkfifo(tmp_path / "fifo")
    for name in ("a.py", ".git/x", "__pycache__/a.pyc", "pkg/b.py", "run/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path, tmp_path / "run"))) as archive:
        assert sorted(entry.name for entry in archive if not entry.isdir()) == ["a.py", "pkg/b.py"]
