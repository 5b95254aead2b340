"""What is taken back and refused: text that repeats itself, dots, arguments and imports of what does not exist."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from generation.config import PRESETS, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.types import Finished, FinishReason, GenerationRequest, NameKind, TextDelta, ToolAnswer, ToolQuery
from tests.decoding.generating import PROMPT, TableTool, run, text_of
from tests.decoding.scripted import ScriptedModel, ScriptedState, writes


def test_a_call_that_loops_goes_another_way() -> None:
    loop = "    x = self.clock(" * 1 + "self.clock(" * 12
    texts = [(loop, 0.9), ("    x = self.clock(self.clock)\n", 0.1)]
    events, _ = run(texts, config=PRESETS["off"], max_tokens=300)
    assert text_of(events) == "    x = self.clock(self.clock)\n"


def test_a_dot_is_taken_back_where_nothing_behind_it_is_meant() -> None:
    texts = [("    return self.gone\n", 0.9), ("    return self\n", 0.1)]
    events, _ = run(texts, TableTool(attributes=["zap"]))
    assert text_of(events) == "    return self\n"
    assert text_of(run(texts, TableTool(attributes=["zap"], trusted=False))[0]) == "    return self.gone\n"
    only, _ = run([("    return self.gone\n", 1)], TableTool(attributes=["zap"]))
    assert text_of(only)  # nothing else can be written, and something is better than nothing


def test_a_module_that_is_no_package_has_no_modules() -> None:
    texts = [("    from self.gone import print\n", 0.9), ("    from self import print\n", 0.1)]

    class Tool(TableTool):
        def suggest(self, query: ToolQuery) -> ToolAnswer:
            self.lists[NameKind.IMPORT] = [] if query.before.endswith(".") else ["self", "print"]
            return super().suggest(query)

    assert text_of(run(texts, Tool())[0]) == "    from self import print\n"
    assert text_of(run(texts, Tool(trusted=False))[0]) == "    from self.gone import print\n"


def test_no_call_gets_an_argument_twice() -> None:
    texts = [("    print(a=1, a=2)\n", 0.9), ("    print(a=1, b=2)\n", 0.1)]

    class Tool(TableTool):
        def suggest(self, query: ToolQuery) -> ToolAnswer:
            self.excluded = ("a=",) if "a=1" in query.before else ()
            return super().suggest(query)

    assert text_of(run(texts, Tool(trusted=False))[0]) == "    print(a=1, b=2)\n"
    assert text_of(run(texts, Tool(trusted=False, arguments=["b="]))[0]) == "    print(a=1, b=2)\n"


def test_an_argument_is_not_given_twice_however_often_the_model_wants_to() -> None:
    given = ["a=1", "b=1", "c=1", "d=1", "e=1", "f=1"]
    texts = [(f"    print({', '.join(given[:count])}, a=1)\n", 0.1**count) for count in range(1, len(given) + 1)]

    class Tool(TableTool):
        def suggest(self, query: ToolQuery) -> ToolAnswer:
            self.excluded = ("a=",) if "a=1" in query.before else ()
            return super().suggest(query)

    texts.append((f"    print({', '.join(given)})\n", 1e-9))
    assert text_of(run(texts, Tool(trusted=False))[0]) == f"    print({', '.join(given)})\n"


def test_a_known_module_has_what_it_has() -> None:
    texts = [("    from json import gone\n", 1.0), ("    from json import load\n", 1e-7)]
    assert text_of(run(texts, TableTool(imports=["json", "load"]))[0]) == "    from json import load\n"


def test_a_repetition_is_taken_back_and_something_else_is_written() -> None:
    once = "    self.a()\n    print(self)\n    print(print)\n"
    again = 50 * "    print(self)\n    print(print)\n"
    events, model = run([(once + again, 0.9), (once + "\n    return\n", 0.1)], TableTool(["a"]))
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.text) == (FinishReason.END, f"{once}\n    return\n")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).count("print(self)") == 1
    assert all(state.closed for state in model.states)


def test_a_comment_without_end_is_taken_back_and_never_shown() -> None:
    events, _ = run([("    # " + "1." * 200, 0.9), ("    return 1\n", 0.1)], max_tokens=200)
    assert text_of(events) == "    return 1\n"
    assert not any("#" in event.text for event in events if isinstance(event, TextDelta))


def test_a_docstring_that_repeats_itself_is_done_without_and_never_shown() -> None:
    again = 40 * "\n    None if it is set.\n\n    None if it is not.\n"
    for opening in ('"""', '"""The state.\n', "# Why.\n    '''"):
        texts = [(f"    {opening}{again}", 0.9), ("    return 1\n", 0.1)]
        events, model = run(texts, config=PRESETS["off"], max_tokens=1000)
        last = events[-1]
        assert isinstance(last, Finished)
        assert (last.reason, last.text) == (FinishReason.END, "    return 1\n")
        assert last.stats.generated_tokens < 250
        assert "None" not in "".join(event.text for event in events if isinstance(event, TextDelta))
        assert all(state.closed for state in model.states)


def test_a_text_in_a_statement_may_say_a_line_again() -> None:
    text = '    return """\n    |\n    |\n    |\n    |\n"""\n'
    assert text_of(run([(text, 1)], config=PRESETS["off"])[0]) == text


def test_it_ends_when_it_only_repeats_itself() -> None:
    lines = [f"    print({'self' * number})\n" for number in range(1, 6)]
    texts = [("\n".join([*lines[:index], line * 40]), 0.1**index) for index, line in enumerate(lines)]
    events, _ = run(texts, config=PRESETS["off"], max_tokens=2000)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.text) == (FinishReason.REPETITION, "\n".join(lines[:4]))
    assert last.stats.generated_tokens < 400


def test_going_back_can_be_cancelled() -> None:
    said = "    self.a()\n    print(self)\n"
    cancel = threading.Event()

    class Model(ScriptedModel):
        def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> ScriptedState:
            if self.states:
                cancel.set()
            return super().start(prompt_ids, stop)

    model = Model(writes(PROMPT, (said + 9 * "    print(self)\n", 1)))
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ")
    *_, last = Generator(model, None, None, PRESETS["off"], SamplingConfig()).stream(request, cancel)
    assert isinstance(last, Finished)
    assert (last.reason, last.text) == (FinishReason.CANCELLED, said)
    assert len(model.states) == 1
    assert model.states[0].closed
