"""A run over a small repository with a model that writes what the test says, and the real tool."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from generation.batch import tree
from generation.batch.fill import FillOptions
from generation.batch.page import as_html
from generation.batch.records import BatchRecord, Status
from generation.batch.results import outcome_of
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.cache import cache_root
from generation.config import GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation.bare_python import measured_tool
from generation.ledger import read_lines
from tests.decoding.scripted import ScriptedModel

SHOP = '''"""A shop."""


class Basket:
    """What is bought."""

    def __init__(self, items: list[int]) -> None:
        """Keep the items."""

    def total(self) -> int:
        """Sum of the items."""

    def lost(self) -> int:
        """Nobody knows."""


def describe(basket: Basket) -> str:
    """Say what ``total`` says."""
    ...
'''
LONG = "".join(random.Random(0).choices(string.ascii_letters, k=5000))  # nothing to ask for in it, and nothing to guess
BODIES = {
    "__init__": ["        self.items = items\n"],
    "total": ["        return sum(self.items)\n", "        return sum(self.itemz)\n"],
    "lost": ["        return " + 200 * "("],
    "describe": ["    return str(basket.total())\n"],
    "broken": ["    nonlocal nobody\n    return 1\n"],
    "long": [f"    return '{LONG}'\n"],
    **{f"describe_{n}": [f"    return str({n})\n"] for n in range(12)},
}


def preferences(text: str) -> dict[str, float]:
    """The body of the last function of the prompt, the first of its list by far; then it ends."""
    header = text.rpartition("def ")[2]
    written = header.rpartition('"""\n')[2]
    found: dict[str, float] = {}
    for weight, body in zip((1.0, 0.1), BODIES.get(header.partition("(")[0], []), strict=False):
        if body.startswith(written):
            rest = body[len(written) :]
            found[rest[:1]] = found.get(rest[:1], 0.0) + weight
    return found or {"": 1.0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = cache_root() / "kernels"  # are compiled once for all tests
    kernels.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernels").symlink_to(kernels)
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "basket.py").write_text(SHOP)
    return folder


@pytest.fixture
def plan(root: Path, tmp_path: Path) -> BatchPlan:
    config = GeneratorConfig(tool=measured_tool(), max_tokens=80).with_preset("dot")
    targets, _ = find_targets("shop", root, Select.STUBS)
    return BatchPlan({"shop": root}, {"shop": targets}, config, tmp_path / "out", FillOptions(retries=0))


def fill(plan: BatchPlan, **told: Callable[..., None]) -> dict[str, BatchRecord]:
    records = run(plan, lambda config: ScriptedModel(preferences), **told)
    return {record.function: record for record in records}


def test_bodies_are_written_with_earlier_ones_in_sight_and_the_patch_applies(plan: BatchPlan, root: Path) -> None:
    found = fill(plan)
    assert {name: record.status for name, record in found.items()} == {
        "Basket.__init__": Status.DONE,
        "Basket.total": Status.DONE,
        "Basket.lost": Status.FAILED,
        "describe": Status.DONE,
    }
    assert found["Basket.total"].text == "        return sum(self.items)\n"  # __init__ was written before
    assert not any(record.problems for record in found.values())
    assert "nothing was generated" in (found["Basket.lost"].error or "")
    assert (root / "basket.py").read_text() == SHOP

    outcome = outcome_of(plan, "shop", list(found.values()))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "apply"], input=tree.patch(outcome.changed, root), cwd=root, check=True)
    text = (root / "basket.py").read_text()
    assert all(record.text in text for record in found.values())
    assert text.count("return") == 2  # those of total and describe
    assert "..." not in text
    assert "sum(self.items)" in outcome.diffs[found["Basket.total"].key]


def test_what_is_wrong_is_found_and_tried_again(plan: BatchPlan) -> None:
    options = replace(plan.options, retries=3, test_command=f"{sys.executable} -c 'import basket; basket.nothing'")
    found = fill(replace(plan, options=options))
    record = found["Basket.total"]
    assert record.attempts == 4
    assert "has no attribute 'nothing'" in (record.test_failed or "")
    assert record.status is Status.DONE
    page = as_html(list(found.values()), {}, "a <title>")
    assert "a &lt;title&gt;" in page
    assert page.index("Basket.lost") < page.index("Basket.total")  # doubtful ones first


@pytest.mark.parametrize(
    ("command", "limit_s"), [("(echo $$ > PID; sleep 60); true", 3.0), ("sleep 60 & echo $! > PID", 60.0)]
)
def test_a_test_command_leaves_nothing_it_started(
    plan: BatchPlan, tmp_path: Path, command: str, limit_s: float
) -> None:
    pid = tmp_path / "pid"
    command = f"({command}) > /dev/null 2>&1".replace("PID", str(pid))
    options = replace(plan.options, retries=0, test_command=command, test_limit_s=limit_s)
    targets = {"shop": [target for target in plan.targets["shop"] if target.function == "Basket.__init__"]}
    found = fill(replace(plan, targets=targets, options=options))
    failed = "the test command took over 3 s" if limit_s < 60 else None
    assert found["Basket.__init__"].test_failed == failed
    until = time.monotonic() + 10
    while _runs(int(pid.read_text())) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(int(pid.read_text()))


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_body_that_breaks_its_file_is_no_body(plan: BatchPlan, root: Path) -> None:
    (root / "basket.py").write_text('def broken() -> int:\n    """Not here."""\n')
    found = fill(replace(plan, targets={"shop": find_targets("shop", root, Select.STUBS)[0]}))
    assert found["broken"].status is Status.FAILED
    assert "the body would break the file: no binding for nonlocal" in (found["broken"].error or "")
    assert not outcome_of(plan, "shop", list(found.values())).changed


def test_the_folder_of_a_run_may_lie_in_the_repository_and_what_cannot_be_copied_is_left_out(
    plan: BatchPlan, root: Path
) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        with tree.open_tree(root, root / "run", tested=True) as copies:
            assert copies.root.is_relative_to(root / "run" / "work")
            assert copies.trial is not None
            for copy in (copies.root, copies.trial):
                assert [path.name for path in copy.iterdir()] == ["basket.py"]
    assert not list((root / "run").rglob("basket.py"))


def test_copies_that_a_killed_process_left_are_removed_and_no_others(plan: BatchPlan, root: Path) -> None:
    fill(plan)
    (plan.out / "work" / "tree-left" / "copy").mkdir(parents=True)
    with tree.open_tree(root, plan.out) as copies:
        fill(plan)  # there is nothing to do
        assert copies.root.is_dir()
        assert len(list((plan.out / "work").glob("tree-*"))) == 1
    assert not list((plan.out / "work").glob("tree-*"))


def test_a_repository_that_cannot_be_copied_says_why(root: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with (
            pytest.raises(ConfigError, match=f"cannot copy {root}: .*File too large.* make room in {tmp_path / 'out'}"),
            tree.open_tree(root, tmp_path / "out"),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "out" / "work").glob("tree-*"))


def test_the_environment_of_the_repository_is_known_in_its_copy(plan: BatchPlan, root: Path) -> None:
    venv.create(root / ".venv", symlinks=True)
    python = root / ".venv" / "bin" / "python"
    config = replace(plan.config, tool=replace(plan.config.tool, python=None))
    assert replace(plan, config=config).config_in("shop").tool.python == python
    untrusted = replace(config, tool=replace(config.tool, trusted=False))
    assert replace(plan, config=untrusted).config_in("shop").tool.python is None
    unpacked = replace(plan, config=config, out=root.parent)
    assert unpacked.config_in("shop").tool.python is None, "what comes with an archive is not run"


def test_a_second_run_makes_nothing_again(plan: BatchPlan) -> None:
    first = fill(plan)
    made: list[BatchRecord] = []
    skipped: list[int] = []
    assert fill(plan, done=made.append, skipped=skipped.append) == first
    assert not made
    other = replace(plan, options=replace(plan.options, limit_s=60.0))
    fill(other, done=made.append, skipped=skipped.append)
    assert len(made) == 4  # other settings are another run
    assert set(skipped) == {0}


def test_a_file_that_changed_meanwhile_keeps_what_was_written(plan: BatchPlan, root: Path) -> None:
    records = list(fill(plan).values())
    text = SHOP.replace('"""Sum of the items."""', '"""Sum of the items."""\n        return 7')
    (root / "basket.py").write_text(text)
    outcome = outcome_of(plan, "shop", records)
    assert list(outcome.misfits) == [record.key for record in records if record.function == "Basket.total"]
    assert not tree.write(outcome.changed)
    assert "return 7" in (root / "basket.py").read_text()
    assert "return str(basket.total())" in (root / "basket.py").read_text()
    (root / "basket.py").unlink()
    assert len(outcome_of(plan, "shop", records).misfits) == 3


SCRIPT = """
import sys
import time
from pathlib import Path
from generation.batch.fill import FillOptions
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.config import GeneratorConfig
from generation.evaluation.bare_python import measured_tool
from tests.batch.test_run import preferences
from tests.decoding.scripted import ScriptedModel

root, out = map(Path, sys.argv[1:])
config = GeneratorConfig(tool=measured_tool()).with_preset("dot")
plan = BatchPlan({"shop": root}, {"shop": find_targets("shop", root, Select.STUBS)[0]}, config, out, FillOptions(0))
run(plan, lambda config: ScriptedModel(lambda text: time.sleep(0.01) or preferences(text)))
"""


def test_runs_that_are_killed_lose_nothing_and_repeat_nothing(plan: BatchPlan, root: Path, tmp_path: Path) -> None:
    many = "".join(f'\n\ndef describe_{n}(basket: Basket) -> str:\n    """It is number {n}."""\n' for n in range(9))
    (root / "basket.py").write_text(SHOP + many)
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, str(root), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    drawn = random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        before = _count(out)
        _wait_for(lambda before=before: _count(out) > before)
        time.sleep(drawn.random() * 0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert _count(out) < 13
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    keys = [(line["path"], line["function"]) for line in read_lines(out / "records.jsonl")[0]]
    assert len(keys) == len(set(keys)) == 13
    assert not list((out / "work").glob("tree-*"))  # those of the killed ones neither


COMMAND = """
import sys
import time
from generation import service
from generation.cli.main import main
from tests.batch.test_run import preferences
from tests.decoding.scripted import ScriptedModel

def slow(text):
    print("writing", file=sys.stderr, flush=True)
    time.sleep(0.1)
    return preferences(text)

service.load_model = lambda config: ScriptedModel(slow)
sys.exit(main(sys.argv[1:]))
"""


def _killed_while_writing(command: list[str], root: Path, tmp_path: Path, number: int) -> int:
    """The exit code of a command that is sent a signal while a function that takes minutes is written."""
    (root / "basket.py").write_text('def long() -> int:\n    """Takes minutes."""\n')
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "config.json").write_text("{}")
    out = tmp_path / "out"
    words = ["batch", str(root), "--out", str(out), "--model", str(model), "--max-tokens", "4096"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([*command, *words], env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line == "writing\n" for line in process.stderr), "it ended before it wrote"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)  # until nobody holds the pipe
    assert errors.endswith("memberwise: interrupted\n")
    assert errors.count("writing\n") < 100
    assert _count(out) == 0
    assert not list((out / "work").glob("tree-*"))
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_for_no_function_and_leaves_no_copy(root: Path, tmp_path: Path, number: int) -> None:
    assert _killed_while_writing([sys.executable, "-c", COMMAND], root, tmp_path, number) == 130


MAIN = "import os, subprocess, sys; subprocess.run([*sys.argv[1:], '--helper-of', str(os.getpid())])"


def test_the_other_processes_of_a_run_end_with_the_one_that_started_them(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, sys.executable, "-c", COMMAND]
    assert _killed_while_writing(command, root, tmp_path, signal.SIGKILL) == -signal.SIGKILL


def test_a_full_disk_ends_the_run_and_loses_nothing(plan: BatchPlan, root: Path, tmp_path: Path) -> None:
    """A limit of the process on the size of files is as good: the write fails in the middle of a line."""
    out = tmp_path / "full"
    full = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, resource.RLIM_INFINITY))\n"
    )
    command = [sys.executable, "-c", SCRIPT, str(root), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    whole = subprocess.run(command, env=environment, timeout=100, check=True, capture_output=True)
    assert whole.returncode == 0
    records = (out / "records.jsonl").read_bytes()
    size = records.index(b"\n") + 200  # the second record does not fit
    shutil.rmtree(out)
    limited = [sys.executable, "-c", full.replace("BYTES", str(size)) + SCRIPT, str(root), str(out)]
    done = subprocess.run(limited, env=environment, timeout=100, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"cannot write to {out / 'records.jsonl'}" in done.stderr
    assert "make room, what is there is kept" in done.stderr
    assert _count(out) == 1
    subprocess.run(command, env=environment, timeout=100, check=True, capture_output=True)
    keys = [(line["path"], line["function"]) for line in read_lines(out / "records.jsonl")[0]]
    assert len(keys) == len(set(keys)) == records.count(b"\n")


def _count(out: Path) -> int:
    return len(read_lines(out / "records.jsonl")[0])


def _wait_for(holds: Callable[[], bool], limit_s: float = 60.0) -> None:
    until_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.02)
