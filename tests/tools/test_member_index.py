"""The member index over small repositories that are written to disk."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.tools import index_cache
from generation.tools.attribute_uses import scan, scan_around
from generation.tools.member_index import MemberIndex
from generation.types import ImportNeeded, SuggestionSource

FILES = {
    "shop/__init__.py": "from shop.cart import Cart\n",
    "shop/base.py": """
        LIMIT = 3

        class Base:
            color: str = "red"

            def __init__(self, name):
                self.name = name

            def save(self, force: bool = False) -> None:
                self.store.put(self.name)
    """,
    "shop/cart.py": """
        import numpy as np
        from shop.base import Base

        class Cart(Base):
            @property
            def total(self) -> int:
                return np.sum(self.rows)

            def save(self):
                self.rows.clear()
                self.session.commit()

        def total_of(cart: Cart) -> int:
            cart.session.commit()
            cart.session.commit()
            return cart.session.rollback()

        def _hidden():
            pass
    """,
    "shop/report.py": """
        import numpy as np
        from json import dumps
        from os import path as paths

        def report(session):
            return session.query(np.array([]))
    """,
    "shop/broken.py": "def broken(:\n    session.never()\n",
    "tests/test_cart.py": """
        import numpy as np
        from json import dumps
        from shop import Cart

        def helper_of_tests():
            Cart("a").save()
    """,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def root(tmp_path: Path, write: Callable[[str, str], Path]) -> Path:
    for name, text in FILES.items():
        write(name, text)
    return (tmp_path / "repo").resolve()


@pytest.fixture
def index(root: Path) -> MemberIndex:
    return MemberIndex.build(root)


def test_members_of_the_class_a_receiver_is_called_after(tmp_path: Path) -> None:
    files = {
        "a.py": "class Base:\n    def base(self): ...\nclass HTTPConn(Base):\n    def send(self): ...\n",
        "b.py": "class Row:\n    size = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    index = MemberIndex.build(tmp_path)
    new = tmp_path / "new.py"
    assert index.members("http_conn", new, "") == ["send", "base"]
    assert index.members("self._httpconn2", new, "") == ["send", "base"]
    assert index.members("rows[0]", new, "") == ["size"]
    assert index.members("rows", new, "") == []


def test_members_are_ordered_by_use(index: MemberIndex, root: Path) -> None:
    assert index.members("session", root / "new.py", "") == ["commit", "rollback", "query"]


@pytest.mark.parametrize("receiver", ["session", "cart.session", "self.a.session ", "f(x).session"])
def test_members_go_by_the_last_name(index: MemberIndex, root: Path, receiver: str) -> None:
    assert index.members(receiver, root / "new.py", "")[0] == "commit"


@pytest.mark.parametrize("receiver", ["", "1 +", "(", "}", "unheard_of", "'text' if x else (", "\n"])
def test_members_of_what_has_no_name_or_no_use(index: MemberIndex, root: Path, receiver: str) -> None:
    assert index.members(receiver, root / "new.py", "") == []


def test_own_file_on_disk_does_not_count(index: MemberIndex, root: Path) -> None:
    assert index.members("session", root / "shop/cart.py", "") == ["query"]
    assert index.members("session", Path("shop/cart.py"), "") == ["query"]


def test_uses_in_the_buffer_count_even_when_it_is_broken(index: MemberIndex, root: Path) -> None:
    text = "def f(session:\n  session.begin(\n  session.begin()\n  if (session.close"
    assert index.members("session", root / "shop/cart.py", text) == ["begin", "query", "close"]


def test_asking_does_not_change_the_index(index: MemberIndex, root: Path) -> None:
    first = index.members("session", root / "shop/cart.py", "session.begin()")
    assert index.members("session", root / "shop/cart.py", "session.begin()") == first
    assert index.members("session", root / "new.py", "") == ["commit", "rollback", "query"]


def test_self_knows_its_class_and_bases_and_no_other(index: MemberIndex, root: Path) -> None:
    text = "class Other:\n    def f(self):\n        self.foreign()\n\nclass Big(Cart):\n    def g(self):\n        self."
    names = index.members("self", root / "new.py", text)
    assert {"rows", "session", "store", "save", "total", "color", "g"} <= set(names)
    assert "foreign" not in names
    assert names[0] == "rows"  # used twice like `name`, but by a nearer class


def test_self_at_an_offset(index: MemberIndex, root: Path) -> None:
    text = "class One:\n    def f(self):\n        self.one\n\nclass Two:\n    def g(self):\n        self.two\n"
    assert index.members("self", root / "new.py", text, text.index("one")) == ["one", "f"]
    assert index.members("self", root / "new.py", text) == ["two", "g"]


def test_super_offers_bases_only(index: MemberIndex, root: Path) -> None:
    text = "class Big(Base):\n    def own(self):\n        self.mine = 1\n        super()."
    names = index.members("super()", root / "new.py", text)
    assert "save" in names
    assert not {"own", "mine"} & set(names)


def test_definitions_of_the_own_file_come_from_the_buffer(index: MemberIndex, root: Path) -> None:
    names = index.members("self", root / "shop/cart.py", "class Cart:\n    def fresh(self):\n        self.")
    assert names == ["fresh"]


def test_importable_definitions(index: MemberIndex, root: Path) -> None:
    names = index.importable(root / "main.py")
    assert names["Cart"].import_needed == ImportNeeded("shop", "Cart")
    assert names["Base"].import_needed == ImportNeeded("shop.base", "Base")
    assert (names["Cart"].kind, names["total_of"].kind, names["np"].kind) == ("class", "function", "module")
    assert {names[name].source for name in names} == {SuggestionSource.IMPORT}
    assert not {"_hidden", "helper_of_tests", "broken", "save"} & names.keys()


def test_importable_from_elsewhere(index: MemberIndex, root: Path) -> None:
    names = index.importable(root / "main.py")
    assert names["np"].import_needed == ImportNeeded("numpy", None, "np")
    assert names["dumps"].import_needed == ImportNeeded("json", "dumps")
    assert names["paths"].import_needed == ImportNeeded("os", "path", "paths")
    assert names["itertools"].import_needed == ImportNeeded("itertools")
    assert not {"_thread", "antigravity"} & names.keys()


def test_every_importable_name_is_the_one_its_import_binds(index: MemberIndex, root: Path) -> None:
    for name, suggestion in index.importable(root / "main.py").items():
        assert suggestion.import_needed is not None
        assert name == suggestion.name == suggestion.import_needed.bound_name


def test_nothing_is_importable_from_the_file_itself(index: MemberIndex, root: Path) -> None:
    names = index.importable(root / "shop/cart.py")
    assert not {"Cart", "total_of"} & names.keys()
    assert "report" in names


def test_the_most_used_of_one_name_wins(write: Callable[[str, str], Path], root: Path) -> None:
    write("a.py", "from numpy import array\n")
    write("b.py", "from numpy import array\n")
    write("c.py", "import array\n")
    names = MemberIndex.build(root).importable(root / "d.py")
    assert names["array"].import_needed == ImportNeeded("numpy", "array")


def test_relative_imports_are_kept_where_they_are_the_custom(write: Callable[[str, str], Path], root: Path) -> None:
    write("shop/report.py", "from .cart import Cart\n")
    names = MemberIndex.build(root).importable(root / "shop/report.py")
    assert names["Base"].import_needed == ImportNeeded(".base", "Base")


def test_imports_for_type_checkers_make_no_circle(write: Callable[[str, str], Path], root: Path) -> None:
    write("one.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from two import Two\nclass One: ...\n")
    write("circle.py", "from two import Two\nclass Circle: ...\n")
    path = write("two.py", "class Two: ...\n")
    names = MemberIndex.build(root).importable(path)
    assert names["One"].import_needed == ImportNeeded("one", "One")
    assert "Circle" not in names


def test_importable_is_remembered(index: MemberIndex, root: Path) -> None:
    first = index.importable(root / "main.py")
    assert index.importable(Path("main.py")) is first


def test_definitions(index: MemberIndex, root: Path) -> None:
    found = index.definitions(["save", "LIMIT", "missing"])
    assert [item.qualname for item in found] == ["Base.save", "Cart.save", "LIMIT"]
    base, _, limit = found
    assert (base.kind, base.module, base.path) == ("method", "shop.base", root / "shop/base.py")
    assert base.signature == "def save(self, force: bool = False) -> None"
    assert base.path.read_text(encoding="utf-8").splitlines()[base.line].strip() == f"{base.signature}:"
    assert (limit.kind, limit.signature) == ("variable", "LIMIT = 3")


def test_tests_count_as_uses_but_define_nothing(write: Callable[[str, str], Path], root: Path) -> None:
    write("a/tests/twin.py", "def twin(twins): twins.born()\n")
    write("z.py", "def twin(): ...\n")
    index = MemberIndex.build(root)
    assert [item.module for item in index.definitions(["twin"])] == ["z"]
    assert index.members("twins", root / "new.py", "") == ["born"]


def test_module_definitions(index: MemberIndex) -> None:
    assert [item.name for item in index.module_definitions("shop.cart")] == ["Cart", "total_of", "_hidden"]
    assert index.module_definitions("shop.broken") == []
    assert index.module_definitions("no.such") == []


def test_class_members_include_those_of_bases(index: MemberIndex) -> None:
    members = {item.name: item.qualname for item in index.class_members("shop.cart", "Cart")}
    assert members["save"] == "Cart.save"
    assert members["total"] == "Cart.total"
    assert members["color"] == "Base.color"
    assert members["name"] == "Base.name"
    assert index.class_members("shop.cart", "Missing") == []
    assert index.class_members("missing", "Cart") == []


def test_bases_behind_a_re_export(write: Callable[[str, str], Path], root: Path) -> None:
    write("special.py", "import shop\nfrom shop import Cart as Parent\nclass A(Parent): ...\n")
    write("dotted.py", "import shop.cart\nclass A(shop.Cart): ...\nclass B(shop.cart.Cart): ...\n")
    index = MemberIndex.build(root)
    for module, name in (("special", "A"), ("dotted", "A"), ("dotted", "B")):
        assert {"total", "color"} <= {item.name for item in index.class_members(module, name)}


def test_cyclic_bases_and_imports_end(write: Callable[[str, str], Path], root: Path) -> None:
    write("left.py", "from right import *\nfrom right import Right\nclass Left(Right):\n    def l(self): self.l\n")
    write("right.py", "from left import *\nfrom left import Left\nclass Right(Left):\n    def r(self): self.r\n")
    write("narcissus.py", "class Me(Me):\n    def m(self): ...\n")
    index = MemberIndex.build(root)
    assert [item.name for item in index.class_members("left", "Left")] == ["l", "r"]
    assert [item.name for item in index.class_members("narcissus", "Me")] == ["m"]
    assert {"l", "r"} <= set(index.members("self", root / "x.py", "class X(Left):\n    def f(self):\n        self."))
    assert "Left" in index.importable(root / "x.py")


def test_src_layout(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    path = write("src/tool/core.py", "class Core:\n    def run(self): ...\n")
    write("src/tool/__init__.py", "")
    index = MemberIndex.build(tmp_path / "repo")
    assert index.module_of(path) == "tool.core"
    assert index.first_party == {"tool"}
    assert [item.name for item in index.module_definitions("tool.core")] == ["Core"]
    assert index.importable(tmp_path / "repo/main.py")["Core"].import_needed == ImportNeeded("tool.core", "Core")


def test_files_that_cannot_be_read_are_skipped(write: Callable[[str, str], Path], root: Path) -> None:
    write("nul.py", "\0")
    write("coding.py", "# coding: no-such-codec\n")
    (root / "latin.py").write_bytes(b"name = '\xff'\n")
    write("long.py", "if a:\n    pass\n" + "elif a:\n    pass\n" * 3000)
    index = MemberIndex.build(root)
    assert index.unreadable_files == 5  # and broken.py
    assert index.module_definitions("shop.base")


def test_a_file_that_changes(index: MemberIndex, root: Path, write: Callable[[str, str], Path]) -> None:
    assert "Fresh" not in index.importable(root / "main.py")
    path = write("shop/report.py", "class Fresh:\n    def f(self, session): session.added()\n")
    index.refresh(path)
    assert index.members("session", root / "new.py", "") == ["commit", "rollback", "added"]
    assert index.importable(root / "main.py")["Fresh"].import_needed == ImportNeeded("shop.report", "Fresh")
    assert [item.name for item in index.class_members("shop.report", "Fresh")] == ["f"]
    assert index.definitions(["report"]) == []


def test_refresh_changed_finds_new_changed_and_deleted_files(
    index: MemberIndex, root: Path, write: Callable[[str, str], Path]
) -> None:
    assert index.refresh_changed() == 0
    write("new.py", "session.created()\n")
    write("shop/report.py", "session.changed()\n")
    (root / "shop/cart.py").unlink()
    assert index.refresh_changed() == 3
    assert sorted(index.members("session", root / "x.py", "")) == ["changed", "created"]
    assert index.definitions(["Cart"]) == []
    assert index.refresh_changed() == 0


def test_reread_makes_another_index(index: MemberIndex, root: Path, write: Callable[[str, str], Path]) -> None:
    assert index.reread() is index
    before = index.members("session", root / "x.py", "")
    write("new.py", "session.created()\n")
    assert "created" in index.reread().members("session", root / "x.py", "")
    assert index.members("session", root / "x.py", "") == before


def test_files_outside_the_repository(index: MemberIndex, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("session.outside()\n", encoding="utf-8")
    index.refresh(outside)
    assert "outside" not in index.members("session", outside, "")
    assert index.module_of(outside) == ""
    assert "Cart" in index.importable(outside)


def test_a_build_from_the_cache_is_the_same(root: Path, tmp_path: Path) -> None:
    built = MemberIndex.build(root, tmp_path / "cache")
    file = index_cache.cache_file(tmp_path / "cache", root)
    loaded = MemberIndex.build(root, tmp_path / "cache")
    assert file.is_file()
    assert _answers(loaded, root) == _answers(built, root) == _answers(MemberIndex.build(root), root)


def test_the_cache_is_used_and_a_changed_file_is_read_again(
    root: Path, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    path = root / "shop/report.py"
    MemberIndex.build(root, tmp_path / "cache")
    status, size = path.stat(), len(path.read_bytes())
    path.write_bytes(b"session.unseen()\n".ljust(size, b"#"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "unseen" not in MemberIndex.build(root, tmp_path / "cache").members("session", root / "x.py", "")
    write("shop/report.py", "session.seen_now()\n")
    assert "seen_now" in MemberIndex.build(root, tmp_path / "cache").members("session", root / "x.py", "")


@pytest.mark.parametrize("damage", [b"", b"{}\n[]", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"null\nnull"])
def test_a_damaged_cache_file_is_replaced(root: Path, tmp_path: Path, damage: bytes) -> None:
    expected = _answers(MemberIndex.build(root, tmp_path / "cache"), root)
    file = index_cache.cache_file(tmp_path / "cache", root)
    whole = file.read_bytes()
    for content in (damage, whole[: len(whole) // 2], whole.replace(b"commit", b"c0mmit")):
        file.write_bytes(content)
        assert _answers(MemberIndex.build(root, tmp_path / "cache"), root) == expected
        assert file.read_bytes() == whole


def test_a_cache_folder_that_cannot_be_made(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert MemberIndex.build(root, tmp_path / "file/cache").definitions(["Cart"])


def _answers(index: MemberIndex, root: Path) -> tuple[object, ...]:
    return (
        index.members("session", root / "new.py", ""),
        dict(index.importable(root / "main.py")),
        index.definitions(["Cart", "save", "LIMIT"]),
        index.class_members("shop.cart", "Cart"),
        index.unreadable_files,
    )


WHOLE = (
    textwrap.dedent(FILES["shop/base.py"])
    + '''
class Shelf(Base):
    """Has a def text(self.odd): in it."""

    class Inner:
        def deep(self):
            return self.name.upper()

    def rows(self):
        return [self.name, other.name]

async def first(cart):
    return cart.rows[0].name
'''
)


@given(st.integers(0, len(WHOLE)))
def test_a_text_uses_the_same_wherever_one_stands_in_it(offset: int) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for part in scan_around(WHOLE, offset):
        found.update({(key, name): count for key, uses in part.uses.items() for name, count in uses.items()})
    expected = {(key, name): count for key, uses in scan(WHOLE).items() for name, count in uses.items()}
    assert found == expected
