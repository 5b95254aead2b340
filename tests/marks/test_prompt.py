from __future__ import annotations

import ast
import re
import time
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.marks.context import PromptContext, look_around
from generation.marks.prompt import PromptShares, build_prompt, paper_prompt
from generation.types import Definition

AMPLE = 10_000


def count_words(text: str) -> int:
    """A tokenizer of words, blanks and signs: like a real one, additive only almost."""
    return len(re.findall(r"\w{1,5}|\s{1,4}|[^\w\s]", text))


def context_of(text: str, path: str = "pkg/mod.py", **extra: tuple[Definition, ...]) -> PromptContext:
    before, _, after = dedent(text).lstrip("\n").partition("$0")
    return PromptContext(path, before, after, **extra)


def definition(qualname: str, kind: str, signature: str, module: str = "pkg.models") -> Definition:
    return Definition(qualname.rpartition(".")[2], qualname, module, kind, signature, Path("models.py"), 1)


def long_class(methods: int) -> str:
    bodies = "".join(
        f"\n    def method_{n}(self, value: int) -> int:\n        return value * {n}\n" for n in range(methods)
    )
    return f'import os\n\n\nclass Store:\n    """Things."""\n\n    limit: int\n{bodies}\n    def target(self):\n$0'


def test_a_short_file_is_shown_whole() -> None:
    context = context_of("import os\n\n\ndef target(a):\n    '''Doc.'''\n$0")
    assert build_prompt(context, count_words, AMPLE) == f"# pkg/mod.py\n\n{context.before}"


def test_the_rest_of_the_function_is_shown_before_everything_that_stands_above_the_hole() -> None:
    context = context_of("""
        import os

        def target(a):
            b = os.$0sep
            return b
    """)
    assert build_prompt(context, count_words, AMPLE) == (
        "# pkg/mod.py\n\n# After the cursor:\nsep\n    return b\n\n# Before the cursor:\nimport os\n\ndef target(a):\n    b = os."
    )


def test_nothing_is_shown_after_a_hole_that_ends_its_function() -> None:
    for text in ("def target(a):\n$0\n\nOTHER = 1\n", "def target(a):\n    return $0\n\n\ndef f(): ...\n"):
        assert "After the cursor" not in build_prompt(context_of(text), count_words, AMPLE)


def test_a_long_rest_is_cut_to_its_share() -> None:
    rest = "".join(f"    step_{n}()\n" for n in range(300))
    prompt = build_prompt(context_of(f"def target(a):\n$0\n{rest}"), count_words, 200)
    assert count_words(prompt) <= 200
    assert "step_2()" in prompt
    assert "step_9()" not in prompt


def test_definitions_stand_above_the_code_as_stubs() -> None:
    session = definition("Session", "class", "class Session(Base)")
    send = definition("Session.send", "method", "def send(self, request) -> Response")
    prompt = build_prompt(context_of("def target(s: Session):\n$0", definitions=(send, session)), count_words, AMPLE)
    assert prompt == (
        "# pkg/mod.py\n\n"
        "# pkg/models.py\n"
        "class Session(Base):\n"
        "    def send(self, request) -> Response: ...\n\n"
        "def target(s: Session):\n"
    )


def test_a_method_without_its_class_gets_a_header() -> None:
    send = definition("Session.send", "method", "def send(self)")
    prompt = build_prompt(context_of("def target(s: Session):\n$0", definitions=(send,)), count_words, AMPLE)
    assert "# pkg/models.py\nclass Session:\n    def send(self): ...\n" in prompt


def test_members_behind_the_cursor_and_inherited_ones_stand_in_the_class() -> None:
    text = '''
        class Store(Base):
            """Things."""

            def target(self):
        $0
            def later(self, key: str) -> int:
                self.seen = set()
    '''
    inherited = definition("Base.close", "method", "def close(self)")
    assert build_prompt(context_of(text, class_members=(inherited,)), count_words, AMPLE) == (
        "# pkg/mod.py\n\n"
        "class Store(Base):\n"
        '    """Things."""\n\n'
        "    def later(self, key: str) -> int: ...\n"
        "    seen = set()\n"
        "    def close(self): ...\n\n"
        "    def target(self):\n"
    )


def test_a_class_that_is_cut_through_keeps_its_header_and_stubs_of_what_is_gone() -> None:
    prompt = build_prompt(context_of(long_class(30)), count_words, 400)
    assert prompt.startswith("# pkg/mod.py\n\nimport os\n\nclass Store:\n    ")
    assert "    def method_0(self, value: int) -> int: ...\n" in prompt
    assert "    def method_29(self, value: int) -> int:\n        return value * 29\n" in prompt
    assert prompt.count("class Store") == 1
    ast.parse(f"{prompt}        pass\n")


def test_tabs_indent_the_stubs_of_a_class_that_is_cut_through() -> None:
    prompt = build_prompt(context_of(long_class(30).replace("    ", "\t")), count_words, 400)
    assert "\nclass Store:\n\tlimit: int\n\tdef method_0(self, value: int) -> int: ...\n" in prompt


def test_nothing_is_said_twice() -> None:
    prompt = build_prompt(context_of(long_class(8)), count_words, AMPLE)
    assert all(prompt.count(f"def method_{n}(") == 1 for n in range(8))
    assert prompt.count("import os") == 1


def test_a_function_of_the_same_file_behind_the_cursor_is_offered_from_the_text() -> None:
    stale = definition("assemble_parts", "function", "def assemble_parts(old)", module="pkg.mod")
    text = "def target():\n    '''Calls assemble_parts().'''\n$0\ndef assemble_parts(new): ...\n"
    prompt = build_prompt(context_of(text, definitions=(stale,)), count_words, AMPLE)
    assert "def assemble_parts(new): ...\n" in prompt
    assert "old" not in prompt


def test_windows_line_ends_become_unix_ones() -> None:
    prompt = build_prompt(PromptContext("a.py", "x = 1\r\ndef f():\r\n"), count_words, AMPLE)
    assert prompt == "# a.py\n\nx = 1\ndef f():\n"


def test_tabs_stay() -> None:
    prompt = build_prompt(
        PromptContext("a.py", "class A:\n\tdef f(self):\n", "\tdef g(self): ...\n"), count_words, AMPLE
    )
    assert prompt == "# a.py\n\nclass A:\n\tdef g(self): ...\n\n\tdef f(self):\n"


@pytest.mark.parametrize("before", ["", "\n", "x = (", "def f(", "class A:\n    ", "def broken(:\n\ndef f():\n"])
def test_any_text_before_ends_the_prompt(before: str) -> None:
    assert build_prompt(PromptContext("a.py", before), count_words, AMPLE).endswith(f"\n{before}")


def test_an_overlong_docstring_loses_its_middle() -> None:
    lines = "".join(f"    line {n} of the text\n" for n in range(100))
    before = f'def f(a, b):\n    """First.\n\n{lines}    """\n'
    prompt = build_prompt(PromptContext("a.py", before), count_words, 100)
    assert count_words(prompt) <= 100
    assert 'def f(a, b):\n    """First.\n\n    line 0 of' in prompt
    assert prompt.endswith('line 99 of the text\n    """\n')
    assert "\n    ...\n" in prompt


def test_a_signature_larger_than_the_budget_keeps_its_end() -> None:
    before = "def f(\n" + "".join(f"    parameter_{n}: int,\n" for n in range(50)) + ") -> None:\n"
    prompt = build_prompt(PromptContext("a.py", before), count_words, 20)
    assert 0 < count_words(prompt) <= 20
    assert before.endswith(prompt)


def test_the_paper_reads_signature_and_docstring_only() -> None:
    assert (
        paper_prompt("import os\n\nclass A:\n    def f(self):\n        '''D.'''\n")
        == "    def f(self):\n        '''D.'''\n"
    )


def test_a_share_of_nothing_leaves_a_part_out() -> None:
    shares = PromptShares(imports=0, definitions=0, members=0)
    prompt = build_prompt(context_of(long_class(30)), count_words, 200, shares)
    assert "import os" not in prompt
    assert "class Store:\n    ...\n" in prompt


names = st.sampled_from(["alpha", "beta_value", "Session", "gamma"])
statements = st.one_of(
    names.map("import {}\n".format),
    st.tuples(names, names).map(lambda pair: f"{pair[0]} = {pair[1]}(1)\n"),
    names.map('def {}(self, a: int):\n    """Doc."""\n    return self.a\n'.format),
    names.map("class {}(Base):\n    x: int = 1\n\n    def m(self):\n        self.y = 1\n        return 2\n".format),
    names.map("# about {}\n".format),
    st.sampled_from(["def broken(:\n", "x = (\n", "'''\n", "\tx\n", "\r\n", "é = '\U0001f600'\n"]),
)
targets = st.sampled_from(
    ["def target(a: Session):\n", '    def target(self):\n        """Call alpha()."""\n', "x = ", ""]
)
contexts = st.builds(
    lambda above, target, below: PromptContext("pkg/mod.py", "".join(above) + target, "".join(below)),
    st.lists(statements, max_size=12),
    targets,
    st.lists(statements, max_size=5),
)


@given(contexts, st.integers(0, 300))
def test_the_budget_is_kept_and_the_end_is_the_text_before(context: PromptContext, budget: int) -> None:
    prompt = build_prompt(context, count_words, budget)
    assert count_words(prompt) <= budget
    last_lines = context.before.replace("\r\n", "\n").splitlines(keepends=True)[-1:]
    assert prompt.endswith("".join(last_lines)) or len(prompt) < len("".join(last_lines))


@given(contexts)
def test_with_room_the_target_is_whole(context: PromptContext) -> None:
    assert build_prompt(context, count_words, AMPLE).endswith(look_around(context).head)


@pytest.mark.parametrize("budget", [150, 300, AMPLE])
def test_writing_on_in_a_function_keeps_the_prefix(budget: int) -> None:
    context = context_of(long_class(20))
    body = ["        first = self.method_1(2)\n", "        second = first\n", "        return se"]
    shares = PromptShares(step_tokens=64)
    befores = [context.before + "".join(body[:size]) for size in range(len(body) + 1)]
    prompts = [build_prompt(PromptContext(context.path, before), count_words, budget, shares) for before in befores]
    assert all(later.startswith(earlier) for earlier, later in pairwise(prompts))


def test_a_file_of_two_thousand_lines_takes_little_time() -> None:
    context = context_of(long_class(660))
    started = time.process_time()
    build_prompt(context, count_words, 1024)
    assert time.process_time() - started < 0.5
