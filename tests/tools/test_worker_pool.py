"""Workers that are slow, hang, crash or grow; all of it with the real process."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from generation.config import ToolConfig
from generation.tools import worker_pool
from generation.tools.worker_pool import Answer, WorkerPool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stops processes by signal")

Start = Callable[[ToolConfig], WorkerPool]
SOON_S = 20.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    pools: list[WorkerPool] = []

    def start_pool(config: ToolConfig) -> WorkerPool:
        pools.append(WorkerPool(tmp_path, None, config))
        return pools[-1]

    yield start_pool
    for pool in pools:
        pool.close()


def question(tmp_path: Path, text: str = "import os\nos.mw_\n") -> dict[str, object]:
    return {"path": str(tmp_path / "a.py"), "text": text, "line": 2, "column": 3, "kind": "attribute", "epoch": 0}


def ask(pool: WorkerPool, tmp_path: Path, timeout_s: float = SOON_S) -> Answer:
    return pool.wait(pool.submit(question(tmp_path)), timeout_s)


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_answers(start: Start, tmp_path: Path) -> None:
    answer = ask(start(ToolConfig()), tmp_path)
    assert "getcwd" in dict(answer["names"])
    nothing = dict.fromkeys(("dynamic", "open", "unresolved", "starred"), False)
    assert answer["facts"] == {"kinds": ["module"], **nothing}


def test_a_cache_file_that_a_killed_process_left_half_written_is_written_again(start: Start, tmp_path: Path) -> None:
    config = ToolConfig(cache=tmp_path / "cache", kill_after_s=90.0)
    assert "getcwd" in dict(ask(start(config), tmp_path, 90.0)["names"])
    kept = list((tmp_path / "cache").rglob("*.pkl"))
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "getcwd" in dict(ask(start(config), tmp_path, 90.0)["names"])
    assert all(file.stat().st_size for file in kept)


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our own interpreter has no packages, as with ``pip install --user``; this process finds them all the same."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    return folder


def packages_of(environment: Path) -> Path:
    (packages,) = environment.glob("lib/python*/site-packages")
    return packages


def write_jedi(folder: Path, text: str) -> None:
    (folder / "jedi").mkdir(parents=True)
    (folder / "jedi" / "__init__.py").write_text(text)


def test_jedi_is_found_where_the_isolated_interpreter_does_not_look(bare: Path, start: Start, tmp_path: Path) -> None:
    assert "getcwd" in dict(ask(start(ToolConfig()), tmp_path)["names"])
    assert "getcwd" in dict(ask(start(ToolConfig(trusted=False)), tmp_path)["names"])


def test_the_jedi_that_this_process_finds_goes_before_another(bare: Path, start: Start, tmp_path: Path) -> None:
    """A distribution's Jedi may be too old."""
    write_jedi(packages_of(bare), "__version__ = '0.18.2'\n")
    assert "getcwd" in dict(ask(start(ToolConfig()), tmp_path)["names"])


def test_packages_beside_jedi_do_not_hide_the_standard_library(
    bare: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "beside"
    write_jedi(beside, "import sys\nimport colorsys\nsys.exit(f'found beside {colorsys.__name__}')\n")
    (beside / "colorsys.py").write_text("__name__ = 'another colorsys'\n")
    monkeypatch.syspath_prepend(str(beside))
    assert ask(start(ToolConfig()), tmp_path)["error"].endswith("found beside colorsys")


@pytest.mark.parametrize(("folder", "trusted"), [(".", True), (".", False), ("inside", False)])
def test_no_jedi_of_the_repository_is_run(
    start: Start, tmp_path: Path, folder: str, trusted: bool, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jedi(tmp_path / folder, f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert "getcwd" in dict(ask(start(ToolConfig(trusted=trusted)), tmp_path)["names"])
    assert not (tmp_path / "ran").exists()


def test_a_worker_that_cannot_start_says_why(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import sys\nprint('noise', file=sys.stderr)\nimport no_such_package\n")
    monkeypatch.setattr(worker_pool, "WORKER", worker)
    caplog.set_level(logging.WARNING, logger="generation")  # which the command line, in the same process, had silenced
    why = "ModuleNotFoundError: No module named 'no_such_package'"
    pool = start(ToolConfig())
    assert ask(pool, tmp_path) == {"error": f"crash: {why}"}
    assert until(lambda: ask(pool, tmp_path) == {"error": f"3 crashes in a row: {why}"})
    assert caplog.messages == [f"Jedi does not run, and its names are missing: {why}"]


def test_late_answer_arrives_and_a_second_worker_stands_by(start: Start, tmp_path: Path) -> None:
    pool = start(ToolConfig())
    ask(pool, tmp_path)
    (first,) = pool.pids
    os.kill(first, signal.SIGSTOP)
    late = pool.submit(question(tmp_path))
    assert pool.wait(late, 0.05) == {"error": "timeout"}
    assert len(pool.pids) == 2
    assert "names" in ask(pool, tmp_path)  # the second one
    os.kill(first, signal.SIGCONT)
    assert "getcwd" in dict(late.result(SOON_S)["names"])


def test_hung_worker_is_killed_and_replaced(start: Start, tmp_path: Path) -> None:
    pool = start(ToolConfig(kill_after_s=4.0, workers=1))
    ask(pool, tmp_path)
    (first,) = pool.pids
    os.kill(first, signal.SIGSTOP)
    assert ask(pool, tmp_path) == {"error": "crash"}
    assert "names" in ask(pool, tmp_path)
    assert first not in pool.pids


def test_worker_that_is_killed_within_an_answer_is_replaced(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "import json, os, signal, sys\nfrom pathlib import Path\nbefore = Path(sys.argv[1], 'before')\n"
        "for line in sys.stdin:\n    answer = json.dumps({'id': json.loads(line)['id'], 'names': []})\n"
        "    if not before.exists():\n        before.touch()\n        os.write(1, answer[:5].encode())\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n    print(answer, flush=True)\n"
    )
    (tmp_path / "fake.py").write_text(words)
    monkeypatch.setattr(worker_pool, "WORKER", tmp_path / "fake.py")
    pool = start(ToolConfig(workers=1))
    assert ask(pool, tmp_path)["error"].startswith("crash")
    assert ask(pool, tmp_path) == {"names": []}


def test_worker_that_always_crashes_is_given_up_for_a_while(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = start(ToolConfig(workers=1))
    for _ in range(3):
        assert until(lambda: bool(pool.pids))
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        assert until(lambda pid=pid: pid not in pool.pids)  # type: ignore[misc]
    assert ask(pool, tmp_path) == {"error": "3 crashes in a row"}
    assert pool.problem == "Jedi does not run, and its names are missing"
    monkeypatch.setattr(worker_pool, "RETRY_S", 0.0)
    assert "names" in ask(pool, tmp_path)
    assert not pool.problem


def test_large_worker_is_replaced_between_questions(start: Start, tmp_path: Path) -> None:
    pool = start(ToolConfig(memory_bytes=1))
    (first,) = pool.pids
    assert "names" in ask(pool, tmp_path)
    assert until(lambda: bool(pool.pids) and first not in pool.pids)
    assert "names" in ask(pool, tmp_path)


def test_close_leaves_no_process(start: Start, tmp_path: Path) -> None:
    pool = start(ToolConfig())
    ask(pool, tmp_path)
    pids = pool.pids
    pool.close()
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert ask(pool, tmp_path) == {"error": "closed"}


def test_worker_ends_with_its_client(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom generation.config import ToolConfig\n"
        "from generation.tools.worker_pool import WorkerPool\n"
        "pool = WorkerPool(Path(sys.argv[1]), None, ToolConfig())\nprint(pool.pids[0], flush=True)\nos._exit(1)\n"
    )
    project = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, timeout=SOON_S, check=False)
    pid = int(done.stdout)
    assert until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_what_a_library_prints_does_not_reach_the_protocol(start: Start, tmp_path: Path) -> None:
    """An extension module of our own environment may print when Jedi imports it; here the interpreter does."""
    worker = Path(__file__).parents[2] / "generation" / "tools" / "worker.py"
    code = (
        f"import runpy, sys\nsys.argv = ['worker.py', {str(tmp_path)!r}]\n"
        f"names = runpy.run_path({str(worker)!r})\nreal = names['open_environment']\n"
        "def noisy(*args):\n    print('noise')\n    return real(*args)\n"
        "names['serve'].__globals__['open_environment'] = noisy\nnames['main']()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**question(tmp_path), "id": 7}) + "\n")
    process.stdin.flush()
    out = process.stdout.readline()
    _, noise = process.communicate(timeout=SOON_S)
    assert "noise" in noise
    assert json.loads(out)["id"] == 7
