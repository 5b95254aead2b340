"""Starting and ending: quick, honest about what is missing, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.server.client import SCRIPTED, Client, gone, inline, position
from tests.server.conftest import BASKET, place

INLINE = "textDocument/inlineCompletion"


def test_initialize_announces_what_the_server_can_do(shared: Client, repository: Path) -> None:
    with Client() as client:
        found = client.initialize(repository, ready=False)
        capabilities = found["capabilities"]
        assert capabilities["inlineCompletionProvider"] == {}  # pygls announces it only with options
        assert capabilities["positionEncoding"] == "utf-16"
        assert capabilities["textDocumentSync"]["change"] == 2
        assert set(capabilities["executeCommandProvider"]["commands"]) == {
            "memberwise.acceptCompletion",
            "memberwise.generateBody",
        }
        for provider in ("hoverProvider", "codeLensProvider", "codeActionProvider", "completionProvider"):
            assert capabilities[provider]
        assert capabilities["diagnosticProvider"]["identifier"] == "memberwise"


def test_before_the_model_is_there_answers_are_empty_at_once_and_say_why(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"model": "slow to load"}, ready=False)
        place(client, uri, f"{BASKET}    def total(self):\n        $0\n")
        started_s = time.perf_counter()
        assert client.result(INLINE, inline(uri, 15, 8)) == {"items": []}
        assert time.perf_counter() - started_s < 1
        told = client.notifications("memberwise/didChangeStatus")[-1]
        assert (told["kind"], told["busy"]) == ("loading", True)
        client.wait_ready()
        bars = [bar["value"] for bar in client.notifications("$/progress")]
        assert [bar["kind"] for bar in bars if bar["kind"] != "report"][:2] == ["begin", "end"]
        assert "loading the model" in bars[0]["message"]


def test_loading_tells_how_far_it_is(repository: Path) -> None:
    with Client() as client:
        client.initialize(repository, options={"model": "slow to load"})
        said = [status for status in client.notifications("memberwise/didChangeStatus") if status["kind"] == "loading"]
        model = [status["percent"] for status in said if status["message"].startswith("loading the model")]
        folder = [status["percent"] for status in said if status["message"] == f"reading {repository.name}"]
        assert model[:2] == [0, 50]
        assert folder[0] == 0
        assert folder[-1] == 100
        assert folder == sorted(folder)
        bars = [bar["value"] for bar in client.notifications("$/progress")]
        assert next(bar["percentage"] for bar in bars if bar["kind"] == "report") == 50
        assert client.result("memberwise/status", None)["percent"] is None


def test_a_model_that_cannot_be_loaded_is_an_error_told_once(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"model": "missing"}, ready=False)
        client.until(lambda: client.notifications("window/showMessage"), what="a message")
        (shown,) = client.notifications("window/showMessage")
        assert "memberwise model list" in shown["message"]
        place(client, uri, "x = $0")
        assert client.result(INLINE, inline(uri, 0, 4)) == {"items": []}
        assert client.result("memberwise/status", None)["kind"] == "error"
        client.configuration = {"model": "default"}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        client.wait_ready()
        assert client.notifications("window/showMessage") == [shown]


def test_bad_settings_are_one_visible_warning(repository: Path) -> None:
    with Client() as client:
        client.configuration = {"lineTokens": "many", "trigger": "always", "blockTokens": 9}
        client.initialize(repository, ready=False)
        client.until(lambda: client.notifications("window/showMessage"), what="a message")
        (shown,) = client.notifications("window/showMessage")
        assert shown["type"] == 2
        assert "memberwise.lineTokens" in shown["message"]
        assert "memberwise.trigger" in shown["message"]
        client.wait_ready()
        assert client.notifications("window/showMessage") == [shown]


def children(client: Client) -> list[psutil.Process]:
    return psutil.Process(client.process.pid).children(recursive=True)


def generating(client: Client, repository: Path, uri: str) -> list[psutil.Process]:
    """The tool processes of a server that is in the middle of a generation."""
    client.initialize(repository)
    line, character = place(client, uri, f"{BASKET}    def slow(self):\n        $0\n")
    client.start(INLINE, inline(uri, line, character))
    client.until(lambda: children(client), what="a tool process")
    return children(client)


@pytest.mark.parametrize("way", ["exit", "shutdown and exit", "end of input", "terminated"])
def test_it_ends_within_two_seconds_and_leaves_no_process(repository: Path, uri: str, way: str) -> None:
    with Client() as client:
        workers = generating(client, repository, uri)
        started_s = time.perf_counter()
        if way == "shutdown and exit":
            assert client.ask("shutdown", None)["result"] is None
            assert client.ask(INLINE, inline(uri, 0, 0))["error"]["code"] == -32600
        if way.endswith("exit"):
            client.notify("exit", None)
        elif way == "terminated":
            client.process.send_signal(signal.SIGTERM)
        else:
            assert client.process.stdin
            client.process.stdin.close()
        code = client.process.wait(5)
        assert time.perf_counter() - started_s < 2
        assert code == (0 if way in ("shutdown and exit", "terminated") else 1)
        assert gone(workers)


def test_a_server_that_is_killed_leaves_no_process(repository: Path, uri: str) -> None:
    with Client() as client:
        workers = generating(client, repository, uri)
        client.process.kill()
        psutil.wait_procs(workers, timeout=10)
        assert gone(workers)


def test_a_server_that_is_killed_leaves_no_folder(repository: Path, tmp_path: Path) -> None:
    with Client(env={"TMPDIR": str(tmp_path)}) as client:
        client.initialize(repository)
        client.open("untitled:1", "x = 1\n")
        client.result("textDocument/codeLens", {"textDocument": {"uri": "untitled:1"}})
        client.process.kill()
        client.process.wait()
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_its_parent_dies(tmp_path: Path) -> None:
    """A parent that keeps the pipes open elsewhere, so that only its death can tell."""
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'generation.cli.main', 'serve', '--model-from', {SCRIPTED!r}])\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    reading, writing = os.pipe()
    log = (tmp_path / "log").open("wb")
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=reading, stdout=subprocess.PIPE, stderr=log)
    try:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":null,"capabilities":{}}}'
        os.write(writing, b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        server = psutil.Process(pid)
        assert b"Content-Length" in parent.stdout.readline()
        started_s = time.perf_counter()
        parent.kill()
        parent.wait()
        ends_s = started_s + 2
        while not gone([server]):
            assert time.perf_counter() < ends_s
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()
        os.close(reading)
        os.close(writing)
        parent.stdout.close()
        log.close()


def test_it_ends_when_the_client_that_was_named_dies() -> None:
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Client() as client:
        client.initialize(ready=False, processId=editor.pid)
        editor.kill()
        editor.wait()
        assert editor.stdin
        editor.stdin.close()
        assert client.process.wait(15) == 0  # it is importing torch meanwhile


def test_nothing_but_the_protocol_is_written_to_stdout_and_no_code_to_the_log(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"debounceMs": 0})
        secret = "secret_word_of_the_user"
        place(client, uri, f"{secret} = 1\n{BASKET}    def broken(self):\n        $0\n")
        assert client.ask(INLINE, inline(uri, 16, 8))["error"]["code"] == -32603
        client.send({"id": 99, "method": INLINE, "params": {"textDocument": secret, "position": position(0, 0)}})
        assert client.answer(99)["error"]["code"] == -32602
        client.notify("textDocument/didChange", {"textDocument": secret})
        client.result("memberwise/status", None)
        client.notify("exit", None)
        client.process.wait(5)
        assert secret not in client.errors()
