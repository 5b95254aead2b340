"""What was scored is remembered until a commit makes it impossible."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from generation.decoding.llama.network import Network
from generation.decoding.llama.scored_tree import ScoredTree
from generation.types import Draft
from tests.decoding.llama.networks import ancestors, model_of, random_ids, random_tree

if TYPE_CHECKING:
    from generation.interfaces import Logits


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nodes each forward computed."""
    counts: list[int] = []
    forward = Network.forward

    def counting(self: Network, *args: object, first: int = 0, **kwargs: object) -> Logits:
        logits: Logits = forward(self, *args, first=first, **kwargs)  # type: ignore[arg-type]
        counts.append(len(args[1]) - first)  # type: ignore[arg-type]
        return logits

    monkeypatch.setattr(Network, "forward", counting)
    return counts


def test_a_search_computes_each_node_once(computed: list[int]) -> None:
    state = model_of("qwen2", int8=True).start(random_ids(random.Random(0), 30))
    computed.clear()
    state.score(Draft.chain([1, 2]))
    state.score(Draft.chain([1, 2, 3]))
    state.score(Draft((1, 4, 2, 5), (-1, 0, 0, 2)))
    assert computed == [2, 1, 2]
    assert [state.remembered(path) for path in ([1, 2, 3], [1, 2, 9], [1, 4, 2], [7], [])] == [3, 2, 2, 0, 0]
    state.commit([0, 2])
    assert state.remembered([3, 3]) == 1
    state.score(Draft.chain([3]))  # scored behind [1, 2] before
    state.score(Draft((5, 3), (-1, -1)))
    assert computed == [2, 1, 2]
    state.score(Draft.chain([4]))  # that was behind [1] only
    assert computed == [2, 1, 2, 1]


def test_rows_that_lie_behind_each_other_are_not_copied() -> None:
    state = model_of("qwen2", int8=True).start(random_ids(random.Random(1), 20))
    scored = state.score(Draft((1, 2, 3, 4), (-1, 0, 1, 1)))
    for draft, rows in (([1, 2, 3], [0, 1, 2]), ([1, 2, 4], [0, 1, 3]), ([1], [0])):
        again = state.score(Draft.chain(draft))
        assert np.array_equal(again, scored[rows])
        assert np.shares_memory(again, scored) == (rows == list(range(len(rows))))


@pytest.mark.parametrize("int8", [False, True])
def test_what_is_remembered_is_what_would_be_computed(int8: bool) -> None:
    """Random searches and commits, against a fresh sequence at every step."""
    model, source = model_of("qwen3", int8=int8), random.Random(4)
    state = model.start(random_ids(source, 40))
    for _ in range(15):
        drafts = [random_tree(source, source.randrange(1, 9)) for _ in range(source.randrange(1, 4))]
        drafts.append(Draft(drafts[0].token_ids[:2], drafts[0].parents[:2]))
        fresh = model.start(state.token_ids)
        for draft in drafts:
            assert np.array_equal(state.score(draft), fresh.score(draft))
        last = drafts[source.randrange(len(drafts))]
        state.score(last)
        state.commit(ancestors(last, source.randrange(-1, len(last))))
        assert np.array_equal(state.next_logits, model.start(state.token_ids).next_logits)


def test_nodes_without_logits_are_forgotten() -> None:
    tree = ScoredTree()
    assert tree.add(Draft.chain([1, 2])) == [0, 1]
    tree.logits += [np.zeros(1, np.float32)] * 2
    assert tree.add(Draft((1, 3, 2), (-1, 0, 0))) == [0, 2, 1]
    tree.drop_uncomputed()
    assert tree.as_draft() == Draft.chain([1, 2])
    assert tree.add(Draft((9, 9), (-1, 0))) == [2, 3]


def test_commit_keeps_what_hangs_below_in_order() -> None:
    tree = ScoredTree()
    tree.add(Draft((1, 2, 3, 4, 5, 6), (-1, -1, 1, 0, 2, 1)))
    tree.logits += [np.array(node, np.float32) for node in range(6)]
    assert tree.commit([1]) == [1, 2, 4, 5]
    assert tree.as_draft() == Draft((3, 5, 6), (-1, 0, -1))
    assert [int(row) for row in tree.logits] == [2, 4, 5]
