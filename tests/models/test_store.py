"""Entries are whole or absent: after errors, full disks, kill -9, and with two processes at work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from generation.errors import ModelLoadError
from generation.models import store
from generation.models.manifest import FileRecord, Manifest, Provenance

# Builds the entry "tiny" in a process of its own; the argument is Python that runs in the middle of writing its file.
PROCESS = """
import sys, time
from pathlib import Path
from generation.models import store
from generation.models.manifest import FileRecord, Manifest, Provenance

def build(scratch, folder):
    print("building", flush=True)
    with (folder / "weights").open("w") as file:
        file.write("first half, ")
        file.flush()
        exec(sys.argv[1])
        file.write("second half")
    return Manifest(Provenance("tiny", "test", "", "MIT"), "Tiny", 1, 1, "F32", {"weights": FileRecord(23, "")})

print(store.add("tiny", build, lambda stage, done, total: print(stage, flush=True)))
"""


def build(scratch: Path, folder: Path) -> Manifest:
    (folder / "weights").write_text("whole")
    return Manifest(Provenance("tiny", "test", "", "MIT"), "Tiny", 1, 1, "F32", {"weights": FileRecord(5, "")})


def start(middle: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, middle]
    pipe, environment = subprocess.PIPE, os.environ | {"PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def left_over(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.name.startswith(".unfinished")]


def test_an_entry_is_built_once(cache: Path) -> None:
    path = store.add("tiny", build)
    assert path == cache / "tiny"
    assert (path / "weights").read_text() == "whole"
    assert store.add("tiny", lambda scratch, folder: pytest.fail("built again")) == path
    assert [entry.path for entry in store.entries()] == [path]
    assert left_over(cache) == []


def test_an_empty_cache() -> None:
    assert store.entries() == []
    assert store.find("tiny") is None


def test_a_failed_build_leaves_nothing(cache: Path) -> None:
    def failing(scratch: Path, folder: Path) -> Manifest:
        build(scratch, folder)
        raise ModelLoadError("wrong hash")

    with pytest.raises(ModelLoadError, match="wrong hash"):
        store.add("tiny", failing)
    assert store.find("tiny") is None
    assert left_over(cache) == []
    assert store.find(store.add("tiny", build).name)


def test_a_damaged_entry_is_built_again(cache: Path) -> None:
    path = store.add("tiny", build)
    (path / "weights").write_text("cut")
    assert store.find("tiny") is None
    assert (store.add("tiny", build) / "weights").read_text() == "whole"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_leaves_nothing_that_looks_whole(cache: Path) -> None:
    process = start("time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert store.entries() == []
    assert len(left_over(cache)) == 1
    assert (store.add("tiny", build) / "weights").read_text() == "whole"  # its lock died with it
    assert left_over(cache) == []


def test_two_processes_build_one_entry(cache: Path) -> None:
    processes = [start("time.sleep(0.5)") for _ in range(2)]
    outputs = [process.communicate(timeout=30)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(lines.count("building") for lines in outputs) == [0, 1]
    assert {lines[-1] for lines in outputs} == {str(cache / "tiny")}
    assert (cache / "tiny" / "weights").read_text() == "first half, second half"


def test_a_process_that_waits_says_so(cache: Path) -> None:
    first = start("sys.stdin.readline()")
    assert first.stdin is not None
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    told: list[str] = []

    def tell(stage: str, done: int, total: int) -> None:
        told.append(stage)
        print(file=first.stdin, flush=True)  # only now the first goes on

    store.add("tiny", build, tell)
    first.communicate(timeout=30)
    assert told == ["waiting for another process that changes the model cache"]


def test_removing(cache: Path) -> None:
    store.add("tiny", build)
    store.remove(store.entries()[0])
    assert store.entries() == []
    assert not (cache / "tiny").exists()


def test_too_little_space_is_noticed_before() -> None:
    with pytest.raises(ModelLoadError, match=r"not enough disk space in .*MB needed, .*MB free.*MEMBERWISE_CACHE"):
        store.require_space(Path.cwd(), shutil.disk_usage(Path.cwd()).total + 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_one_clear_error(cache: Path) -> None:
    def filling(scratch: Path, folder: Path) -> Manifest:
        with Path("/dev/full").open("w") as file:
            file.write("no room")
        raise AssertionError

    with pytest.raises(ModelLoadError, match="the disk is full"):
        store.add("tiny", filling)
    assert left_over(cache) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelLoadError, match=r"cannot write there .* set MEMBERWISE_CACHE"):
        store.add("tiny", build)
