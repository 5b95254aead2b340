"""docs/lsp-extensions.md says what the code does, no less and no more."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from generation.types import GenerationStats
from lsp_server import extensions
from lsp_server.extensions import PAYLOADS, GenerateBodyArgument
from lsp_server.settings import Settings, camel
from tests.server.client import Client, inline
from tests.server.conftest import BASKET, place

PAGE = (Path(__file__).parents[2] / "docs" / "lsp-extensions.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)


def table(heading: str) -> dict[str, str]:
    """The first two columns of the table below a heading."""
    section = PAGE[PAGE.index(f"{heading}\n") :].split("\n## ")[0]
    return dict(ROW.findall(section))


def test_every_method_and_command_is_described_and_no_other() -> None:
    assert set(re.findall(r"memberwise/\w+", PAGE)) == set(extensions.METHODS)
    assert set(re.findall(r"memberwise\.\w+", PAGE)) == set(extensions.COMMANDS)


def test_every_setting_is_described_with_its_default() -> None:
    assert table("## Settings") == {camel(f.name): json.dumps(f.default) for f in fields(Settings)}


def test_the_argument_of_generate_body_is_described_with_its_defaults() -> None:
    described = table("### `memberwise.generateBody`")
    assert described.pop("uri") == ""
    assert described == {camel(f.name): json.dumps(f.default) for f in fields(GenerateBodyArgument) if f.name != "uri"}


def test_every_field_of_a_payload_is_named() -> None:
    for kind in (*PAYLOADS, GenerationStats):
        for field in fields(kind):
            assert re.search(rf"\b{camel(field.name)}\b", PAGE), field.name


def named(value: Any) -> set[str]:
    """All keys of a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(named, value.values()))
    return set().union(*map(named, value)) if isinstance(value, list) else set()


def test_what_is_really_sent_is_described(shared: Client, uri: str) -> None:
    line, character = place(shared, uri, f"{BASKET}    def total(self):\n        $0\n")
    streamed = shared.result("memberwise/streamInlineCompletion", inline(uri, line, character))
    standard = {
        "insertText",
        "filterText",
        "range",
        "start",
        "end",
        "line",
        "character",
        "command",
        "title",
        "arguments",
    }
    sent = [
        named(streamed) - standard,
        named(shared.result("memberwise/explain", None)),
        named(shared.result("memberwise/status", None)),
        {"session", "total", "decoding"},
    ]
    assert set(shared.result("memberwise/statistics", None)) == sent[-1]
    for key in set().union(*sent):
        assert re.search(rf"\b{key}\b", PAGE), key


def test_every_error_code_is_described() -> None:
    sources = "".join(p.read_text() for p in (Path(__file__).parents[2] / "lsp_server").rglob("*.py"))
    for code in {*re.findall(r"-328\d\d", sources), "-32602", "-32603", "-32800"}:
        assert f"| {code} |" in PAGE
