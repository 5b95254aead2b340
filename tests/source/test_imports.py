"""Adding imports: where they go, what is bound already, and isort as an independent judge."""

from __future__ import annotations

import ast
import itertools
import textwrap

import isort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.source.imports import LONGEST_LINE, add_imports, import_edits
from generation.types import ImportNeeded

FIRST_PARTY = ("pkg",)
ISORT = isort.Config(known_first_party=FIRST_PARTY, src_paths=(), line_length=200)

HEADERS = ("", '"""Doc."""\n', "#!/usr/bin/env python\n", "# licence\n\n", '# coding: utf-8\n"""Doc.\n\nmore\n"""\n\n')
ENDINGS = ("", "\nx = 1\n", "\n\ndef f():\n    pass\n", "\n\n@d\nclass A:\n    pass\n", "# about x\nx = 1\n")
STATEMENTS = (
    "from __future__ import annotations",
    "import abc",
    "import os",
    "import os.path",
    "from collections import OrderedDict",
    "from typing import (\n    Any,\n    cast,\n)",
    "from json import dumps as dd",
    "import numpy as np",
    "import x10",
    "import x9",
    "from Zed import A",
    "from requests import get",
    "import pkg.core",
    "from pkg import core",
    "from pkg.core import CONST, Thing, do",
    "from . import q",
    "from .a import b",
    "from .. import up",
    "from ..c import d",
)
NEEDED = (
    ImportNeeded("sys"),
    ImportNeeded("re"),
    ImportNeeded("os.path"),
    ImportNeeded("collections", "Counter"),
    ImportNeeded("collections.abc", "Mapping"),
    ImportNeeded("typing", "TYPE_CHECKING"),
    ImportNeeded("typing", "overload"),
    ImportNeeded("json", "loads"),
    ImportNeeded("json", "loads", "ll"),
    ImportNeeded("__future__", "annotations"),
    ImportNeeded("numpy", None, "np"),
    ImportNeeded("matplotlib.pyplot", None, "plt"),
    ImportNeeded("x11"),
    ImportNeeded("Aaa", "b"),
    ImportNeeded("requests", "Session"),
    ImportNeeded("pkg", "util"),
    ImportNeeded("pkg.core", "ALL"),
    ImportNeeded("pkg.core", "zz"),
    ImportNeeded(".", "r"),
    ImportNeeded(".z", "z"),
    ImportNeeded("..c", "C"),
)


def added(text: str, *needed: ImportNeeded) -> str:
    return add_imports(textwrap.dedent(text), needed, FIRST_PARTY)


def sources(clean: bool) -> st.SearchStrategy[str]:
    body = st.lists(st.sampled_from(STATEMENTS), max_size=7, unique=True)
    text = st.tuples(st.sampled_from(HEADERS), body, st.sampled_from(ENDINGS))
    joined = text.map(lambda parts: parts[0] + "".join(f"{line}\n" for line in _future_first(parts[1])) + parts[2])
    return joined.map(lambda source: isort.code(source, config=ISORT)) if clean else joined


def _future_first(lines: list[str]) -> list[str]:
    return sorted(lines, key=lambda line: "__future__" not in line)


@settings(max_examples=150)
@given(sources(clean=True), st.sampled_from(NEEDED))
def test_isort_has_nothing_to_change(text: str, needed: ImportNeeded) -> None:
    result = add_imports(text, [needed], FIRST_PARTY)
    assert result == text or isort.code(result, config=ISORT) == result


@settings(max_examples=150)
@given(
    sources(clean=False),
    st.lists(st.sampled_from(NEEDED), max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
    st.booleans(),
)
def test_properties(text: str, needed: list[ImportNeeded], newline: str, bom: str, ends: bool) -> None:
    text = bom + (text if ends else text.rstrip("\n")).replace("\n", newline)
    result = add_imports(text, needed, FIRST_PARTY)
    assert _is_subsequence(text, result)
    assert {one.bound_name for one in needed} <= _bound(result.removeprefix("\ufeff"))
    assert add_imports(result, needed, FIRST_PARTY) == result
    assert result.startswith(bom)
    assert "\n" not in result.replace(newline, "") if newline in text else True
    assert _applied(text, needed) == result


def _is_subsequence(part: str, whole: str) -> bool:
    characters = iter(whole)
    return all(character in characters for character in part)


def _bound(text: str) -> set[str]:
    statements = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name.partition(".")[0] for node in statements for alias in node.names}


def _applied(text: str, needed: list[ImportNeeded]) -> str:
    edits = import_edits(text, needed, FIRST_PARTY)
    assert all(first.end <= second.start for first, second in itertools.pairwise(edits))
    for edit in reversed(edits):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


@pytest.mark.parametrize(
    ("text", "needed", "expected"),
    [
        ("", ImportNeeded("os"), "import os\n"),
        ("x = 1", ImportNeeded("os"), "import os\n\nx = 1"),
        ('"""Doc."""', ImportNeeded("os"), '"""Doc."""\n\nimport os\n'),
        ("import abc", ImportNeeded("os"), "import abc\nimport os\n"),
        ("from m import b\n", ImportNeeded("m", "a"), "from m import a, b\n"),
        ("from m import (a, c)\n", ImportNeeded("m", "b"), "from m import (a, b, c)\n"),
        ("from m import a; x = 1\n", ImportNeeded("m", "b"), "from m import a, b; x = 1\n"),
        ("from m import a \\\n    , c\n", ImportNeeded("m", "d"), "from m import a \\\n    , c, d\n"),
        ("from m import *\n", ImportNeeded("m", "a"), "from m import *\nfrom m import a\n"),
        ("# é\nfrom ä import ö\n", ImportNeeded("ä", "ü"), "# é\nfrom ä import ö, ü\n"),
        ('import os; x = """\n"""\n', ImportNeeded("sys"), 'import os; x = """\n"""\nimport sys\n'),
    ],
)
def test_places(text: str, needed: ImportNeeded, expected: str) -> None:
    assert add_imports(text, [needed]) == expected


def test_rows_keep_their_comments() -> None:
    text = """\
        from m import (
            a,  # first
            # about c
            c  # last
        )
    """
    assert added(text, ImportNeeded("m", "b"), ImportNeeded("m", "d")) == textwrap.dedent(
        """\
        from m import (
            a,  # first
            b,
            # about c
            c,  # last
            d
        )
        """
    )


def test_a_bracket_on_the_last_row_is_respected() -> None:
    assert (
        added("from m import (\n    a,\n    b)\n", ImportNeeded("m", "c"))
        == "from m import (\n    a,\n    b,\n    c)\n"
    )


def test_a_line_that_would_get_too_long_is_broken() -> None:
    long = "from m import " + ", ".join(f"name_{number}" for number in range(10, 20))
    result = add_imports(long + "\n", [ImportNeeded("m", "name_15x")])
    assert max(map(len, result.splitlines())) <= LONGEST_LINE
    assert result.splitlines()[6:8] == ["    name_15,", "    name_15x,"]
    assert _bound(result) == _bound(long) | {"name_15x"}


def test_comments_above_an_import_stay_with_it() -> None:
    text = "import abc\n# about sys\nimport sys\n"
    assert added(text, ImportNeeded("os")) == "import abc\nimport os\n# about sys\nimport sys\n"


@pytest.mark.parametrize(
    "text",
    [
        "import json\n",
        "import simplejson as json\n",
        "try:\n    import json\nexcept ImportError:\n    json = None\n",
        "import sys\nif sys.platform:\n    from fast import json\n",
        "if not TYPE_CHECKING:\n    import json\n",
        "def json(): ...\n",
        "json = 1\n",
        "(json, other) = 1, 2\n",
        "for json in range(3):\n    pass\n",
        "while json := 0:\n    pass\n",
        "match 1:\n    case json:\n        pass\n",
        "with open('a') as json:\n    pass\n",
        "for a in range(3):\n    json = a\n",
        "try:\n    pass\nexcept* OSError as json:\n    pass\n",
    ],
)
def test_a_name_that_is_bound_is_left_alone(text: str) -> None:
    assert add_imports(text, [ImportNeeded("json")]) == text
    assert import_edits(text, [ImportNeeded("json")]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import json\n",
        "def f():\n    import json\n",
        "json: object\n",
        "import json.decoder as decoder\n",
        "a = [json for json in range(3)]\n",
    ],
)
def test_a_name_that_is_not_bound_at_run_time_is_imported(text: str) -> None:
    assert "json" in _bound(add_imports(text, [ImportNeeded("json")]))


def test_a_submodule_is_imported_beside_its_package() -> None:
    assert added("import os\n", ImportNeeded("os.path")) == "import os\nimport os.path\n"
    assert added("import os.path\n", ImportNeeded("os")) == "import os.path\n"


def test_blocks_are_not_entered() -> None:
    text = "import os\n\ntry:\n    from m import a\nexcept ImportError:\n    a = None\n"
    assert added(text, ImportNeeded("m", "b")) == text.replace("import os\n", "import os\n\nfrom m import b\n")


@pytest.mark.parametrize(
    "broken", ["def f(:\n    pass\n", "x = (\n", "class A\n    y = 1\n", "'''open\n", "    x = 1\n"]
)
def test_a_file_that_is_broken_further_down(broken: str) -> None:
    text = f'"""Doc."""\n\nimport os\nfrom m import a\n\n\n{broken}'
    result = add_imports(text, [ImportNeeded("m", "b"), ImportNeeded("sys")])
    assert result == text.replace("import os\n", "import os\nimport sys\n").replace("import a", "import a, b")


def test_a_file_that_cannot_be_read_at_all() -> None:
    assert add_imports("# coding: utf-8\n\0", [ImportNeeded("os")]).startswith("# coding: utf-8\n\nimport os\n")
