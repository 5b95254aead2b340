"""The loop at a cursor: the statement has begun, a name may have begun, a line or a block is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from generation.config import PRESETS, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.types import Extent, Finished, GenerationRequest, NameKind, TextDelta, ToolAnswer, ToolCalled
from tests.decoding.generating import TableTool
from tests.decoding.scripted import ScriptedModel, writes

BEFORE = "class A:\n    def f(self):\n"


def run(
    stem: str,
    *texts: tuple[str, float],
    tool: TableTool | None = None,
    trigger: str = "dot",
    **fields: object,
) -> list[object]:
    prompt = BEFORE + stem
    model = ScriptedModel(writes(prompt, *texts))
    request = GenerationRequest(
        Path("/r"), Path("/r/m.py"), BEFORE, "\n", prompt, "        ", extent=Extent.LINE, stem=stem, may_be_empty=True
    )
    generator = Generator(model, tool or TableTool(), None, PRESETS[trigger], SamplingConfig())
    return list(generator.stream(replace(request, **fields)))  # type: ignore[arg-type]


def text_of(events: Sequence[object]) -> str:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.text


@pytest.mark.parametrize(
    ("stem", "script", "text"),
    [
        ("        x = ", "print(1)\n        y = 2\n", "print(1)"),
        ("        x = print(", "1,\n            2)\n        y = 2\n", "1,\n            2)"),
        ("        ", "x = 1\n        y = 2\n", "x = 1"),
        ("        # no", "te\n        x = 1\n", "te"),
        ("        x = 1", "\n        y = 2\n", ""),
        ("        if self:", "\n            y = 2\n", ""),
    ],
)
def test_a_line_ends_with_its_statement(stem: str, script: str, text: str) -> None:
    assert text_of(run(stem, (script, 1.0))) == text


@pytest.mark.parametrize("extent", [Extent.LINE, Extent.BLOCK])
def test_who_waits_for_code_gets_no_comment_first(extent: Extent) -> None:
    texts = (("# why\n        x = 1\n", 0.9), ("y = 2  # so\n", 0.1))
    assert text_of(run("        ", *texts, extent=extent)) == "y = 2  # so"


def test_a_block_ends_where_it_is_left() -> None:
    events = run("        ", ("x = 1\n        if x:\n            y = 2\n\nz = 3\n", 1.0), extent=Extent.BLOCK)
    assert text_of(events) == "x = 1\n        if x:\n            y = 2"


def test_the_deltas_are_the_text_behind_the_stem() -> None:
    events = run("        x = ", ("print(1)\n", 1.0))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "print(1)"


def test_what_stands_behind_the_cursor_is_not_shown_first() -> None:
    events = run("        x = print(", ("len(self))\n        y = 2\n", 1.0), after=")\n")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "len(self)"
    assert text_of(events) == "len(self)"


def test_nothing_may_belong_here_unless_a_block_is_fresh() -> None:
    texts = (("", 0.9), ("x = 1\n", 0.1))
    assert text_of(run("        ", *texts, extent=Extent.BLOCK)) == ""
    assert text_of(run("        ", *texts, extent=Extent.BLOCK, may_be_empty=False)) == "x = 1"


@pytest.mark.parametrize("trigger", ["dot", "mark", "off"])
def test_a_name_that_has_begun_is_spelled(trigger: str) -> None:
    texts = (("other(1)\n", 0.9), ("conf.get()\n", 0.1))
    events = run("        x = self.", *texts, tool=TableTool(["conf", "other"]), trigger=trigger, prefix="co")
    assert text_of(events).startswith("conf")


def test_only_names_that_start_so_are_suggested() -> None:
    tool = TableTool(["other", "config", "count"])
    texts = (("counter\n", 0.6), ("config\n", 0.4))
    events = run("        x = self.", *texts, tool=tool, prefix="co")
    call = next(event for event in events if isinstance(event, ToolCalled))
    assert (call.offset, call.kind, call.suggestions) == (0, NameKind.ATTRIBUTE, 2)
    assert text_of(events) == "config"
    assert tool.queries[0].before == BEFORE + "        x = self."


def test_a_word_that_turns_out_to_be_a_keyword_asks_nothing() -> None:
    events = run("        ", ("return 1\n", 1.0), tool=TableTool([]), prefix="ret")
    assert text_of(events) == "return 1"
    assert not [event for event in events if isinstance(event, ToolCalled)]


def test_offsets_count_from_what_is_inserted() -> None:
    events = run("        x = ", ("self.count\n", 1.0), tool=TableTool(["count"]))
    calls = [event for event in events if isinstance(event, ToolCalled)]
    assert [(call.offset, call.chosen and call.chosen.name) for call in calls] == [(0, "self"), (5, "count")]


def test_a_tool_that_fails_leaves_the_prefix_alone() -> None:
    class Broken(TableTool):
        def suggest(self, query: object) -> ToolAnswer:
            return ToolAnswer(error="timeout")

    assert text_of(run("        x = self.", ("count\n", 1.0), tool=Broken(), prefix="cou")) == "count"
