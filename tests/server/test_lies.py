"""A client that lies: nonsense of every kind, as fast as it can. Every request is answered, the server goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from tests.server.client import Client, inline
from tests.server.conftest import BASKET, place

_REQUESTS = 400
_TEXTS = (
    f"{BASKET}    def total(self):\n        ",
    "\ufeff" + BASKET.replace("\n", "\r\n") + "    def pieces(self):\r\n        ...\r\n",
    "\x00\x0c\r\r\n\u2028" * 50,
    "(" * 5000,
    "🎉" * 300,
    "",
)
_METHODS = (
    *("textDocument/inlineCompletion", "memberwise/streamInlineCompletion", "textDocument/hover"),
    *("textDocument/completion", "textDocument/codeLens", "textDocument/codeAction", "textDocument/diagnostic"),
    *("workspace/executeCommand", "memberwise/explain", "memberwise/status", "memberwise/statistics"),
    *("initialize", "nobody/knows", "$/nobody"),
)


class Liar:
    """Makes messages up."""

    def __init__(self, client: Client, uris: list[str]) -> None:
        self.client = client
        self.chance = random.Random(7)
        self.uris = [*uris, "untitled:1", "file:///nowhere/%00x.py", "cell:1", "", "file://", "http://[bad"]

    def any_of(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def junk(self) -> Any:
        return self.any_of(None, [], {}, 0, -1, 2**70, 1.5, "x", True, [[]], {"a": 1}, "é🎉\u2028", [None])

    def position(self) -> Any:
        good = {"line": self.chance.randrange(15), "character": self.chance.randrange(20)}
        return self.any_of(good, good, {"line": self.junk(), "character": self.junk()}, {"line": 2**31, "character": 0})

    def span(self) -> Any:
        return {"start": self.position(), "end": self.position()}

    def document(self) -> dict[str, Any]:
        return {"uri": self.any_of(*self.uris), "version": self.any_of(1, -1, 9, None)}

    def params(self) -> Any:
        command = {
            "uri": self.any_of(*self.uris),
            "qualname": "Basket.pieces",
            "candidates": self.any_of(1, 0, 99, "1"),
        }
        params = {
            "textDocument": self.document(),
            "position": self.position(),
            "range": self.span(),
            "context": self.any_of({"triggerKind": 1}, {"triggerKind": 2}, {"triggerKind": 9}, {"diagnostics": []}),
            "partialResultToken": self.any_of(None, "p", 7, []),
            "id": self.any_of("c1", 5, None),
            "command": self.any_of("memberwise.generateBody", "memberwise.acceptCompletion", "rm"),
            "arguments": self.any_of([], None, ["c1"], [command], [self.junk()]),
            "workDoneToken": self.any_of(None, "t", 3, {}),
        }
        if self.chance.random() < 0.2:
            params[self.any_of(*params)] = self.junk()
        return self.any_of(params, params, params, params, self.junk())

    def notify(self) -> None:
        opened = {**self.document(), "languageId": "python", "text": self.any_of(*_TEXTS)}
        change = {"range": self.span(), "text": self.any_of("x", "\n", "🎉", "self.", "")}
        cells = {"structure": {"array": {"start": self.any_of(0, 5, -3), "deleteCount": self.any_of(0, 99)}}}
        document, number = self.document(), self.client.last_number
        lies: list[Callable[[], None]] = [
            lambda: self.say("textDocument/didOpen", {"textDocument": opened}),
            lambda: self.say("textDocument/didChange", {"textDocument": document, "contentChanges": [change]}),
            lambda: self.say("textDocument/didClose", {"textDocument": document}),
            lambda: self.say("notebookDocument/didChange", {"notebookDocument": document, "change": {"cells": cells}}),
            lambda: self.say("$/cancelRequest", {"id": self.any_of(number, number - 1, 99_999, "x", None)}),
            lambda: self.say("memberwise/didAcceptCompletion", {"id": self.any_of("c1", 5)}),
            lambda: self.say("window/workDoneProgress/cancel", {"token": "t"}),
            lambda: self.client.send({"id": self.any_of(1, 99, "zz", None), "result": self.junk()}),
        ]
        self.any_of(*lies)()

    def say(self, method: str, params: Any) -> None:
        self.client.notify(method, params if self.chance.random() < 0.9 else self.junk())


def test_a_client_that_lies(shared: Client, uri: str) -> None:
    liar = Liar(shared, [f"{uri}a.py", f"{uri}b.py"])
    numbers = []
    for _ in range(_REQUESTS):
        for _ in range(liar.chance.randrange(4)):
            liar.notify()
        numbers.append(shared.start(liar.any_of(*_METHODS), liar.params()))
        time.sleep(0.002)
    codes = [shared.answer(number).get("error", {}).get("code") for number in numbers]
    assert None in codes
    assert {-32600, -32601, -32602} & set(codes)
    assert -32603 not in codes
    line, character = place(shared, uri, f"{BASKET}    def total(self):\n        $0\n")
    (item,) = shared.result("textDocument/inlineCompletion", inline(uri, line, character))["items"]
    assert item["insertText"] == "return self.price_of(self.count)"
