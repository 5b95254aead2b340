"""A scripted model behind the real routes of a replica, without Ray, and clients that ask it over a real connection."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from generation import models, service
from generation.config import PRESETS, GeneratorConfig, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.remote import client
from generation.remote.client import RemoteGenerator, RemoteModel
from generation.remote.wire import Failed, unpack
from generation.serving import replica
from generation.serving.app import Counts, Service
from generation.serving.web import _routes
from generation.types import Finished, GenerationEvent, GenerationRequest, ImportNeeded, Suggestion, SuggestionSource
from tests.decoding.generating import PROMPT, TableTool, text_of
from tests.decoding.scripted import ByteTokenizer, ScriptedModel, writes

pytestmark = pytest.mark.filterwarnings("ignore")
BODY = "    return json.dumps(self)\n"
JSON = Suggestion("json", "module", SuggestionSource.IMPORT, ImportNeeded("json"))
REQUEST = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ")
SAMPLING = SamplingConfig()


class Model(ScriptedModel):
    def __init__(self) -> None:
        super().__init__(writes(PROMPT, (BODY, 1)))

    def shared(self) -> Model:
        return self


class Server:
    """Clients and what they were told."""

    def __init__(self, url: str, model: Model) -> None:
        self.url, self.model = url, model
        self.told: list[str] = []
        self.tool = TableTool(attributes=["dumps"], importable={"json": JSON})
        self.remote = RemoteModel(url, lambda *_: ByteTokenizer(), Model, lambda: "", self.told.append)

    def events(self, request: GenerationRequest, sampling: SamplingConfig = SAMPLING) -> list[GenerationEvent]:
        local = Generator(Model(), self.tool, None, PRESETS["dot"], sampling)
        return list(RemoteGenerator(self.remote, self.tool, PRESETS["dot"], sampling, lambda: local).stream(request))

    def count(self, name: str) -> str:
        known = urllib.request.Request(f"{self.url}/metrics", headers={"Authorization": "Bearer t"})
        with urllib.request.urlopen(known, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return next(line.split()[-1] for line in lines if line.startswith(f"memberwise_{name}"))


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Server]]:
    """Start a server that writes so many texts at a time."""
    monkeypatch.setenv("MEMBERWISE_TOKEN", "t")
    monkeypatch.setattr(client, "cache_root", lambda: tmp_path)
    model, counts = Model(), Counts()
    monkeypatch.setattr(service, "load_model", lambda _: model)
    monkeypatch.setattr(models, "resolve", lambda _: tmp_path)  # it has no tokenizer's files

    async def text() -> str:
        return counts.text()

    actor = SimpleNamespace(add=SimpleNamespace(remote=counts.add), text=SimpleNamespace(remote=text))
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(together: int) -> Server:
        routes = _routes(Service(GeneratorConfig(), "t", together=together), actor)
        server = uvicorn.Server(uvicorn.Config(routes, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        started.append((server, thread))
        wait_for(lambda: server.started)
        return Server(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", model)

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join()


def wait_for(done: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_questions_behind_an_import_are_those_of_the_local_model(serve: Callable[[int], Server]) -> None:
    server, tool = serve(8), TableTool(attributes=["dumps"], importable={"json": JSON})
    *_, last = server.events(REQUEST)
    *_, expected = Generator(Model(), tool, None, PRESETS["dot"], SAMPLING).stream(REQUEST)
    assert isinstance(last, Finished) and isinstance(expected, Finished)
    assert (last.text, last.imports) == (expected.text, expected.imports) == (BODY, (ImportNeeded("json"),))
    assert server.tool.queries == tool.queries
    assert server.tool.queries[-1].before.startswith(f"import json\n{PROMPT}")
    assert not server.told


@pytest.mark.parametrize(
    ("request_", "sampling", "why"),
    [
        (replace(REQUEST, max_tokens=2000), SAMPLING, "max_tokens: 2000; this server takes from 0 to 1024"),
        (REQUEST, SamplingConfig(temperature=1.0, top_p=0.0), "top_p: 0.0; this server takes from 0.001 to 1.0"),
    ],
)
def test_what_is_refused_is_written_here_and_the_next_text_there(
    serve: Callable[[int], Server], request_: GenerationRequest, sampling: SamplingConfig, why: str
) -> None:
    server = serve(8)
    for _ in range(2):
        assert text_of(server.events(request_, sampling)) == BODY
    assert server.told == [f"the model at {server.url} refused a text ({why}); the local model writes it"]
    assert not server.remote.is_lost
    assert not server.model.states
    assert text_of(server.events(REQUEST)) == BODY
    assert server.model.states
    assert server.count("refused_total") == "2"


def test_a_connection_that_asks_nothing_gives_its_place_back(
    serve: Callable[[int], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_REQUEST_S", 0.3)
    server = serve(1)
    with server.remote.connect() as idle:
        assert unpack(idle.recv(timeout=10)) == Failed("nothing was asked for in 0.3 s")
        wait_for(lambda: server.count("running") == "0")
        monkeypatch.setattr(replica, "_REQUEST_S", 10)
        assert text_of(server.events(REQUEST)) == BODY
    assert not server.told
