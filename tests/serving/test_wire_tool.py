"""The tool on the server's side: questions go to the client, and so does a name that an import might make valid."""

from __future__ import annotations

import threading
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from generation.config import DecodingConfig, SamplingConfig
from generation.errors import ConfigError
from generation.remote.wire import Answered, Asked, ImportAsked, ImportFound, Message, Question, pack, unpack
from generation.serving.wire_tool import Limits, WireTool, generate
from generation.types import (
    FinishReason,
    GenerationRequest,
    ImportNeeded,
    NameKind,
    Suggestion,
    SuggestionSource,
    ToolAnswer,
    ToolQuery,
)
from tests.decoding.scripted import ScriptedModel

JSON = Suggestion("json", "module", SuggestionSource.IMPORT, ImportNeeded("json"))


class Client:
    """Answers what a ``WireTool`` sends, through the wire's text."""

    def __init__(self) -> None:
        self.tool = WireTool("before ", self.take, threading.Event())
        self.asked: list[Message] = []

    def take(self, message: Message) -> None:
        self.asked.append(unpack(pack(message)))
        if isinstance(message, Question):
            self.reply(Answered(message.number, ToolAnswer(receiver=message.text)))
        elif isinstance(message, ImportAsked):
            self.reply(ImportFound(message.name, JSON if message.name == "json" else None))

    def reply(self, message: Message) -> None:
        received = unpack(pack(message))
        assert isinstance(received, Answered | ImportFound)
        self.tool.receive(received)

    def suggest(self, kind: NameKind, before: str = "before text") -> ToolAnswer:
        return self.tool.suggest(ToolQuery(Path("/"), Path("/a.py"), before, "", kind))


def test_a_name_is_asked_for_where_its_repository_is() -> None:
    client = Client()
    answer = client.suggest(NameKind.NAME)
    assert answer.receiver == "text"
    assert answer.importable.get("json") == JSON
    assert answer.importable.get("nothing") is None
    assert client.asked == [Question(0, "text", NameKind.NAME), ImportAsked("json"), ImportAsked("nothing")]
    with pytest.raises(TypeError, match="only the client knows"):
        len(answer.importable)


def test_imports_to_come_are_said_beside_what_the_client_has() -> None:
    client = Client()
    assert client.suggest(NameKind.NAME, "import re\nbefore text").receiver == "text"
    assert client.asked == [Question(0, "text", NameKind.NAME, "import re\n")]


def test_an_attribute_cannot_be_imported() -> None:
    client = Client()
    assert client.suggest(NameKind.ATTRIBUTE).importable.get("json") is None
    assert client.asked == [Question(0, "text", NameKind.ATTRIBUTE)]


def test_nobody_waits_for_a_client_that_has_left() -> None:
    tool = WireTool("", lambda message: None, threading.Event())
    waiting = [
        threading.Thread(target=tool.look_up, args=("json",)),
        threading.Thread(
            target=tool.suggest, args=(ToolQuery(Path("/"), Path("/a.py"), "", "", NameKind.NAME),)
        ),
    ]  # fmt: skip
    for thread in waiting:
        thread.start()
    tool.leave()
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()


REQUEST = GenerationRequest(Path("/"), Path("/a.py"), "before ", "", "before ", "    ", max_tokens=8)
ASKED = Asked(REQUEST, DecodingConfig(), SamplingConfig())


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (replace(ASKED, request=replace(REQUEST, max_tokens=9)), "max_tokens: 9; this server takes from 0 to 8"),
        (replace(ASKED, request=replace(REQUEST, prompt="p" * 21)), "characters of the prompt: 21"),
        (replace(ASKED, request=replace(REQUEST, before="p" * 20, after="p" * 21)), "characters of the file: 41"),
        *((replace(ASKED, sampling=SamplingConfig(heat)), f"temperature: {heat}") for heat in (-1.0, 5.1, inf, nan)),
        *((replace(ASKED, sampling=SamplingConfig(1.0, share)), f"top_p: {share}") for share in (-1.0, 0.0, 1.1, nan)),
        *((replace(ASKED, decoding=DecodingConfig(tree_tokens=n)), f"tree_tokens: {n}") for n in (0, 65)),
    ],
)
def test_what_is_out_of_range_is_refused(asked: Asked, named: str) -> None:
    limits = Limits(max_tokens=8, prompt_characters=20, file_characters=40)
    limits.check(replace(ASKED, request=replace(REQUEST, prompt="p" * 20)))
    with pytest.raises(ConfigError, match=named):
        limits.check(asked)


def test_no_deadline_of_a_client_is_later_than_that_of_the_server() -> None:
    model, gone = ScriptedModel(lambda text: {"pass\n": 1.0}), threading.Event()
    for wanted in (None, 9.0, nan):
        tool = WireTool("", lambda message: None, gone)
        limits = Limits(deadline_s=1e-9)
        finished = generate(model, replace(ASKED, deadline_s=wanted), limits, tool, lambda message: None, gone)
        assert finished is not None
        assert finished.reason is FinishReason.DEADLINE
