"""A real server with two replicas of the default model, and clients that use it, lose it and are refused."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from generation import service
from generation.cli.serve_model import token_in
from generation.config import GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation.bare_python import measured_tool
from generation.remote.client import RemoteModel
from generation.serving.app import Service, deploy
from generation.source.files import read_source
from generation.source.functions import find_function
from generation.types import Finished, TextDelta, ToolCalled
from tests.batch.test_together import SHOP

TOKEN = "a-token-of-the-test"
FUNCTIONS = ["Basket.total_cents", "Basket.names", "first_letters", "parse"]
pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    import ray
    from ray import serve

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("MEMBERWISE_TOKEN", TOKEN)
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        config = GeneratorConfig(threads=1).with_preset("dot")
        weights = service.weights_hash(config)
        yield deploy(Service(config, TOKEN, port=port, replicas=2, together=2, cpus=1, weights=weights))
        serve.shutdown()
        ray.shutdown()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "basket.py").write_text(SHOP)
    return folder


def config(model: str = "default") -> GeneratorConfig:
    return GeneratorConfig(model=model, tool=measured_tool(), max_tokens=48).with_preset("dot")


def written(session: service.Session, root: Path, name: str) -> tuple[str, list[str | None], str]:
    """What is shown, which names were chosen, and the result."""
    file = read_source(root / "basket.py")
    events = list(session.stream(find_function(file.text, name), file))
    assert isinstance(events[-1], Finished)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    chosen = [event.chosen.name if event.chosen else None for event in events if isinstance(event, ToolCalled)]
    return shown, chosen, events[-1].text


@pytest.fixture(scope="module")
def alone(root: Path) -> dict[str, tuple[str, list[str | None], str]]:
    with service.build_generator(config(), root) as session:
        return {name: written(session, root, name) for name in FUNCTIONS}


def get(url: str, token: str | None = TOKEN) -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.read().decode()


def test_the_text_is_that_of_the_local_model(url: str, root: Path, alone: dict[str, object]) -> None:
    told: list[str] = []
    model = service.load_model(config(f"remote:{url}"))
    assert isinstance(model, RemoteModel)
    model.tell = told.append
    with service.build_generator(config(f"remote:{url}"), root, model) as session, ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda name: (name, written(session, root, name)), FUNCTIONS)
        assert dict(found) == alone
    assert any(chosen for _, chosen, _ in alone.values())  # type: ignore[misc]
    assert not told
    counts = get(f"{url}/metrics")
    assert "memberwise_tool_questions_total" in counts
    lines = [line for line in counts.splitlines() if line.startswith("memberwise_generations_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in lines) >= len(FUNCTIONS)


def test_a_lost_connection_falls_back_in_the_middle_and_says_so(url: str, root: Path, alone: dict[str, object]) -> None:
    model = service.load_model(config(f"remote:{url}"))
    assert isinstance(model, RemoteModel)
    told: list[str] = []
    model.tell = told.append
    connect = model.connect

    def breaking() -> object:
        connection = connect()
        receive, count = connection.recv, iter(range(1000))

        def recv(timeout: float) -> object:
            if next(count) == 12:
                connection.socket.shutdown(socket.SHUT_RDWR)
            return receive(timeout)

        connection.recv = recv
        return connection

    model.connect = breaking  # type: ignore[method-assign]
    with service.build_generator(config(f"remote:{url}"), root, model) as session:
        for name in FUNCTIONS[:2]:
            assert written(session, root, name) == alone[name]
    assert len(told) == 1
    assert "the local model is used" in told[0]


def test_without_the_token_nothing_is_said_but_health(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert '"ok"' in get(f"{url}/healthz", None)
    for path in ("/v1/model", "/v1/tokenizer", "/metrics"):
        for token in (None, "wrong"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(url + path, token)
    model = service.load_model(config(f"remote:{url}"))
    assert isinstance(model, RemoteModel)
    monkeypatch.setenv("MEMBERWISE_TOKEN", "wrong")
    with pytest.raises(ConfigError, match="does not know this token"):
        service.load_model(config(f"remote:{url}"))
    with pytest.raises(ConfigError, match="does not know this token"):
        model.connect()


def test_what_is_too_large_is_refused(url: str, root: Path, alone: dict[str, object]) -> None:
    model = service.load_model(config(f"remote:{url}"))
    assert isinstance(model, RemoteModel)
    told: list[str] = []
    model.tell = told.append
    with service.build_generator(replace(config(f"remote:{url}"), max_tokens=2000), root, model) as session:
        assert written(session, root, "first_letters")[2].startswith(alone["first_letters"][2][:20])  # type: ignore[index]
    assert "this server takes from 0 to 1024" in told[0]
    assert not model.is_lost


def test_no_server_at_all(root: Path, alone: dict[str, object]) -> None:
    told: list[str] = []
    model = service.load_model(config("remote:http://127.0.0.1:9"))
    assert isinstance(model, RemoteModel)
    model.tell = told.append
    with service.build_generator(config("remote:http://127.0.0.1:9"), root, model) as session:
        assert written(session, root, "parse") == alone["parse"]
    with pytest.raises(ConfigError, match="is no address"):
        service.load_model(config("remote:nowhere"))


def test_the_token_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert token_in(path) == token_in(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        token_in(path)
