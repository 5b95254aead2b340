"""The loop, driven by a scripted model and a table of suggestions: every rule of the method in milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.config import PRESETS, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.types import (
    Finished,
    FinishReason,
    GenerationRequest,
    ImportNeeded,
    NameKind,
    Suggestion,
    SuggestionSource,
    TextDelta,
)
from tests.decoding.drafts import lookup
from tests.decoding.generating import PROMPT, TableTool, calls, run, text_of
from tests.decoding.scripted import ScriptedModel, writes

IMPORT_JSON = Suggestion("json", "module", SuggestionSource.IMPORT, ImportNeeded("json"))


def test_off_writes_what_the_model_writes() -> None:
    events, _ = run([("    return self.gone\n", 1)], config=PRESETS["off"])
    assert text_of(events) == "    return self.gone\n"
    assert not calls(events)


def test_an_invented_member_is_replaced_by_one_that_exists() -> None:
    tool = TableTool(attributes=["size", "name"])
    events, _ = run([("    return self.sizes_of\n", 0.9), ("    return self.size\n", 0.1)], tool)
    assert text_of(events) == "    return self.size\n"
    attribute = calls(events)[-1]
    assert (attribute.chosen, attribute.model_choice) == (Suggestion("size"), "sizes_of")
    assert tool.queries[-1].before == PROMPT + "    return self."


def test_a_keyword_is_no_member() -> None:
    tool = TableTool(attributes=["size"], names=["self"])
    events, _ = run([("    return self.None\n", 0.9), ("    return self.size\n", 0.0001)], tool)
    assert text_of(events) == "    return self.size\n"


def test_a_body_that_does_not_parse_ends_where_it_did() -> None:
    events, _ = run([("    a = 1\n    b = (2))\n    return a\n", 1)], config=PRESETS["off"])
    assert text_of(events) == "    a = 1\n"


def test_comments_give_way_to_code() -> None:
    comments = "".join(f"    # {number}\n" for number in range(20))
    code = "".join(f"    # {number}\n" for number in range(6)) + "    return 1\n"
    events, _ = run([(comments, 0.9), (code, 0.1)], config=PRESETS["off"], max_tokens=300)
    assert text_of(events) == code


def test_a_name_that_starts_another_competes_as_a_whole() -> None:
    tool = TableTool(attributes=["get", "get_all", "put"])
    texts = [
        ("    self.get()\n", 0.3),
        ("    self.get_all()\n", 0.25),
        ("    self.get_any()\n", 0.2),
        ("    self.put()\n", 0.25),
    ]
    events, _ = run(texts, tool)
    assert text_of(events) == "    self.get()\n"
    assert [c.name for c in calls(events)[-1].best] == ["get", "get_all"]  # put cannot win, so nobody looks
    assert calls(events)[-1].best[0].probability == pytest.approx(0.3, abs=0.01)


def test_the_whole_name_decides_where_the_greedy_walk_errs() -> None:
    """`a` is the likelier letter, but no name below it is likely: x is chosen as a whole, the walk takes the a's."""
    tool = TableTool(attributes=["aa", "ab", "x"])
    texts = [("    self.aq()\n", 0.5), ("    self.aa()\n", 0.06), ("    self.x()\n", 0.4)]
    whole, _ = run(texts, tool)
    walked, _ = run(texts, tool, replace(PRESETS["dot"], whole_identifier=False, abstain=True))
    assert text_of(whole) == "    self.x()\n"
    assert text_of(walked).startswith("    self.aa")


def test_after_a_chosen_name_the_identifier_cannot_go_on() -> None:
    tool = TableTool(attributes=["size"])
    events, _ = run([("    return self.size_total\n", 0.9), ("    return self.size\n", 0.1)], tool)
    assert text_of(events) == "    return self.size\n"


def test_without_boundary_it_goes_on() -> None:
    tool = TableTool(attributes=["size"])
    events, _ = run(
        [("    return self.size_total\n", 1)], tool, replace(PRESETS["paper"], trigger=PRESETS["dot"].trigger)
    )
    assert text_of(events) == "    return self.size_total\n"


def test_an_unlikely_untrusted_list_is_declined() -> None:
    texts = [("    return self.width\n", 0.99), ("    return self.size\n", 0.01)]
    untrusted, _ = run(texts, TableTool(attributes=["size"], trusted=False))
    trusted, _ = run(texts, TableTool(attributes=["size"], trusted=True))
    assert text_of(untrusted) == "    return self.width\n"
    assert calls(untrusted)[-1].chosen is None
    assert text_of(trusted) == "    return self.size\n"


@pytest.mark.parametrize(
    "body",
    [
        "    total = 1\n    print(total)\n",
        "    print(end=self)\n",
        "    return [item for item in self]\n",
        "    print(print(item) for item in self)\n",
        "    self.fresh = 1\n",
        "    first, second = self\n",
        "    for item in self:\n        pass\n",
    ],
)
def test_new_names_are_not_forced_into_the_list(body: str) -> None:
    tool = TableTool(attributes=["size"], names=["self", "print", "total"])
    events, _ = run([(body, 0.9), (body.replace("item", "self"), 0.05)], tool)
    assert text_of(events) == body


def test_an_invented_argument_is_replaced_by_one_that_the_call_takes() -> None:
    texts = [("    print(endings=self)\n", 0.9), ("    print(end=self)\n", 0.1)]
    known, _ = run(texts, TableTool(arguments=["end=", "sep="]))
    assert text_of(known) == "    print(end=self)\n"
    assert [(call.kind, call.chosen) for call in calls(known)][1] == (NameKind.ARGUMENT, Suggestion("end="))
    open_call, _ = run(texts, TableTool(arguments=["end="], trusted=False))
    assert text_of(open_call) == "    print(endings=self)\n"


def test_an_argument_may_be_called_like_a_name_in_scope() -> None:
    tool = TableTool(arguments=["self=", "sep="])
    events, _ = run([("    print(self=self, sep=self)\n", 1)], tool)
    assert text_of(events) == "    print(self=self, sep=self)\n"


def test_an_invented_import_is_replaced_by_what_the_module_has() -> None:
    tool = TableTool(attributes=["load"], names=["self", "load"], imports=["json", "load"])
    events, _ = run([("    from json import read\n", 0.9), ("    from json import load\n", 0.1)], tool)
    assert text_of(events) == "    from json import load\n"
    assert [(call.kind, call.chosen and call.chosen.name) for call in calls(events)] == [
        (NameKind.IMPORT, "json"),
        (NameKind.IMPORT, "load"),
    ]


def test_the_published_method_does_not_ask_at_imports() -> None:
    events, _ = run([("    import gone\n", 1)], TableTool(imports=["json"]), config=PRESETS["paper"])
    assert text_of(events) == "    import gone\n"


def test_an_undefined_name_is_replaced() -> None:
    events, _ = run([("    return selves\n", 0.9), ("    return self\n", 0.1)])
    assert text_of(events) == "    return self\n"


def test_a_name_that_needs_an_import_brings_it() -> None:
    tool = TableTool(attributes=["dumps"], importable={"json": IMPORT_JSON})
    events, _ = run([("    return json.dumps(self)\n", 1)], tool)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.text, last.imports) == ("    return json.dumps(self)\n", (ImportNeeded("json"),))


def test_an_import_to_come_is_known_to_the_questions_behind_it() -> None:
    tool = TableTool(attributes=["dumps"], importable={"json": IMPORT_JSON})
    run([("    return json.dumps(self)\n", 1)], tool)
    (behind,) = (query for query in tool.queries if query.kind is NameKind.ATTRIBUTE)
    assert behind.before.startswith("import json\n")


def test_a_bracket_that_nothing_opened_is_not_closed() -> None:
    texts = [("    return f'{[1]}'])\n", 0.9), ("    return f'{[1]}'\n", 0.1)]
    assert text_of(run(texts, config=PRESETS["off"])[0]) == "    return f'{[1]}'\n"


def test_a_try_is_not_left_without_its_handler() -> None:
    texts = [("    try:\n        print()\n", 0.9), ("    try:\n        print()\n    finally:\n        print()\n", 0.1)]
    assert text_of(run(texts, config=PRESETS["off"])[0]) == texts[1][0]


def test_strings_and_comments_ask_nothing_but_fields_do() -> None:
    tool = TableTool(attributes=["size"])
    events, _ = run([("    # self.gone\n    return 'self.gone' + f'{self.size}'\n", 1)], tool)
    assert [call.kind for call in calls(events)] == [NameKind.NAME, NameKind.ATTRIBUTE]


def test_the_block_ends_where_code_leaves_it() -> None:
    events, _ = run([("    pass\n\n    print(1)\ndef g(): pass\n", 1)])
    assert text_of(events) == "    pass\n\n    print(1)\n"
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown == "    pass\n\n    print(1)"


def test_a_block_is_never_empty() -> None:
    events, _ = run([("", 0.9), ("    pass\n", 0.1)])
    assert text_of(events) == "    pass\n"


def test_a_limit_ends_at_a_complete_statement() -> None:
    events, _ = run([("    print(1)\n    print(self\n", 1)], max_tokens=22)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.text) == (FinishReason.LIMIT, "    print(1)\n")


def test_a_header_gets_a_block() -> None:
    texts = [("    if self:\n", 0.9), ("    if self:\n        return 1\n", 0.1)]
    assert text_of(run(texts)[0]) == "    if self:\n        return 1\n"


def test_a_keyword_may_start_a_name() -> None:
    texts = [("    return is_new(self)\n", 0.9), ("    return is_old(self)\n", 0.1)]
    events, _ = run(texts, TableTool(names=["self", "is_old"]))
    assert text_of(events) == "    return is_old(self)\n"


def test_a_name_that_nothing_binds_here_is_not_new() -> None:
    tool = TableTool(names=["self", "old", "print"])
    texts = [("    print(fresh)\n", 0.99), ("    print(old)\n", 0.01)]
    unless_bound = replace(PRESETS["dot"], abstain_below=0.05)
    tool.trusted = tool.trusted_unless_bound = False
    assert text_of(run(texts, tool, unless_bound)[0]) == "    print(fresh)\n"
    tool.trusted_unless_bound = True
    assert text_of(run(texts, tool, unless_bound)[0]) == "    print(old)\n"
    bound = [("    print(fresh for fresh in self)\n", 0.99), ("    print(old)\n", 0.01)]
    assert text_of(run(bound, tool, unless_bound)[0]) == "    print(fresh for fresh in self)\n"


def test_an_import_of_what_was_cut_off_is_not_needed() -> None:
    found = Suggestion("re", "module", SuggestionSource.IMPORT, ImportNeeded("re"))
    tool = TableTool(attributes=["compile"], names=["self", "result", "y"], importable={"re": found})
    body = "    result = 1\n    y = re.compile(result)\n    return y\n"
    for max_tokens, imports in ((28, ()), (100, (ImportNeeded("re"),))):
        *_, last = run([(body, 1)], tool, max_tokens=max_tokens)[0]
        assert isinstance(last, Finished)
        assert last.imports == imports, last.text


def test_cancel_and_deadline_end_with_what_is_there() -> None:
    model = ScriptedModel(writes(PROMPT, ("    print(1)\n    return 2\n", 1)))
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ")
    generator = Generator(model, None, None, PRESETS["off"], SamplingConfig())
    cancel = threading.Event()
    events = []
    for event in generator.stream(request, cancel):
        events.append(event)
        if isinstance(event, TextDelta) and event.text.endswith("r") and len(events) > 8:
            cancel.set()
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].text) == (FinishReason.CANCELLED, "    print(1)\n")
    late = list(generator.stream(request, deadline_s=0.0))[-1]
    assert isinstance(late, Finished)
    assert late.reason is FinishReason.DEADLINE
    assert all(state.closed for state in model.states)


def test_closing_the_stream_closes_the_state() -> None:
    model = ScriptedModel(writes(PROMPT, ("    print(1)\n", 1)))
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ")
    stream = Generator(model, None, None, PRESETS["off"], SamplingConfig()).stream(request)
    next(stream)
    stream.close()
    assert model.states[-1].closed


class GarbageDrafter:
    def __init__(self, guesses: Sequence[int]) -> None:
        self.guesses = guesses

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        return self.guesses[:limit]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 255), max_size=8), st.integers(0, 16))
def test_greedy_text_does_not_depend_on_drafts(guesses: list[int], width: int) -> None:
    body = "    self.size = self.size + 1\n    self.size = self.size + 2\n    return self.size\n"
    tool = TableTool(attributes=["size", "sizes"])
    config = replace(PRESETS["dot"], draft_tokens=width)
    plain, _ = run([(body, 1)], tool, config)
    for drafter in (lookup(), GarbageDrafter(guesses), GarbageDrafter(list(b" = self."))):
        drafted, _ = run([(body, 1)], tool, config, drafter)
        assert text_of(drafted) == text_of(plain) == body


class Knowing:
    """Guesses what is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        return list(self.text.encode())[len(token_ids) :][:limit]


@pytest.mark.parametrize("width", [2, 5, 16])
def test_what_is_taken_back_does_not_depend_on_drafts(width: int) -> None:
    """Nothing that was shown is taken back, and a draft does not show less than its tokens one by one."""
    begun = "    size = current_frame = current_trace = "
    loop, other = begun + 12 * "current_trace = ", begun + "current_traces = 1\n    return size\n"
    config = replace(PRESETS["off"], draft_tokens=width)
    plain, _ = run([(loop, 0.9), (other, 0.1)], config=config)
    drafted, _ = run([(loop, 0.9), (other, 0.1)], config=config, drafter=Knowing(PROMPT + loop))
    assert text_of(drafted) == text_of(plain)


@pytest.mark.parametrize("preset", ["off", "dot"])
def test_the_end_of_the_context_ends_the_text_at_the_same_token_whatever_is_drafted(preset: str) -> None:
    body = "    the_long_variable_name = self.another_long_name\n    c = '0123456789'\n    return self\n"
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ")

    def written(context_tokens: int, drafter: Knowing | None) -> Finished:
        model = ScriptedModel(writes(PROMPT, (body, 1)))
        model.context_tokens = context_tokens
        tool = TableTool(attributes=["another_long_name", "x" * 200])
        *_, last = Generator(model, tool, drafter, PRESETS[preset], SamplingConfig()).stream(request)
        assert isinstance(last, Finished)
        return last

    texts = set()
    for context_tokens in range(len(PROMPT) + 50, len(PROMPT) + len(body) + 60):
        plain, drafted = written(context_tokens, None), written(context_tokens, Knowing(PROMPT + body))
        assert (plain.text, plain.reason, plain.stats.generated_tokens) == (
            drafted.text, drafted.reason, drafted.stats.generated_tokens,
        )  # fmt: skip
        texts.add(plain.text)
    assert body in texts
    assert len(texts) > 2


def test_drafts_save_forwards() -> None:
    body = "    x = 'one two three, one two three, one two three, one two three'\n"
    _, plain = run([(body, 1)])
    _, drafted = run([(body, 1)], drafter=lookup())
    assert drafted.forwards < plain.forwards * 0.6


def test_forced_tokens_cost_no_forward_each() -> None:
    tool = TableTool(attributes=["a_very_long_member_name"])
    texts = [("    self.b()\n", 0.9), ("    self.a_very_long_member_name()\n", 0.1)]
    events, model = run(texts, tool)
    assert text_of(events) == "    self.a_very_long_member_name()\n"
    assert model.forwards < len("    self.a_very_long_member_name()")


def test_sampling_repeats_by_seed_and_draws_by_weight() -> None:
    tool = TableTool(attributes=["one", "two"])
    texts = [("    self.one()\n", 0.5), ("    self.two()\n", 0.5)]
    sampling = SamplingConfig(temperature=1.0)
    drawn = [text_of(run(texts, tool, sampling=sampling, seed=seed)[0]) for seed in range(30)]
    again = [text_of(run(texts, tool, sampling=sampling, seed=seed)[0]) for seed in range(30)]
    assert drawn == again
    assert {"    self.one()\n", "    self.two()\n"} <= set(drawn)


@pytest.mark.parametrize(
    ("short", "long"), [("    pass\n", "    pass_x = 1\n"), ("    total = 1\n", "    total_x = 1\n")]
)
def test_the_tool_leaves_what_is_valid_its_probability(short: str, long: str) -> None:
    def drawn(preset: str) -> int:
        texts, sampling = [(short, 0.5), (long, 0.5)], SamplingConfig(temperature=1.0)
        found = [run(texts, config=PRESETS[preset], sampling=sampling, seed=seed)[0] for seed in range(200)]
        return sum(text_of(events) == short for events in found)

    assert abs(drawn("off") - 100) < 30  # four standard deviations
    assert abs(drawn("dot") - 100) < 30
