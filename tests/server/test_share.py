"""``memberwise serve --share``: windows share the model and nothing else, behind a socket that only its owner can reach."""

from __future__ import annotations

import gc
import stat
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from generation.config import GeneratorConfig
from generation.evaluation.server_process import ServerProcess, inline
from generation.interfaces import silent
from lsp_server.share import SharedModels
from tests.decoding.scripted import ScriptedModel
from tests.server.client import SCRIPTED, gone
from tests.server.conftest import BASKET, place

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no local sockets")
INLINE = "textDocument/inlineCompletion"
MARKED = f"{BASKET}    def total(self):\n        $0\n"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in hosts(tmp_path):
        process.kill()


def window(runtime: Path) -> ServerProcess:
    return ServerProcess(["--share", "--model-from", SCRIPTED], {"XDG_RUNTIME_DIR": str(runtime)})


def hosts(runtime: Path) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if "--share-host" in (line := p.info["cmdline"] or []) and str(runtime) in " ".join(line)
    ]


def ends_within(process: psutil.Process, seconds: float) -> bool:
    until_s = time.monotonic() + seconds
    while not gone([process]) and time.monotonic() < until_s:
        time.sleep(0.1)
    return gone([process])


def completes(server: ServerProcess, uri: str) -> None:
    line, character = place(server, uri, MARKED)
    (item,) = server.result(INLINE, inline(uri, line, character))["items"]
    assert item["insertText"] == "return self.price_of(self.count)"


def test_two_windows_share_a_host_and_survive_each_other(runtime: Path, repository: Path, uri: str) -> None:
    with window(runtime) as first:
        first.initialize(repository, options={"debounceMs": 0})
        completes(first, uri)
        with window(runtime) as second:
            second.initialize(repository, options={"debounceMs": 0})
            completes(second, uri)
            (host,) = hosts(runtime)
            (path,) = (runtime / "memberwise").glob("*.sock")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            line, character = place(second, f"{uri}slow", f"{BASKET}    def slow(self):\n        $0\n")
            second.start(INLINE, inline(f"{uri}slow", line, character))
        completes(first, f"{uri}again")  # the other was killed in the middle of a generation
        first.ask("shutdown", None)
        first.notify("exit", None)
        assert first.process.wait(5) == 0
    assert ends_within(host, 30.0)
    assert not path.exists()


def test_a_model_is_held_once_and_while_a_window_has_it() -> None:
    loaded: list[str] = []

    def load(config: GeneratorConfig, *_: object) -> ScriptedModel:
        loaded.append(config.model)
        return ScriptedModel(lambda text: {"": 1.0})

    models = SharedModels(load)
    asked = [GeneratorConfig(model=name).with_preset(preset) for name, preset in (("a", "off"), ("a", "dot"))]
    first, second = (models.load(config, silent, print) for config in asked)
    assert first is second
    gone = weakref.ref(first)
    del first, second
    other = models.load(replace(asked[0], model="b"), silent, print)
    gc.collect()
    assert gone() is None
    assert models.load(replace(asked[1], model="b"), silent, print) is other
    assert loaded == ["a", "b"]


def test_a_window_whose_host_was_killed_ends_and_the_next_starts_another(
    runtime: Path, repository: Path, uri: str
) -> None:
    with window(runtime) as first:
        first.initialize(repository, ready=False)
        (host,) = hosts(runtime)
        host.kill()
        assert first.process.wait(5) == 1
    with window(runtime) as second:
        second.initialize(repository, options={"debounceMs": 0})
        completes(second, uri)


def test_a_folder_that_others_may_enter_is_refused(runtime: Path) -> None:
    folder = runtime / "memberwise"
    folder.mkdir()
    folder.chmod(0o755)
    started_s = time.monotonic()
    command = [sys.executable, "-m", "generation.cli.main", "serve", "--share"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={"XDG_RUNTIME_DIR": str(runtime)}, check=False
    )
    assert done.returncode == 2
    assert "only you may enter" in done.stderr
    assert time.monotonic() - started_s < 20
