"""Generate body: the lens and the action that offer it, the command that does it, and all that can come between."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client, position
from tests.server.conftest import BASKET

COMMAND = "workspace/executeCommand"
STUBS = f'{BASKET}    def pieces(self):\n        """Some."""\n\n    def total(self):\n        ...\n'
LONG = f"{BASKET}    def long(self):\n        pass\n"


def generate(uri: str, name: str, **more: Any) -> dict[str, Any]:
    token = more.pop("workDoneToken", None)
    argument = {"uri": uri, "qualname": f"Basket.{name}", **more}
    return {"command": "memberwise.generateBody", "arguments": [argument], "workDoneToken": token}


def edited(text: str, edit: dict[str, Any]) -> str:
    """The text after a workspace edit of one document."""
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
    (document,) = edit["documentChanges"]
    for change in sorted(document["edits"], key=lambda c: c["range"]["start"]["line"], reverse=True):
        start, end = (starts[p["line"]] + p["character"] for p in (change["range"]["start"], change["range"]["end"]))
        text = text[:start] + change["newText"] + text[end:]
    return text


def test_lenses_stand_above_functions_without_a_body(shared: Client, uri: str) -> None:
    shared.open(uri, STUBS)
    lenses = shared.result("textDocument/codeLens", {"textDocument": {"uri": uri}})
    assert [lens["range"]["start"]["line"] for lens in lenses] == [14, 17]
    assert {lens["command"]["title"] for lens in lenses} == {"Generate body"}
    result = shared.result(
        COMMAND, {"command": lenses[0]["command"]["command"], "arguments": lenses[0]["command"]["arguments"]}
    )
    assert result["applied"]


def test_the_action_is_tagged_and_only_offered_on_a_stub(shared: Client, uri: str) -> None:
    shared.open(uri, STUBS)
    (action,) = shared.result("textDocument/codeAction", on_line(uri, 18))
    assert (action["title"], action["kind"], action["tags"]) == ("Generate body of total", "refactor.rewrite", [1])
    assert shared.result("textDocument/codeAction", on_line(uri, 10)) == []
    assert shared.result("textDocument/codeAction", on_line(uri, 18, only=["quickfix"])) == []
    assert shared.result("textDocument/codeAction", on_line(uri, 18, only=["refactor"]))


def on_line(uri: str, line: int, **context: Any) -> dict[str, Any]:
    span = {"start": position(line, 0), "end": position(line, 0)}
    return {"textDocument": {"uri": uri}, "range": span, "context": {"diagnostics": [], **context}}


def test_a_file_that_cannot_be_read_has_no_lenses(shared: Client, uri: str) -> None:
    shared.open(uri, "def f(:\n" * 300 + "\0")
    assert shared.result("textDocument/codeLens", {"textDocument": {"uri": uri}}) == []


def test_a_body_is_applied_as_one_edit_with_progress_and_stream(shared: Client, uri: str) -> None:
    shared.open(uri, STUBS)
    applied: list[Any] = []
    shared.on_request["workspace/applyEdit"] = lambda params: applied.append(params) or {"applied": True}
    since = len(shared.notifications("$/progress"))
    result = shared.result(COMMAND, generate(uri, "total", workDoneToken="t1", partialResultToken="p1"))
    del shared.on_request["workspace/applyEdit"]
    assert result["applied"]
    (params,) = applied
    assert params["label"] == "Generate body"
    assert params["edit"]["documentChanges"][0]["textDocument"] == {"uri": uri, "version": 1}
    assert edited(STUBS, params["edit"]) == STUBS.replace("...", "return self.price_of(self.count)")
    sent = [(p["token"], p["value"]) for p in shared.notifications("$/progress")[since:]]
    kinds = [value["kind"] for token, value in sent if token == "t1"]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("begin", "end", {"report"})
    texts = [value["text"] for token, value in sent if token == "p1"]
    assert texts[-1].rstrip() == "        return self.price_of(self.count)"
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_stay(shared: Client, uri: str, newline: str) -> None:
    text = "\ufeff" + STUBS.replace("\n", newline)
    shared.open(uri, text)
    result = shared.result(COMMAND, generate(uri, "total", apply=False))
    (candidate,) = result["candidates"]
    (body,) = candidate["edit"]["documentChanges"][0]["edits"]
    assert body["newText"] == f"        return self.price_of(self.count){newline}"
    assert body["range"] == {"start": position(18, 0), "end": position(19, 0)}
    assert not result["applied"]


def test_an_import_that_is_needed_comes_in_the_same_edit(shared: Client, uri: str) -> None:
    text = STUBS.replace("import json\n", "import os\n") + "\n    def decoded(self):\n        pass\n"
    shared.open(uri, text)
    result = shared.result(COMMAND, generate(uri, "decoded", apply=False))
    new = edited(text, result["candidates"][0]["edit"])
    assert "import json\nimport os\n" in new
    assert new.endswith("    def decoded(self):\n        return json.loads(self.count)\n")


@pytest.mark.parametrize("event", ["textDocument/didSave", "workspace/didChangeWatchedFiles"])
def test_a_file_that_was_just_written_can_be_imported_from(tmp_path: Path, event: str) -> None:
    (tmp_path / "basket.py").write_text(text := STUBS + "\n    def fresh(self):\n        pass\n")
    uri, new = (tmp_path / "basket.py").as_uri(), tmp_path / "new.py"
    with Client() as client:
        client.initialize(tmp_path)
        client.open(uri, text)

        def is_imported() -> bool:
            (candidate,) = client.result(COMMAND, generate(uri, "fresh", apply=False))["candidates"]
            return "from new import just_written\n" in edited(text, candidate["edit"])

        assert not is_imported()
        new.write_text("def just_written():\n    return 1\n")
        changes = [{"uri": new.as_uri(), "type": 1}]
        client.notify(event, {"textDocument": {"uri": new.as_uri()}} if "Save" in event else {"changes": changes})
        assert any(is_imported() or time.sleep(0.1) for _ in range(200))


def test_several_candidates_are_returned_and_not_applied(shared: Client, uri: str) -> None:
    shared.open(uri, STUBS)
    result = shared.result(COMMAND, generate(uri, "total", candidates=3))
    assert not result["applied"]
    texts = [candidate["text"] for candidate in result["candidates"]]
    assert len(texts) == len(set(texts)) >= 1
    assert texts[0] == "        return self.price_of(self.count)\n"
    assert result["candidates"][0]["problems"] == []


@pytest.mark.parametrize("way", ["$/cancelRequest", "window/workDoneProgress/cancel"])
def test_a_body_can_be_cancelled(shared: Client, uri: str, way: str) -> None:
    shared.open(uri, LONG)
    since = len(shared.notifications("$/progress"))
    number = shared.start(COMMAND, generate(uri, "long", workDoneToken=f"c-{way}"))
    shared.until(lambda: len(shared.notifications("$/progress")) > since + 3, what="progress")
    params = {"id": number} if way.startswith("$") else {"token": f"c-{way}"}
    shared.notify(way, params)
    assert shared.answer(number)["error"]["code"] == -32800
    shared.until(lambda: shared.notifications("$/progress")[-1]["value"].get("kind") == "end", 5, "the end")
    assert shared.result("memberwise/status", None)["kind"] == "ready"


def test_a_function_that_changes_meanwhile_is_left_alone(shared: Client, uri: str) -> None:
    shared.open(uri, LONG)
    since = len(shared.notifications("$/progress"))
    number = shared.start(COMMAND, generate(uri, "long", workDoneToken="m"))
    shared.until(lambda: len(shared.notifications("$/progress")) > since + 2, what="progress")
    shared.change(uri, 2, 15, 12, "return 1", removed=4)
    assert shared.answer(number)["error"]["code"] == -32801


def test_a_change_elsewhere_moves_the_edit(shared: Client, uri: str) -> None:
    shared.open(uri, LONG)
    since = len(shared.notifications("$/progress"))
    number = shared.start(COMMAND, generate(uri, "long", workDoneToken="e", apply=False))
    shared.until(lambda: len(shared.notifications("$/progress")) > since + 2, what="progress")
    shared.change(uri, 2, 1, 0, "# a note\n")
    result = shared.answer(number)["result"]
    (change,) = result["candidates"][0]["edit"]["documentChanges"]
    assert change["textDocument"]["version"] == 2
    assert change["edits"][0]["range"]["start"] == position(16, 0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"qualname": "Basket.price_of"}, "has a body already"),
        ({"qualname": "Basket.nothing"}, "there is no function"),
        ({"candidates": 99}, "from 1 to 16"),
        ({"qualname": "", "line": 999}, "outside the file"),
    ],
)
def test_what_cannot_be_done_says_why(shared: Client, uri: str, more: dict[str, Any], message: str) -> None:
    shared.open(uri, STUBS)
    error = shared.ask(COMMAND, generate(uri, "total", **more))["error"]
    assert error["code"] == -32602
    assert message in error["message"]


def test_a_body_that_is_there_is_replaced_when_asked(shared: Client, uri: str) -> None:
    shared.open(uri, STUBS.replace("...", "return 0"))
    result = shared.result(COMMAND, generate(uri, "total", apply=False, replace=True))
    assert result["candidates"][0]["text"] == "        return self.price_of(self.count)\n"


def test_of_functions_with_one_name_the_one_that_is_meant_is_written(shared: Client, uri: str) -> None:
    getter, setter = (
        "@property\n    def total(self):\n        return 0\n",
        "@total.setter\n    def total(self):\n        ...\n",
    )
    shared.open(uri, text := f"{BASKET}    {getter}\n    {setter}")
    (lens,) = shared.result("textDocument/codeLens", {"textDocument": {"uri": uri}})
    (action,) = shared.result("textDocument/codeAction", on_line(uri, 18))
    ways = [lens["command"]["arguments"][0], action["command"]["arguments"][0], {"qualname": "Basket.total#2"}]
    for way in ways:
        argument = {"uri": uri, "apply": False, **way}
        result = shared.result(COMMAND, {"command": "memberwise.generateBody", "arguments": [argument]})
        new = edited(text, result["candidates"][0]["edit"])
        assert new == text.replace("...", "return self.price_of(self.count)")


def test_an_overload_is_not_written_nor_its_implementation(shared: Client, uri: str) -> None:
    shared.open(uri, f"{BASKET}    @overload\n    def total(self): ...\n\n    def total(self):\n        return 0\n")
    error = shared.ask(COMMAND, generate(uri, "", qualname="", line=15, replace=True))["error"]
    assert error["code"] == -32602
    assert "is an overload" in error["message"]


def test_while_it_is_paused_nothing_is_offered(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, options={"enabled": False}, ready=False)
        client.until(lambda: client.notifications("memberwise/didChangeStatus")[-1:], what="the settings")
        client.open(uri, STUBS)
        assert client.result("textDocument/codeLens", {"textDocument": {"uri": uri}}) == []
        assert client.result("textDocument/codeAction", on_line(uri, 18)) == []


def test_a_client_that_can_do_nothing_gets_the_edit_in_the_answer(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository, capabilities={})
        client.open(uri, STUBS)
        result = client.result(COMMAND, generate(uri, "total"))
        assert not result["applied"]
        assert edited(STUBS, result["candidates"][0]["edit"]).count("self.price_of") == 1
        assert client.notifications("$/progress") == []
        (action, *_) = client.result("textDocument/codeAction", on_line(uri, 18))
        assert "tags" not in action
