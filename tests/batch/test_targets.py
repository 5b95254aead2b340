"""Which functions are filled, and in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generation.batch.plan import waves
from generation.batch.targets import Select, Target, find_targets, read_targets
from generation.errors import ConfigError

SHOP = '''
from abc import ABC, abstractmethod
from typing import Protocol, overload


class Priced(Protocol):
    def price(self) -> int: ...


class Base(ABC):
    @abstractmethod
    def name(self) -> str: ...

    def label(self) -> str:
        """The name in brackets."""
        raise NotImplementedError


class Basket(Base):
    def __init__(self, items):
        """Keep the items."""

    def total(self) -> int:
        """Sum of `price_of` for each item."""

    def written(self):
        return 1


@overload
def price_of(item: int) -> int: ...
@overload
def price_of(item: str) -> str: ...
def price_of(item):
    pass


async def fetch():
    ...
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "basket.py").write_text(SHOP)
    return tmp_path


def names(targets: list[Target]) -> list[str]:
    return [target.function for target in targets]


def test_stubs_are_found_and_what_has_no_body_by_design_is_left_alone(root: Path) -> None:
    targets, failures = find_targets("shop", root, Select.STUBS)
    assert names(targets) == ["Base.label", "Basket.__init__", "Basket.total", "price_of#3", "fetch"]
    assert not failures
    assert names(find_targets("shop", root, Select.DOCSTRINGS)[0]) == ["Base.label", "Basket.__init__", "Basket.total"]


def test_a_file_that_cannot_be_read_is_one_failure(root: Path) -> None:
    (root / "shop" / "null.py").write_bytes(b"def f():\n    pass\x00\n")
    (root / "shop" / "large.py").write_text("x = 1\n" * 4_000_000)
    (root / "shop" / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000 + "\ndef f():\n    pass\n")
    (root / "shop" / "latin.py").write_bytes(b"# caf\xe9\ndef f():\n    pass\n")
    targets, failures = find_targets("shop", root, Select.STUBS)
    assert len([target for target in targets if target.path == "shop/basket.py"]) == 5
    assert {"shop/large.py", "shop/latin.py"} <= {failure.path for failure in failures}
    assert all(failure.reason for failure in failures)


def test_callees_come_before_callers(root: Path) -> None:
    found = [names(wave) for wave in waves(find_targets("shop", root, Select.STUBS)[0])]
    assert found == [["Base.label", "Basket.__init__", "price_of#3", "fetch"], ["Basket.total"]]


def test_a_circle_and_a_long_chain_end() -> None:
    def target(number: int, *mentions: int) -> Target:
        return Target("r", "a.py", f"f{number}", number, frozenset(f"f{other}" for other in mentions))

    circle = waves([target(0, 1), target(1, 2), target(2, 0)])
    assert sorted(name for wave in circle for name in names(wave)) == ["f0", "f1", "f2"]
    chain = waves([target(number, number + 1) for number in range(3000)])
    assert [names(wave) for wave in chain[:2]] == [["f2999"], ["f2998"]]


def test_the_folder_of_the_run_is_no_part_of_the_repository_it_lies_in(root: Path) -> None:
    unpacked = root / "run" / "sources" / "other"
    unpacked.mkdir(parents=True)
    (unpacked / "stub.py").write_text("def f(): ...\n")
    assert len(find_targets("shop", root, Select.STUBS, root / "run")[0]) == 5
    assert names(find_targets("other", unpacked, Select.STUBS, root / "run")[0]) == ["f"]


def test_a_list_names_functions_and_says_what_it_cannot_find(root: Path) -> None:
    path = root / "list.jsonl"
    (root.parent / "outside.py").write_text("def f(): ...\n")
    (root / "link.py").symlink_to(root.parent / "outside.py")
    path.write_text(json.dumps({"path": "shop/../shop/basket.py", "function": "Basket.written"}) + "\n\n")
    (found,) = read_targets(path, {"shop": root})
    assert (found.path, found.function) == ("shop/basket.py", "Basket.written")
    for line, message in [
        ('{"path": "shop/basket.py", "function": "Basket.writen"}', "did you mean Basket.written"),
        ('{"path": "shop/none.py", "function": "f"}', "there is no file"),
        ("Basket.written", "is not of the form"),
        ('{"repository": "other", "path": "a.py", "function": "f"}', "there is no repository 'other'"),
        ('{"repository": ["shop"], "path": "a.py", "function": "f"}', "is not of the form"),
        ('{"path": 1, "function": 2}', "is not of the form"),
        ('{"path": "../outside.py", "function": "f"}', "../outside.py is not in the repository"),
        ('{"path": "link.py", "function": "f"}', "link.py is not in the repository"),
    ]:
        path.write_text(line + "\n")
        with pytest.raises(ConfigError, match=message):
            read_targets(path, {"shop": root})
