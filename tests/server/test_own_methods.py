"""The extensions, and what becomes of a completion: streamed, shown, accepted, explained, counted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client, inline, position
from tests.server.conftest import BASKET, place

INLINE = "textDocument/inlineCompletion"
TOTAL = f"{BASKET}    def total(self):\n        $0\n"


def offered(client: Client, uri: str, marked: str = TOTAL) -> tuple[dict[str, Any], int, int]:
    line, character = place(client, uri, marked)
    (item,) = client.result(INLINE, inline(uri, line, character))["items"]
    return item, line, character


def accepted(client: Client, uri: str, marked: str = TOTAL) -> str:
    """Insert an offer as an editor does: the change, then the command."""
    item, line, character = offered(client, uri, marked)
    client.change(uri, 2, line, character, item["insertText"])
    client.result("workspace/executeCommand", item["command"])
    return str(item["command"]["arguments"][0])


def test_a_completion_is_streamed_as_text_so_far(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def slow(self):\n        $0\n")
    params = {**inline(uri, line, character), "partialResultToken": "s1"}
    (item,) = shared.result("memberwise/streamInlineCompletion", params)["items"]
    texts = [p["value"]["text"] for p in shared.notifications("$/progress") if p["token"] == "s1"]
    assert len(texts) > 3
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert item["insertText"].startswith(texts[-1].rstrip())
    assert item["id"] == item["command"]["arguments"][0]
    assert item["additionalTextEdits"] == []


def test_an_import_is_offered_with_the_item_or_applied_on_accept(shared: Client, uri: str) -> None:
    marked = BASKET.replace("import json\n", "import os\n") + "    def decoded(self):\n        $0\n"
    line, character = place(shared, uri, marked)
    (item,) = shared.result("memberwise/streamInlineCompletion", inline(uri, line, character))["items"]
    assert item["insertText"] == "return json.loads(self.count)"
    (edit,) = item["additionalTextEdits"]
    assert edit == {"range": {"start": position(2, 0), "end": position(2, 0)}, "newText": "import json\n"}

    edits: list[Any] = []
    shared.on_request["workspace/applyEdit"] = lambda params: edits.append(params["edit"]) or {"applied": True}
    shared.change(uri, 2, line, character, item["insertText"])
    shared.result("workspace/executeCommand", item["command"])
    ((change,),) = [edit["documentChanges"] for edit in edits]
    assert (change["textDocument"]["version"], change["edits"]) == (2, [edit])
    shared.change(uri, 3, 2, 0, "import json\n")
    shared.result("workspace/executeCommand", item["command"])
    assert len(edits) == 1  # it is there already
    del shared.on_request["workspace/applyEdit"]


def test_hover_tells_what_was_offered_and_chosen(shared: Client, uri: str) -> None:
    accepted(shared, uri)
    found = shared.result("textDocument/hover", {"textDocument": {"uri": uri}, "position": position(15, 22)})
    assert "**price_of** was chosen among" in found["contents"]["value"]
    assert found["range"] == {"start": position(15, 20), "end": position(15, 28)}
    shared.change(uri, 3, 0, 0, "# moved down\n")
    moved = shared.result("textDocument/hover", {"textDocument": {"uri": uri}, "position": position(16, 22)})
    assert moved["range"]["start"] == position(16, 20)
    assert shared.result("textDocument/hover", {"textDocument": {"uri": uri}, "position": position(16, 9)}) is None


def test_hover_knows_a_body_that_was_generated(shared: Client, uri: str) -> None:
    text = f"{BASKET}    def total(self):\n        ...\n"
    shared.open(uri, text)

    def apply(params: Any) -> dict[str, bool]:
        (edit,) = params["edit"]["documentChanges"][0]["edits"]
        shared.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": 2},
                "contentChanges": [{"range": edit["range"], "text": edit["newText"]}],
            },
        )
        return {"applied": True}

    shared.on_request["workspace/applyEdit"] = apply
    argument = {"uri": uri, "qualname": "Basket.total"}
    shared.result("workspace/executeCommand", {"command": "memberwise.generateBody", "arguments": [argument]})
    del shared.on_request["workspace/applyEdit"]
    found = shared.result("textDocument/hover", {"textDocument": {"uri": uri}, "position": position(15, 22)})
    assert "**price_of**" in found["contents"]["value"]


def test_explain_tells_every_question_to_the_tool(shared: Client, uri: str) -> None:
    identifier = offered(shared, uri)[0]["command"]["arguments"][0]
    found = shared.result("memberwise/explain", {"id": identifier})
    assert found["text"] == "return self.price_of(self.count)"
    assert [call["chosen"] for call in found["calls"]] == ["self", "price_of", "self", "count"]
    for call in found["calls"]:
        assert found["text"][call["offset"] :].startswith(call["chosen"])
    attribute = found["calls"][1]
    assert attribute["receiver"] == "self"
    assert attribute["suggestions"] > 1
    assert attribute["best"][0]["name"] == "price_of"
    assert found["statistics"]["generatedTokens"] > 0
    assert shared.result("memberwise/explain", None)["id"] == identifier
    assert shared.result("memberwise/explain", {"id": "c999999"}) is None


def test_what_becomes_of_an_offer_is_counted_here_and_in_a_file(repository: Path, tmp_path: Path, uri: str) -> None:
    with Client(env={"MEMBERWISE_CACHE": str(tmp_path)}) as client:
        client.initialize(repository, options={"debounceMs": 0, "statistics": True})
        identifier = accepted(client, uri)
        client.notify("memberwise/didAcceptCompletion", {"id": identifier})  # the command said so already
        client.notify("memberwise/didShowCompletion", {"id": identifier})
        client.notify("memberwise/didPartiallyAcceptCompletion", {"id": identifier, "acceptedLength": 6})
        found = client.result("memberwise/statistics", None)
        assert found == {
            "session": {"offered": 1, "accepted": 1, "shown": 1, "partly accepted": 1},
            "total": {},
            "decoding": False,
        }
        client.notify("exit", None)
        client.process.wait(5)
    (file,) = tmp_path.rglob("statistics.json")
    assert json.loads(file.read_text())["accepted"] == 1


def test_members_are_listed_in_the_order_of_the_model(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"completion": True, "diagnostics": True, "debounceMs": 0})
        line, character = place(client, uri, f"{BASKET}    def total(self):\n        return self.$0\n")
        at = {"textDocument": {"uri": uri}, "position": position(line, character)}
        answer = client.result("textDocument/completion", at)
        while answer["isIncomplete"]:  # the model did not answer in time
            answer = client.result("textDocument/completion", at)
        found = answer["items"]
        ranked = sorted(found, key=lambda item: item["sortText"])
        assert ranked[0]["label"] == "price_of"
        assert {"count", "price_of", "total"} <= {item["label"] for item in found}
        place(client, uri, "x = $0", version=2)
        assert client.result("textDocument/completion", {**at, "position": position(0, 4)})["items"] == []
        check_diagnostics(client, f"{uri}diagnosed.py")


def check_diagnostics(client: Client, uri: str) -> None:
    """A member that goes away after it was accepted is reported; what the user wrote is not our business."""
    accepted(client, uri, TOTAL.replace("Basket", "Crate"))
    report = {"textDocument": {"uri": uri}}
    assert client.result("textDocument/diagnostic", report) == {"kind": "full", "items": []}
    client.change(uri, 3, 10, 16, "prize", removed=5)
    (item,) = client.result("textDocument/diagnostic", report)["items"]
    assert item["source"] == "memberwise"
    assert item["code"] == "no-member"
    assert item["range"] == {"start": position(15, 20), "end": position(15, 28)}


def test_lists_and_diagnostics_are_off_by_default(shared: Client, uri: str) -> None:
    place(shared, uri, f"{BASKET}    def total(self):\n        return self.$0\n")
    at = {"textDocument": {"uri": uri}, "position": position(15, 20)}
    assert shared.result("textDocument/completion", at)["items"] == []
    assert shared.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})["items"] == []


def test_settings_change_while_the_server_runs(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"debounceMs": 0})
        line, character = place(client, uri, f"{BASKET}    def pieces(self):\n$0\n")
        ask = inline(uri, line, character)
        for configuration, lines in (({"inline": "line"}, 1), ({"inline": "off"}, 0), ({"enabled": False}, 0), ({}, 2)):
            client.configuration = configuration
            client.notify("workspace/didChangeConfiguration", {"settings": None})
            number = client.start(INLINE, ask)  # answered with the old settings, or overtaken by the new ones
            client.answer(number)
            found = client.result(INLINE, ask)["items"]
            assert [len(item["insertText"].splitlines()) for item in found] == [lines] * bool(lines), configuration
        since = len(client.notifications("memberwise/didChangeStatus"))
        client.configuration = {"trusted": False, "trigger": "off"}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        client.wait_ready(since=since)
        assert client.result(INLINE, ask)["items"]
        assert client.result("memberwise/explain", None)["calls"] == []  # with this trigger Jedi is never asked


@pytest.mark.parametrize("first", ["slow and there", "slow and missing"])
def test_settings_that_change_while_a_model_is_loaded_are_followed(repository: Path, first: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"model": first}, ready=False)
        client.until(lambda: client.notifications("memberwise/didChangeStatus"), what="the start")
        client.configuration = {"model": "another"}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        client.wait_ready()
        status = client.result("memberwise/status", None)
        assert (status["kind"], status["message"]) == ("ready", "scripted")


def test_a_cursor_nobody_can_place_is_no_harm(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, TOTAL)
    real = {"textDocument": {"uri": uri}, "position": position(line, character)}
    lost = {"textDocument": {"uri": "file:///nowhere.py"}, "position": position(1, 1)}
    beyond = {**real, "position": position(10_000, 10_000)}
    for params in (None, {}, lost, beyond, real):
        shared.notify("memberwise/didMoveCursor", params)
    assert shared.result(INLINE, inline(uri, line, character))["items"]
