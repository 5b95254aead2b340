from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.evaluation.leaks import close_leaks


def closed(marked: str, **options: object) -> str:
    """The text without leaks; the hole is written between two ``$0`` and stays between them."""
    before, hole, after = marked.split("$0")
    text, [(start, end)] = close_leaks(before + hole + after, [(len(before), len(before + hole))], **options)  # type: ignore[arg-type]
    assert text[start:end] == hole
    ast.parse(text)
    return text[:start] + "$0" + text[end:]


def test_an_import_that_only_the_hole_uses_goes() -> None:
    assert closed("import re\n\ndef f(x):\n$0    return re.sub('a', 'b', x)\n$0") == "\ndef f(x):\n$0"


@pytest.mark.parametrize(
    "use",
    [
        "def g(): return re.compile('x')\n",
        "PATTERN: re.Pattern\ndef g(): return PATTERN\n",
        "@re.cache\ndef g(): ...\n",
        "def g(x: re.Pattern): ...\n",
        "def g(x: 're.Pattern | None'): ...\n",
        "def g(x=re.I): ...\n",
        "class C(re.Base): ...\n",
        "__all__ = ['re']\n",
        "name = f'{re.escape}'\nprint(name)\n",
    ],
)
def test_a_use_elsewhere_keeps_the_import(use: str) -> None:
    assert closed(f"import re\n\ndef f(x):\n$0    return re.sub('a', 'b', x)\n$0{use}").startswith("import re\n")


def test_the_own_header_and_docstring_count_as_elsewhere() -> None:
    text = closed("import re\nimport io\ndef f(x: re.Pattern):\n    'io'\n$0    return re.sub(io.x)\n$0")
    assert text.startswith("import re\nimport io\n")


def test_one_name_of_several_goes() -> None:
    text = closed("from x import a, b as c, d\n\ndef f():\n$0    return c\n$0\nprint(a, d)\n")
    assert text.startswith("from x import a, d\n")


def test_a_long_list_of_names_stays_a_list() -> None:
    names = [f"a_rather_long_name_{number}" for number in range(6)]
    text = closed(f"from x import ({', '.join(names)}, gone)\ndef f():\n$0    gone()\n$0print({', '.join(names)})\n")
    assert text.startswith("from x import (\n    a_rather_long_name_0,\n")
    assert "gone" not in text


def test_an_unused_import_stays() -> None:
    assert closed("import readline\n\ndef f():\n$0    return 1\n$0").startswith("import readline\n")


@pytest.mark.parametrize(
    ("imports", "inside", "outside", "left"),
    [
        ("import a.b\n", "a.b.x", "a.c.x", "import a.b\n"),  # nothing else binds `a`
        ("import a.b\nimport a.c\n", "a.b.x", "a.c.x", "import a.c\n"),
        ("import a.b\nimport a.c\n", "a.b.x", "a", "import a.b\nimport a.c\n"),
        ("import a.b\n", "a.b.x", "1", ""),
        ("import a.b as n\n", "n.x", "a", ""),
        ("import a, b\n", "b.x", "a", "import a\n"),
        ("from a import *\n", "b.x", "1", "from a import *\n"),
        ("from __future__ import annotations\n", "annotations", "1", "from __future__ import annotations\n"),
    ],
)
def test_forms_of_imports(imports: str, inside: str, outside: str, left: str) -> None:
    tail = f"print({outside})\n"
    assert closed(f"{imports}def f():\n$0    return {inside}\n$0{tail}") == f"{left}def f():\n$0{tail}"


def test_variables_go_with_what_only_they_needed() -> None:
    text = closed("import re\nfrom a import b\n_WORD = re.compile(b)\n\ndef f(x):\n$0    return _WORD.match(x)\n$0")
    assert text == "\ndef f(x):\n$0"


def test_functions_classes_and_dunder_names_stay() -> None:
    head = "__version__ = '1'\ndef g(): ...\nclass C: ...\n"
    assert closed(f"{head}def f():\n$0    return g(C, __version__)\n$0").startswith(head)


def test_type_checking_block_keeps_its_form() -> None:
    head = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import b\n"
    text = closed(f"{head}    from c import d\ndef f():\n$0    x: d = 1\n    return x\n$0\ndef g(x: b): ...\n")
    assert text.startswith(head + "def f")


def test_a_block_that_loses_everything_goes_whole() -> None:
    text = closed("try:\n    import a\nexcept ImportError:\n    a = None\n\ndef f():\n$0    return a.b\n$0")
    assert text == "\ndef f():\n$0"


def test_a_branch_that_loses_everything_keeps_a_pass() -> None:
    text = closed("if x:\n    import a\nelse:\n    import b\ndef f():\n$0    return a\n$0print(b)\n")
    assert text.startswith("if x:\n    pass\nelse:\n    import b\n")


def test_an_elif_that_loses_everything_goes() -> None:
    text = closed("if x:\n    import b\nelif y:\n    import a\ndef f():\n$0    return a\n$0print(b)\n")
    assert text.startswith("if x:\n    import b\ndef f")


def test_a_package_keeps_what_it_offers() -> None:
    text = closed("from .a import b\nimport re\ndef f():\n$0    return re.x(b)\n$0", is_package=True)
    assert text.startswith("from .a import b\ndef f")


def test_names_that_other_files_take_stay() -> None:
    assert closed("import re\nX = 1\ndef f():\n$0    return re, X\n$0", kept={"X"}).startswith("X = 1\ndef f")


def test_statements_on_one_line_stay() -> None:
    assert closed("import re; import io\ndef f():\n$0    re.x\n$0print(io)\n").startswith("import re; import io\n")


def test_line_ends_and_wide_characters() -> None:
    text = closed("x = 'ß€𝄞'\r\nimport re\r\ndef f():\r\n$0    return re.x\r\n$0print(x)\r\n")
    assert text == "x = 'ß€𝄞'\r\ndef f():\r\n$0print(x)\r\n"


def test_several_holes_are_closed_together() -> None:
    text = "import re\ndef f():\n    re.a\ndef g():\n    re.b\n"
    spans = [(text.index("    re.a"), text.index("def g")), (text.index("    re.b"), len(text))]
    result, moved = close_leaks(text, spans)
    assert not result.startswith("import")
    assert [result[start:end] for start, end in moved] == ["    re.a\n", "    re.b\n"]


def test_a_broken_file_comes_back() -> None:
    assert close_leaks("import re\ndef f(:\n", [(10, 12)]) == ("import re\ndef f(:\n", ((10, 12),))


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    imports=st.lists(
        st.tuples(st.sampled_from(["import {}", "from m import {}", "import {}.x", "{} = 1"]), NAMES), max_size=5
    ),
    inside=st.lists(NAMES, min_size=1, max_size=4),
    outside=st.lists(NAMES, max_size=3),
)
def test_only_names_without_a_use_outside_ever_go(
    imports: list[tuple[str, str]], inside: list[str], outside: list[str]
) -> None:
    head = "".join(form.format(name) + "\n" for form, name in imports)
    body = f"    return [{', '.join(inside)}]\n"
    tail = f"print({', '.join(outside)})\n"
    text, [(start, end)] = close_leaks(f"{head}def f():\n{body}{tail}", [(len(head) + 9, len(head) + 9 + len(body))])
    assert text[start:end] == body
    assert text.endswith(tail)
    left = text[: text.index("def f")].splitlines()
    expected = [form.format(name) for form, name in imports if name in outside or name not in inside]
    assert left == expected
