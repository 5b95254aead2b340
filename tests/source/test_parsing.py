"""Python's parser on several threads."""

from __future__ import annotations

import ast
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from generation.source.parsing import parse


@pytest.fixture
def others_run_while_objects_are_made() -> Iterator[None]:
    """Every few objects the garbage is collected, and then another thread has its turn, inside of the parser too."""

    def give_way(*_: object) -> None:
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks.remove(give_way)


def deeper(levels: int, then: Callable[[], ast.Module]) -> ast.Module:
    return deeper(levels - 1, then) if levels else then()


def test_threads_do_not_disturb_each_other(others_run_while_objects_are_made: None) -> None:
    text = Path(ast.__file__).read_text(encoding="utf-8")[:20000].rpartition("\ndef ")[0]
    expected = ast.dump(parse(text))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda levels: deeper(levels, lambda: parse(text)), range(24)))
    assert all(ast.dump(tree) == expected for tree in found)


def test_no_garbage_is_collected_while_a_tree_is_made() -> None:
    text, collections = Path(ast.__file__).read_text(encoding="utf-8"), []
    gc.callbacks.append(lambda *about: collections.append(about))
    try:
        gc.collect()
        seen = len(collections)
        ast.parse(text)
        assert len(collections) > seen  # Python's own does
        seen = len(collections)
        tree = parse(text)
        assert len(collections) - seen <= 2  # one when it is over: its start and its end
    finally:
        gc.callbacks.pop()
    assert ast.dump(tree) == ast.dump(ast.parse(text))
    assert gc.isenabled()
    gc.disable()
    try:
        parse("x = 1")
        assert not gc.isenabled()
    finally:
        gc.enable()
