"""The real server with the real default model: every feature once, with few tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.client import Client, inline, position
from tests.server.conftest import BASKET, place

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]
INLINE = "textDocument/inlineCompletion"
OPTIONS = {"debounceMs": 0, "lineTokens": 12, "blockTokens": 64, "bodyTokens": 24, "deadlineMs": 60_000}
LEDGER = "from shop.ledger import Ledger\n\n\ndef count(ledger: Ledger) -> int:\n"
CLEAR = f'{LEDGER}    """The entries of the ledger."""\n    '  # every processor's arithmetic leads to code behind it


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Client]:
    with Client(model="") as client:
        client.initialize(repository, options=OPTIONS)
        yield client


def test_a_member_that_exists_in_another_file(server: Client, uri: str) -> None:
    line, character = place(server, uri, f"{LEDGER}    return ledger.en$0\n")
    (item,) = server.result(INLINE, inline(uri, line, character), 120)["items"]
    assert item["insertText"].startswith("entries")
    call = server.result("memberwise/explain", None)["calls"][0]
    assert (call["receiver"], call["chosen"]) == ("ledger", "entries")


def test_a_streamed_block_is_python_and_accepted_names_have_a_hover(server: Client, uri: str) -> None:
    line, character = place(server, uri, f"{CLEAR}$0\n")
    params = {**inline(uri, line, character), "partialResultToken": "real"}
    (item,) = server.result("memberwise/streamInlineCompletion", params, 120)["items"]
    compile(CLEAR + item["insertText"], "completed", "exec")
    assert [p for p in server.notifications("$/progress") if p["token"] == "real"]
    server.change(uri, 2, line, character, item["insertText"])
    server.result("workspace/executeCommand", item["command"])
    calls = [call for call in server.result("memberwise/explain", None)["calls"] if call["chosen"]]
    above = (CLEAR + item["insertText"])[: len(CLEAR) + calls[0]["offset"] + 1]
    inside = position(above.count("\n"), len(above.rpartition("\n")[2]))
    hover = {"textDocument": {"uri": uri}, "position": inside}
    assert calls[0]["chosen"] in server.result("textDocument/hover", hover)["contents"]["value"]


def test_typed_through_answers_come_from_the_cache(server: Client, uri: str) -> None:
    line, character = place(server, uri, f"{LEDGER}    return ledger.$0\n")
    (item,) = server.result(INLINE, inline(uri, line, character), 120)["items"]
    server.change(uri, 2, line, character, item["insertText"][:2])
    (rest,) = server.result(INLINE, inline(uri, line, character + 2), 120)["items"]
    assert rest["insertText"] == item["insertText"]
    assert rest["range"] == {"start": position(line, character), "end": position(line, character + 2)}
    assert server.result("memberwise/explain", None)["cached"]


def test_a_body_is_generated_and_can_be_cancelled(server: Client, uri: str) -> None:
    said = '"""What one costs: ``price_of`` of one."""'  # so clear that something is written, whatever the file's name
    server.open(uri, f"{BASKET}    def price_of_one(self) -> int:\n        {said}\n")
    one = {"uri": uri, "qualname": "Basket.price_of_one"}
    command = {"command": "memberwise.generateBody", "arguments": [one]}
    result = server.result("workspace/executeCommand", command, 120)
    assert result["applied"]
    assert result["candidates"][0]["text"].startswith("        ")
    many = {**command, "arguments": [{**one, "candidates": 16}], "workDoneToken": "many"}  # takes seconds
    number = server.start("workspace/executeCommand", many)
    server.until(lambda: "report" in [p["value"].get("kind") for p in progress(server, "many")], what="text")
    server.notify("window/workDoneProgress/cancel", {"token": "many"})
    assert server.answer(number)["error"]["code"] == -32800


def progress(client: Client, token: str) -> list[Any]:
    return [params for params in client.notifications("$/progress") if params["token"] == token]


def cancelled_s(client: Client, uri: str, name: str) -> float:
    """How long a cancel takes to be answered while the prompt is read; endless where it came too late."""
    body = "".join(f"    def {name}_{i}(self):\n        return self.count + {i}\n\n" for i in range(40))
    line, character = place(client, uri, f"{BASKET}{body}    def last(self):\n        return self.$0\n")
    number = client.start(INLINE, inline(uri, line, character))
    time.sleep(0.15)  # the prompt is being read; a quick machine answers in 0.4 s
    sent_s = time.perf_counter()
    client.notify("$/cancelRequest", {"id": number})
    answer = client.answer(number)
    return float(answer["at"]) - sent_s if answer.get("error", {}).get("code") == -32800 else math.inf


def test_a_cancel_is_answered_at_once_also_in_the_prompt(server: Client, uri: str) -> None:
    """The best of some, as a busy machine may keep any process waiting that long."""
    assert any(cancelled_s(server, f"{uri}{name}.py", name) < 0.1 for name in ("one", "two", "three", "four", "five"))


def test_a_tool_process_that_dies_fails_nothing(server: Client, uri: str) -> None:
    for worker in psutil.Process(server.process.pid).children(recursive=True):
        worker.kill()
    line, character = place(server, uri, f"{LEDGER}    return ledger.en$0\n")
    assert "result" in server.ask(INLINE, inline(uri, line, character), 120)


def test_it_ends_at_once_in_the_middle_of_a_generation(repository: Path, uri: str) -> None:
    with Client(model="") as client:
        client.initialize(repository, options=OPTIONS)
        line, character = place(client, uri, f"{CLEAR}$0\n")
        client.start(INLINE, inline(uri, line, character))
        said = "memberwise/didChangeStatus"
        client.until(lambda: "generating" in [s["message"] for s in client.notifications(said)], what="text")
        started_s = time.perf_counter()
        client.notify("exit", None)
        client.process.wait(5)
        assert time.perf_counter() - started_s < 2


def decodes(client: Client) -> bool:
    return bool(client.result("memberwise/statistics", None)["decoding"])


def read_ms(client: Client, uri: str, head: str, *, ahead: bool) -> float:
    """How long the prompt took to read of a completion in a new file, where the cursor had rested or not."""
    line, character = place(client, uri, f"{head}    return ledger.en$0\n")
    if ahead:
        moved = {"textDocument": {"uri": uri}, "position": position(line, character)}
        client.notify("memberwise/didMoveCursor", moved)
        ends_s = time.monotonic() + 2
        while not decodes(client) and time.monotonic() < ends_s:  # what is quick may be over before anybody looks
            time.sleep(0.001)
        while decodes(client):
            time.sleep(0.01)
    assert client.result(INLINE, inline(uri, line, character), 120)["items"]
    return float(client.result("memberwise/explain", None)["statistics"]["prefillMs"])


def test_where_the_cursor_rests_the_prompt_is_read_before_it_is_needed(server: Client, uri: str) -> None:
    """The best of some, as any other work of the machine adds to either."""

    def read(name: str, *, ahead: bool) -> float:
        filler = "".join(f"{name}_{number} = {number}\n" for number in range(60))
        return read_ms(server, f"{uri}{name}.py", filler + LEDGER, ahead=ahead)

    pairs = [(read(f"cold{number}", ahead=False), read(f"warm{number}", ahead=True)) for number in range(3)]
    cold_ms, warm_ms = map(min, zip(*pairs, strict=True))
    assert warm_ms < cold_ms / 4
