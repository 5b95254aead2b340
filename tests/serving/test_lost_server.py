"""Nobody listens where the model should be: the local model writes, and the user is told, wherever that is.

Where somebody else answers, that is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from generation.errors import LostError, ModelLoadError
from generation.remote import client as remote_client
from generation.remote.client import RemoteModel
from tests.decoding.scripted import ByteTokenizer, ScriptedModel
from tests.server.client import Client

NOBODY = "remote:http://127.0.0.1:9"
TEXT = 'def double(number: int) -> int:\n    """Twice the number."""\n    ...\n'
pytestmark = [pytest.mark.model, pytest.mark.timeout(180)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(TEXT)
    return tmp_path


def generated(repository: Path, model: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "generation.cli.main", "generate", "sums.py::double", "--repo", ".", "--json"]
    done = subprocess.run([*command, "--model", model], cwd=repository, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["text"], done.stderr


def test_the_command_line_says_so(repository: Path) -> None:
    alone, nothing = generated(repository, "default")
    text, told = generated(repository, NOBODY)
    assert text == alone
    assert nothing == ""
    assert f"the model at {NOBODY.removeprefix('remote:')} cannot be reached" in told
    assert "the local model is used" in told


def test_the_language_server_shows_it(repository: Path) -> None:
    with Client(model=None) as client:
        client.initialize(repository, options={"model": NOBODY})
        (shown,) = client.notifications("window/showMessage")
        assert "cannot be reached" in shown["message"]
        assert client.result("memberwise/status", None)["kind"] == "ready"


ABOUT = {"name": "m", "weights": "w", "context_tokens": 9, "vocabulary": 258, "mark_id": None}
FOUND = b"HTTP/1.0 200 OK\r\n\r\n"


@contextmanager
def server(
    about: bytes, tokenizer: bytes = FOUND + b'{"config.json": "{}"}', earlier: Sequence[bytes] = ()
) -> Iterator[str]:
    """Something that answers so, after it gave the earlier answers."""
    waiting = list(earlier)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = tokenizer if self.path == "/v1/tokenizer" else about
            self.wfile.write(waiting.pop(0) if waiting else answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def client(url: str) -> tuple[RemoteModel, list[str]]:
    told: list[str] = []
    local = ScriptedModel(lambda text: {"": 1.0})
    return RemoteModel(url, lambda *_: ByteTokenizer(), lambda: local, lambda: "w", told.append), told


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"\xff", b'{"name": "m"}', b'{"name": 1}'])
def test_what_is_no_memberwise_server_is_an_error(answer: bytes) -> None:
    with server(FOUND + answer) as url, pytest.raises(ModelLoadError, match="is no Memberwise server"):
        client(url)
    about, tokenizer = json.dumps(ABOUT).encode(), answer.replace(b'"m"', b"2")
    with (
        server(FOUND + about, FOUND + tokenizer) as url,
        pytest.raises(ModelLoadError, match="is no Memberwise server"),
    ):
        client(url)


def test_what_does_not_even_speak_http_is_as_good_as_nobody() -> None:
    with server(b"SSH-2.0-OpenSSH\r\n") as url:
        model, told = client(url)
    assert model.is_lost
    assert "the local model is used" in told[0]


def test_a_newer_server_may_say_more_and_its_tokenizer_is_not_pulled_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path))
    with server(FOUND + json.dumps({**ABOUT, "more": 1}).encode()) as url:
        model, told = client(url)
        assert (model.name, told) == ("m", [])
        [file] = tmp_path.rglob("*.json")
        with file.open() as reading:
            client(url)
            assert file.stat().st_ino != os.fstat(reading.fileno()).st_ino
    assert list(file.parent.iterdir()) == [file]


def test_a_server_that_starts_later_is_met_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(remote_client, "_RETRY_S", 0.0)
    answers = [b"HTTP/1.0 503 Starting\r\n\r\n"] * 2
    with server(FOUND + json.dumps(ABOUT).encode(), earlier=answers) as url:
        model, told = client(url)
        assert model.name == model.local.name
        with pytest.raises(LostError, match="HTTP 503"):
            model.connect()
        with pytest.raises(LostError):  # it speaks no protocol but that of the handshake
            model.connect()
        assert (model.name, len(told)) == ("m", 1)


def test_something_else_that_answers_later_is_as_good_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_client, "_RETRY_S", 0.0)
    with server(FOUND + b"<html>", earlier=[b"HTTP/1.0 503 Starting\r\n\r\n"]) as url:
        model, _ = client(url)
        with pytest.raises(LostError, match="is no Memberwise server"):
            model.connect()
