"""The tool against small repositories, with real workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.types import NameKind, SuggestionSource, ToolQuery
from tests.tools.client_repository import BODY, PATIENT, names, query, write


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("repo"))


@pytest.fixture(scope="module")
def shared(shared_root: Path) -> Iterator[JediTool]:
    tool = JediTool(shared_root, PATIENT)
    yield tool
    tool.close()


ATTRIBUTES = [
    ("def f(c: Client):\n    c.$0\n", {"limit", "session", "fetch"}),
    ("def f(c: Client):\n    reply = c.fetch('u')\n    if reply.$0\n", {"status", "body"}),
    ("def f(c: Client):\n    return [r.$0 for r in [c.fetch('u')]]\n", {"status"}),
    ("async def f(c: Client):\n    try:\n        await g(c.session.$0\n", {"send", "shut"}),
    (
        "class A:\n    class B:\n        x = 1\n        @property\n        @g(1)\n        def m(self):\n            self.$0\n",
        {"x"},
    ),
    ("def f(größe: Client):\n    größe.$0\n", {"fetch"}),
    ("def f(c: Client):\n\tif c:\n\t\tc.$0\n", {"fetch"}),
    ("def f(c: Client):\r\n    x = c\r\n    x.$0\r\n", {"fetch"}),
    ("def f():\n    wire.$0\n", {"Session", "Reply"}),
    ("def f():\n    wire.Session().$0\n", {"send"}),
    ("def f():\n    ', '.$0\n", {"join"}),
    ("def f():\n    x = '\0'\n    x.$0\n", {"join"}),
    ("def broken(:\n\ndef f(c: Client):\n    c.$0\n", {"fetch"}),
    ("Client.$0", {"fetch"}),
    ("def f(c: Client):\n" + "".join("    " * i + "if c:\n" for i in range(1, 40)) + "    " * 40 + "c.$0", {"fetch"}),
]


@pytest.mark.parametrize(("text", "expected"), ATTRIBUTES)
def test_members(shared: JediTool, shared_root: Path, text: str, expected: set[str]) -> None:
    assert expected <= names(shared.suggest(query(shared_root, BODY + text)))


NAMES = [
    (
        "def f(a, *b, c=1, **d):\n    e = 1\n    for g, h in a:\n        with i as j:\n            return $0",
        set("abcdeghj"),
    ),
    (
        "def f():\n    import os.path as p, json\n    try:\n        k = 1\n    except E as error:\n        g($0",
        {"p", "json", "error"},
    ),
    ("def f(x):\n    return [y for y in x if $0", {"y", "x"}),
    ("def f(x):\n    if (z := x) and $0", {"z"}),
    ("def f(x):\n    g(key=lambda q: $0", {"q"}),
    ("def f(x):\n    match x:\n        case {'a': b, **c} if $0", {"b", "c"}),
    ("def f(\n    a,  # note: a\n    *,\n    __b,\n):\n    return $0", {"a", "__b"}),
    ("def f(x):\n    def inner(y):\n        pass\n    class Local: pass\n    return $0", {"inner", "Local", "f"}),
    (
        "def f():\n    return $0\n\ndef later(): pass\n",
        {"later", "wire", "Client", "len", "None", "not", "await", "lambda"},
    ),
    ("$0", {"Client", "len"}),
]


@pytest.mark.parametrize(("text", "expected"), NAMES)
def test_names(shared: JediTool, shared_root: Path, text: str, expected: set[str]) -> None:
    assert expected <= names(shared.suggest(query(shared_root, BODY + text)))


def test_names_that_are_not_in_scope(shared: JediTool, shared_root: Path) -> None:
    text = "class A:\n    member = 1\n    def f(self):\n        [u for u in self]\n        def g(w): pass\n        new = $0"
    offered = names(shared.suggest(query(shared_root, BODY + text)))
    assert {"self", "g", "A"} <= offered
    assert not {"member", "u", "w", "new", "f"} & offered


@pytest.mark.parametrize(
    ("call", "expected", "trusted"),
    [
        ("Client().fetch(", {"url=", "retries="}, True),
        ("Client().fetch('u', ", {"retries="}, True),
        ("Client().fetch('u', retries=1, ", set(), False),
        ("Client().fetch(retries=1, ", {"url="}, True),
        ("Client().fetch((1, 2), ", {"retries="}, True),
        ("print(Client().fetch('u', ", {"retries="}, True),
        ("Client().fetch('u')[", set(), False),
        ("dict(a=1, ", set(), False),
        ("unknown(", set(), False),
    ],
)
def test_arguments(shared: JediTool, shared_root: Path, call: str, expected: set[str], trusted: bool) -> None:
    text = f"from pkg.client import Client\n\ndef f():\n    x = {call}"
    answer = shared.suggest(ToolQuery(shared_root, Path("src/pkg/new.py"), text, "\n", NameKind.ARGUMENT))
    assert ({suggestion.name for suggestion in answer.suggestions}, answer.trusted) == (expected, trusted)
    assert answer.error is None


def test_jedi_is_asked_once_for_the_arguments_of_a_call(shared: JediTool, shared_root: Path) -> None:
    text = "from pkg.client import Client\n\ndef g():\n    x = Client().fetch("
    asked = [
        ToolQuery(shared_root, Path("src/pkg/new.py"), text + more, "\n", NameKind.ARGUMENT) for more in ("", "1, ")
    ]
    first, second = map(shared.suggest, asked)
    assert (first.cached, second.cached) == (False, True)
    assert [one.name for one in first.suggestions] == ["url=", "retries="]
    assert [one.name for one in second.suggestions] == ["retries="]


@pytest.mark.parametrize(
    ("statement", "listed", "unlisted", "trusted"),
    [
        ("from pkg.wire import ", {"Session", "Reply", "client"}, {"Client", "__name__"}, True),
        ("from pkg.wire import (\n    Reply,\n    ", {"Session"}, {"Client"}, True),
        ("from pkg.", {"wire", "client"}, {"Session"}, True),
        ("from . import ", {"wire", "Client"}, {"Session"}, True),
        ("from ", {"pkg", "json"}, {"Session", "from"}, False),
        ("import json, ", {"pkg"}, {"Session"}, False),
        ("from missing import ", set(), set(), False),
        ("from missing.", set(), set(), False),
        ("from pkg.made import ", {"First"}, set(), False),
        ("from spread import ", {"part"}, set(), False),
        ("from spread.", {"part"}, set(), False),
        ("from .", {"wire"}, set(), True),
        ("from pkg.wire.", set(), set(), True),
        ("import os.path.", set(), set(), True),
    ],
)
def test_imports(
    shared: JediTool, shared_root: Path, statement: str, listed: set[str], unlisted: set[str], trusted: bool
) -> None:
    text = f"import json\n\n\ndef f():\n    {statement}"
    answer = shared.suggest(ToolQuery(shared_root, Path("src/pkg/new.py"), text, "\n", NameKind.IMPORT))
    assert listed <= names(answer)
    assert not unlisted & names(answer)
    assert (answer.trusted, answer.error) == (trusted, None)


def test_methods_of_builtin_types_where_nothing_is_known(shared: JediTool, shared_root: Path) -> None:
    text = "def f(a, b: int):\n    return {}."
    unknown, known = (
        shared.suggest(ToolQuery(shared_root, Path("src/pkg/new.py"), text.format(name), "\n", NameKind.ATTRIBUTE))
        for name in "ab"
    )
    assert {"strip", "items", "append", "close"} <= {suggestion.name for suggestion in unknown.suggestions}
    assert not unknown.trusted
    assert not {"strip", "items"} & {suggestion.name for suggestion in known.suggestions}


def test_super_has_the_method_that_is_overridden(shared: JediTool, shared_root: Path) -> None:
    text = "from missing import Base\n\nclass A(Base):\n    def __init__(self):\n        super()."
    answer = shared.suggest(ToolQuery(shared_root, Path("src/pkg/new.py"), text, "\n", NameKind.ATTRIBUTE))
    assert answer.suggestions[0].name == "__init__"
    assert not answer.trusted


def test_empty_file(shared: JediTool, shared_root: Path) -> None:
    assert "print" in names(shared.suggest(query(shared_root, "$0")))


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("def f(c: Client):\n    x = c.$0", True),
        ("def f(c: wire.Loose):\n    x = c.$0", False),
        ("class A(Missing):\n    def f(self):\n        x = self.$0", False),
        ("class A(Client):\n    def f(self):\n        x = self.$0", True),
        ("class A(Client):\n    def f(self):\n        self.$0", False),  # may be a new attribute
        ("def f(x):\n    x.$0", False),
        ("def f(x):\n    return $0", True),
        ("def f(x):\n    $0", False),
        ("def f(x):\n    g($0", False),  # may be a keyword argument
        ("from missing import *\ndef f(x):\n    return $0", False),
        ("from pkg.wire import *\ndef f(x):\n    return $0", True),
    ],
)
def test_trust(shared: JediTool, shared_root: Path, text: str, trusted: bool) -> None:
    assert shared.suggest(query(shared_root, BODY + text)).trusted is trusted


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("class A:\n    def g(self, k):\n        setattr(self, k, 1)\n    def f(self):\n        x = self.$0", True),
        ("class A(Client):\n    def g(self, k):\n        self.__dict__.update(k)\ndef f(a: A):\n    x = a.$0", True),
        ("class M(type): ...\nclass A(metaclass=M):\n    b = 1\ndef f():\n    x = A.$0", True),
        ("class M(type): ...\nclass A(metaclass=M):\n    b = 1\ndef f():\n    x = A().$0", False),
        ("def f(c: Client):\n    x = c.$0", False),
    ],
)
def test_what_sets_members_by_a_variable_may_have_more(
    shared: JediTool, shared_root: Path, text: str, more: bool
) -> None:
    answer = shared.suggest(query(shared_root, BODY + text))
    assert (answer.trusted, answer.may_have_more) == (True, more)


def test_assigned_attributes_are_offered_at_once(shared: JediTool, shared_root: Path) -> None:
    text = BODY + "class Own:\n    def __init__(self):\n        self.first = 1\n        x = self.$0"
    shared.suggest(query(shared_root, text))
    more = text.replace("x = self.$0", "self.second = 2\n        x = self.$0")
    answer = shared.suggest(query(shared_root, more))
    assert answer.cached
    assert {"first", "second"} <= names(answer)
    assert "first" not in {s.name for s in answer.suggestions if s.source is SuggestionSource.INDEX}


def test_buffer_does_not_hide_the_file_from_others(shared: JediTool, shared_root: Path) -> None:
    """While wire.py is being edited, client.py still sees what is on disk."""
    cut = query(shared_root, "class Reply:\n    def f(self):\n        self.$0", "src/pkg/wire.py")
    assert names(shared.suggest(cut))
    assert {"status", "body"} <= names(shared.suggest(query(shared_root, BODY + "x = Client().fetch('u')\nx.$0")))


def test_modules_of_the_same_name_in_two_folders_are_two(tool: JediTool, root: Path) -> None:
    members = {"one": "alpha", "two": "beta"}
    for folder, member in members.items():
        (root / folder).mkdir()
        (root / folder / "util.py").write_text(f"class Helper:\n    def {member}(self): ...\n")
    for folder in ("one", "two", "one"):
        found = names(tool.suggest(query(root, "import util\nhelper = util.Helper()\nhelper.$0", f"{folder}/main.py")))
        assert found & set(members.values()) == {members[folder]}


def test_index_comes_after_jedi_and_brings_imports(root: Path) -> None:
    tool = JediTool(root, PATIENT, index=MemberIndex.build(root))
    try:
        answer = tool.suggest(query(root, BODY + "def f(session: wire.Reply):\n    session.$0\n"))
        sources = [suggestion.source for suggestion in answer.suggestions]
        assert sources == sorted(sources, key=[SuggestionSource.JEDI, SuggestionSource.INDEX].index)
        assert {"status", "send"} <= names(answer)
        answer = tool.suggest(query(root, "def f():\n    return $0\n"))
        assert "Session" not in names(answer)
        needed = answer.importable["Session"].import_needed
        assert needed is not None
        assert needed.bound_name == "Session"
    finally:
        tool.close()


def test_a_method_does_not_see_what_its_class_inherits_as_bare_names(shared: JediTool, shared_root: Path) -> None:
    text = (
        "class Base:\n    limit = 1\n\n\nclass Own(Base):\n    own = 2\n    def late(self, first):\n        return $0\n"
    )
    found = names(shared.suggest(query(shared_root, text)))
    assert {"Base", "first"} <= found
    assert not {"limit", "own"} & found
    inside = names(shared.suggest(query(shared_root, "class Base:\n    limit = 1\n    other = $0\n")))
    assert "limit" in inside


@pytest.mark.parametrize(
    ("parameter", "sends"), [("session: dict | None", True), ("**session", False), ("*session", False)]
)
def test_the_index_adds_nothing_to_what_a_star_collects(root: Path, parameter: str, sends: bool) -> None:
    tool = JediTool(root, PATIENT, index=MemberIndex.build(root))
    try:
        answer = tool.suggest(query(root, BODY + f"def f({parameter}):\n    session.$0\n"))
        assert ("send" in names(answer)) is sends
    finally:
        tool.close()


def test_unrepaired_sees_only_the_text_before(root: Path) -> None:
    tool = JediTool(root, PATIENT, repair=False)
    try:
        asked = query(root, BODY + "def f(c: Client):\n    c.$0\n\ndef later(): pass\n")
        tool.prefetch(asked)
        assert "fetch" in names(tool.suggest(asked))
        assert not tool.suggest(asked).cached
        answer = tool.suggest(query(root, BODY + "def f(c: Client):\n    return $0\n\ndef later(): pass\n"))
        assert "later" not in names(answer)
    finally:
        tool.close()
