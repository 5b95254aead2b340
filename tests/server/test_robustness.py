"""Bad input and broken parts: an error to the one request, and the server goes on."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.client import Client, inline, position
from tests.server.conftest import BASKET, place

INLINE = "textDocument/inlineCompletion"
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603


def works(client: Client, uri: str) -> None:
    """The server still answers."""
    line, character = place(client, f"{uri}works.py", "number = $0\n")
    (item,) = client.result(INLINE, inline(f"{uri}works.py", line, character))["items"]
    assert item["insertText"] == "41 + 1"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"nonsense", b'{"a":' * 100_000, b""])
def test_what_is_no_json_is_answered(shared: Client, uri: str, body: bytes) -> None:
    shared.answers.pop(None, None)
    shared.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    if body:
        assert shared.answer(None)["error"]["code"] == PARSE_ERROR
    works(shared, uri)


@pytest.mark.parametrize("message", [[], 3, {}, {"id": 1, "method": "x"}])
def test_json_that_is_no_message_is_answered(shared: Client, uri: str, message: Any) -> None:
    shared.answers.pop(None, None)
    body = json.dumps(message).encode()
    shared.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    assert shared.answer(None)["error"]["code"] == INVALID_REQUEST
    works(shared, uri)


def test_headers_that_are_wrong_are_skipped(shared: Client, uri: str) -> None:
    shared.write(b"Content-Length: many\r\n\r\nX-Other: 1\r\n\r\n")
    works(shared, uri)


def test_headers_may_be_in_lower_case(shared: Client, uri: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": f"lower {uri}", "method": "memberwise/status"}).encode()
    shared.write(b"content-length:%d\r\n\r\n%s" % (len(body), body))
    assert "result" in shared.answer(f"lower {uri}")
    works(shared, uri)


@pytest.mark.parametrize(
    ("number", "method", "answered"),
    [
        ([1], "x", None),
        ({"a": 1}, "x", None),
        (True, "x", None),
        ("odd", 5, "odd"),
        ("odd", None, "odd"),
        ([], [], None),
    ],
)
def test_ids_and_methods_of_the_wrong_kind_are_answered(
    shared: Client, uri: str, number: Any, method: Any, answered: Any
) -> None:
    shared.answers.pop(answered, None)
    shared.send({"id": number, "method": method})
    error = shared.answer(answered)["error"]
    assert error["code"] == INVALID_REQUEST
    assert "data" not in error
    works(shared, uri)


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        "text",
        {},
        {"textDocument": {"uri": 3}, "position": {"line": 0, "character": 0}, "context": {"triggerKind": 2}},
        {"textDocument": {"uri": "file:///a.py"}, "position": {"line": "0"}, "context": {"triggerKind": 2}},
        {
            "textDocument": {"uri": "file:///a.py"},
            "position": {"line": 0, "character": 0},
            "context": {"triggerKind": 9},
        },
    ],
)
def test_params_that_do_not_fit_are_answered(shared: Client, params: Any) -> None:
    assert shared.ask(INLINE, params)["error"]["code"] == INVALID_PARAMS


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("memberwise/explain", {"id": 3}),
        ("memberwise/streamInlineCompletion", {"textDocument": 1}),
        ("memberwise/streamInlineCompletion", None),
        ("workspace/executeCommand", {"command": "memberwise.generateBody"}),
        ("workspace/executeCommand", {"command": "memberwise.generateBody", "arguments": [{"uri": 1}]}),
        ("workspace/executeCommand", {"command": "rm -rf", "arguments": []}),
    ],
)
def test_params_of_our_own_methods_are_checked(shared: Client, method: str, params: Any) -> None:
    assert shared.ask(method, params)["error"]["code"] == INVALID_PARAMS


def test_unknown_methods_are_answered_and_unknown_notifications_ignored(shared: Client, uri: str) -> None:
    assert shared.ask("textDocument/unknown", {})["error"]["code"] == NO_METHOD
    shared.notify("$/unknown", {})
    shared.notify("memberwise/unknown", {"a": 1})
    shared.notify("memberwise/didShowCompletion", {"id": 7})
    shared.send({"id": 4321, "result": {"nobody": "asked"}})
    shared.send({"method": "$/cancelRequest", "params": {"id": 98765}})
    works(shared, uri)


def test_requests_before_initialize_and_a_second_initialize_are_refused(shared: Client) -> None:
    assert (
        shared.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["error"]["code"]
        == INVALID_REQUEST
    )
    with Client() as client:
        assert client.ask("textDocument/hover", hover("file:///a.py"))["error"]["code"] == -32002
        client.initialize(ready=False)


def test_positions_outside_of_the_document_are_moved_inside(shared: Client, uri: str) -> None:
    place(shared, uri, "number = $0")
    (item,) = shared.result(INLINE, inline(uri, 4_000_000, 4_000_000))["items"]
    assert item["insertText"] == "41 + 1"


def test_changes_outside_of_the_document_and_of_unknown_ones_do_no_harm(shared: Client, uri: str) -> None:
    place(shared, uri, "number = $0")
    shared.change(uri, 2, 999, 999, "\nnumber = ")
    shared.change("file:///unknown.py", 2, 0, 0, "x")
    (item,) = shared.result(INLINE, inline(uri, 1, 9))["items"]
    assert item["insertText"] == "41 + 1"


@pytest.mark.parametrize("name", ["broken", "memory"])
def test_a_model_that_fails_is_an_error_to_the_request(shared: Client, uri: str, name: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def {name}(self):\n        $0\n")
    answer = shared.ask(INLINE, inline(uri, line, character))
    assert answer["error"]["code"] == INTERNAL
    assert "the generation failed" in shared.result("memberwise/status", None)["message"]
    works(shared, uri)


def test_a_tool_process_that_is_killed_or_hangs_fails_nothing(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def total(self):\n        $0\n")
    workers = psutil.Process(shared.process.pid).children(recursive=True)
    assert workers
    for worker in workers:
        worker.suspend()
    assert shared.result(INLINE, inline(uri, line, character))["items"]  # the tool abstains after its deadline
    for worker in workers:
        worker.kill()
    place(shared, uri, f"{BASKET}    def total(self):\n        $0\n", version=9)
    assert shared.result(INLINE, inline(uri, line, character))["items"]


def test_the_status_says_that_jedi_does_not_run(repository: Path, uri: str) -> None:
    with Client() as client:
        client.initialize(repository)
        line, character = place(client, uri, f"{BASKET}    def total(self):\n        $0\n")
        assert client.result(INLINE, inline(uri, line, character))["items"]
        said = ""
        for version in range(2, 20):  # the first has answered, and the next ones may, before they are killed
            for worker in psutil.Process(client.process.pid).children():
                worker.kill()
                worker.wait()
            place(client, uri, f"{BASKET}    def total(self):\n        $0\n", version=version)
            assert client.result(INLINE, inline(uri, line, character))["items"]
            status = client.result("memberwise/status", None)
            if status["kind"] == "error":
                said = status["message"]
                break
        assert said == "Jedi does not run, and its names are missing"


def test_half_a_surrogate_pair_spoils_nothing(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"half = '\ud83d'\n{BASKET}    def total(self):\n        $0\n")
    (item,) = shared.result(INLINE, inline(uri, line, character))["items"]
    assert item["insertText"] == "return self.price_of(self.count)"
    selected = {
        "range": {"start": position(line, character), "end": position(line, character)},
        "text": "'\ud83d' and ",
    }
    assert "result" in shared.ask(INLINE, inline(uri, line, character, selectedCompletionInfo=selected))
    assert shared.result("textDocument/codeLens", {"textDocument": {"uri": uri}})
    argument = {"uri": uri, "qualname": "Basket.total", "apply": False}
    assert shared.result("workspace/executeCommand", {"command": "memberwise.generateBody", "arguments": [argument]})


def test_a_line_of_10_mb_and_a_file_of_100_000_lines(shared: Client, uri: str) -> None:
    shared.open(uri, "x = '" + "a" * 10_000_000 + "'\nnumber = ")
    answer = shared.ask(INLINE, inline(uri, 0, 9_000_000))
    assert answer["result"] == {"items": []}
    many = f"{uri}many.py"
    shared.open(many, "".join(f"name_{i} = {i}\n" for i in range(100_000)) + "number = ")
    started_s = time.perf_counter()
    shared.result("textDocument/hover", hover(many))
    shared.change(many, 2, 100_000, 0, "x = 1; ")
    assert time.perf_counter() - started_s < 1
    answer = shared.ask(INLINE, inline(many, 100_000, 16))
    assert "result" in answer or answer["error"]["code"] == INTERNAL
    works(shared, uri)


def test_a_file_and_a_folder_that_vanish(tmp_path: Path) -> None:
    root = tmp_path / "r"
    shutil.copytree(Path(__file__).parents[2] / "benchmark_repos" / "tiny", root)
    with Client() as client:
        client.initialize(root, tmp_path / "never there", options={"debounceMs": 0})
        uri = (root / "shelf" / "new.py").as_uri()
        shutil.rmtree(root)
        line, character = place(client, uri, f"{BASKET}    def total(self):\n        $0\n")
        assert client.result(INLINE, inline(uri, line, character))["items"]
        works(client, uri)
        client.notify(
            "workspace/didChangeWorkspaceFolders",
            {"event": {"added": [], "removed": [{"uri": root.as_uri(), "name": "r"}]}},
        )
        works(client, uri)


def test_a_document_closed_while_it_is_completed(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def slow(self):\n        $0\n")
    number = shared.start(INLINE, inline(uri, line, character))
    shared.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert shared.answer(number)["error"]["code"] == -32801
    works(shared, uri)


def test_two_servers_share_nothing_that_one_can_break(shared: Client, repository: Path, uri: str) -> None:
    with Client() as other:
        other.initialize(repository, options={"debounceMs": 0})
        line, character = place(other, uri, f"{BASKET}    def slow(self):\n        $0\n")
        other.start(INLINE, inline(uri, line, character))
        other.process.kill()
        other.process.wait()
    works(shared, uri)


def hover(uri: str) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": position(0, 0)}
