"""Marks: where they ask, where they are weighed, and that nobody sees them."""

from __future__ import annotations

from dataclasses import replace

from generation.config import PRESETS
from generation.types import Suggestion, TextDelta
from tests.decoding.generating import PROMPT, TableTool, calls, run, text_of


def test_marks_ask_and_never_show() -> None:
    tool = TableTool(attributes=["size"])
    texts = [("    return self.<COMP>sizes\n", 0.9), ("    return self.<COMP>size\n", 0.1)]
    events, _ = run(texts, tool, PRESETS["mark"])
    assert text_of(events) == "    return self.size\n"
    assert all("COMP" not in event.text for event in events if isinstance(event, TextDelta))
    assert len(calls(events)) == 1


def test_a_name_without_a_mark_is_asked_for_only_where_nothing_shows_that_it_exists() -> None:
    first = "    print(self.size)\n    print("
    written = [(f"{first}self.size + self.wide)\n", 0.6), (f"{first}self.size + self.width)\n", 0.4)]
    tool = TableTool(attributes=["size", "width"])
    events, _ = run(written, tool, PRESETS["mark"])
    assert text_of(events) == f"{first}self.size + self.width)\n"
    assert [call.chosen for call in calls(events)] == [Suggestion("size"), Suggestion("width")]
    events, _ = run(written, tool, replace(PRESETS["mark"], ask_unfamiliar=False))
    assert text_of(events) == f"{first}self.size + self.wide)\n"
    assert not calls(events)


def test_a_dot_before_a_mark_is_taken_back_where_nothing_behind_it_is_meant() -> None:
    texts = [("    return self.<COMP>gone\n", 0.6), ("    return self.lost\n", 0.3), ("    return self\n", 0.1)]
    events, model = run(texts, TableTool(attributes=["zap"]), PRESETS["mark"])
    assert text_of(events) == "    return self\n"
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "    return self"
    assert 256 not in model.states[-1].token_ids


def test_a_mark_is_left_out_where_another_token_is_likelier_than_any_behind_it() -> None:
    start = "    return self."
    marked = [(f"{start}<COMP>size\n", 0.25), (f"{start}<COMP>width\n", 0.2)]
    texts = [*marked, (f"{start}total\n", 0.4)]
    tool = TableTool(attributes=["size", "width", "total"])
    events, model = run(texts, tool, PRESETS["mark"])
    assert text_of(events) == f"{start}total\n"
    assert [call.chosen for call in calls(events)] == [Suggestion("total")]
    assert 256 not in model.states[-1].token_ids
    assert text_of(run(texts, tool, replace(PRESETS["mark"], mark_share=None))[0]) == f"{start}size\n"
    tool = TableTool(attributes=["size", "width"])
    events, model = run(texts, tool, PRESETS["mark"])
    assert text_of(events) == f"{start}size\n"  # there is no total: the mark comes after all
    assert model.states[-1].token_ids.count(256) == 1


def test_a_token_is_as_likely_as_without_and_behind_a_mark_together() -> None:
    start = "    return self."
    texts = [(f"{start}<COMP>size\n", 0.3), (f"{start}size\n", 0.2), (f"{start}total\n", 0.28)]
    events, model = run(texts, TableTool(attributes=["size", "total"]), PRESETS["mark"])
    assert text_of(events) == f"{start}size\n"
    assert model.states[-1].token_ids.count(256) == 1
    texts = [(f"{start}<COMP>size\n", 0.3), (f"{start}size\n", 0.2), (f"{start}total\n", 0.4)]
    events, model = run(texts, TableTool(attributes=["size", "total"]), PRESETS["mark"])
    assert text_of(events) == f"{start}size\n"  # the mark is not the likeliest token, and weighed all the same
    assert (
        text_of(run(texts, TableTool(["size", "total"]), replace(PRESETS["mark"], mark_share=0.9))[0])
        == f"{start}total\n"
    )


def test_a_mark_before_a_space_asks_for_the_name_behind_it() -> None:
    tool = TableTool(names=["helper", "self"])
    texts = [("    return<COMP> helpers()\n", 0.9), ("    return<COMP> helper()\n", 0.1)]
    events, _ = run(texts, tool, PRESETS["mark"])
    assert text_of(events) == "    return helper()\n"
    assert [(call.offset, call.chosen) for call in calls(events)] == [(11, Suggestion("helper"))]
    assert tool.queries[-1].before == PROMPT + "    return "


def test_a_mark_where_no_name_comes_glues_nothing_to_the_word_before() -> None:
    events, _ = run([("    return<COMP>(1)\n", 1)], TableTool(names=["helper"]), PRESETS["mark"])
    assert text_of(events) == "    return(1)\n"
    assert not calls(events)


def test_a_doubtful_mark_asks_nothing_in_the_published_method() -> None:
    tool = TableTool(attributes=["size"])
    texts = [("    return self.<COMP>size\n", 0.4), ("    return self.width\n", 0.3), ("    return self.height\n", 0.3)]
    events, _ = run(texts, tool, PRESETS["paper"])
    assert not calls(events)


def test_modes_without_marks_never_write_one() -> None:
    texts = [("    return self.<COMP>size\n", 0.9), ("    return self.size\n", 0.1)]
    events, model = run(texts, config=PRESETS["off"])
    assert text_of(events) == "    return self.size\n"
    assert model.states[-1].token_ids.count(256) == 0
