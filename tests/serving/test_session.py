"""The tool on the server's side: questions go to the client, and so does a name that an import might make valid."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from generation.remote.wire import Answered, ImportAsked, ImportFound, Message, Question, pack, unpack
from generation.serving.session import WireTool
from generation.types import ImportNeeded, NameKind, Suggestion, SuggestionSource, ToolAnswer, ToolQuery

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

    def suggest(self, kind: NameKind) -> ToolAnswer:
        return self.tool.suggest(ToolQuery(Path("/"), Path("/a.py"), "before text", "", kind))


def test_a_name_is_asked_for_where_its_repository_is() -> None:
    client = Client()
    answer = client.suggest(NameKind.NAME)
    assert answer.receiver == "text"
    assert answer.importable.get("json") == JSON
    assert answer.importable.get("nothing") is None
    assert client.asked == [Question(0, "text", NameKind.NAME), ImportAsked("json"), ImportAsked("nothing")]
    with pytest.raises(TypeError, match="only the client knows"):
        len(answer.importable)


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
