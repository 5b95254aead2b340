"""The numbers of a forward: rounded sizes, rows of several sequences, trees as intervals."""

from __future__ import annotations

import random

import torch

from generation.decoding.gpu.batch import Batch, Size, rounded, size_of, walk
from generation.decoding.gpu.slots import PAGE_SLOTS, SequenceSlots, SlotPool, fitting_pages, page_bytes
from generation.decoding.llama.network import Scoring
from generation.types import Draft
from tests.decoding.gpu.torch_networks import CPU, weights_of
from tests.decoding.llama.networks import ancestors, network_of, random_tree

SHAPE = weights_of(network_of("llama")).shape


def test_sizes_are_few_and_large_enough() -> None:
    assert [rounded(count) for count in (1, 2, 7, 8, 9, 16, 17, 21, 96, 97, 1024)] == [
        1,
        2,
        7,
        8,
        10,
        16,
        20,
        24,
        96,
        112,
        1024,
    ]
    assert all(count <= rounded(count) < count * 1.25 for count in range(1, 3000))
    assert len({rounded(count) for count in range(1, 1025)}) == 36


def test_a_walk_enters_what_is_below_a_node_before_it_leaves_it() -> None:
    assert walk([-1, 0, 1]) == ([0, 1, 2], [3, 3, 3])
    for seed in range(50):
        draft = random_tree(random.Random(seed), 1 + seed % 20)
        enter, leave = walk(draft.parents)
        for node in range(len(draft)):
            seen = {other for other in range(len(draft)) if enter[other] <= enter[node] < leave[other]}
            assert seen == set(ancestors(draft, node))


def test_rows_of_several_sequences_lie_one_behind_the_other() -> None:
    pool = SlotPool(SHAPE, 9, torch.float32, CPU)
    first, second = SequenceSlots(pool), SequenceSlots(pool)
    first.reserve(300)
    second.reserve(5)
    first.length, second.length = 255, 2
    scorings = [Scoring(first, Draft((7, 8, 9), (-1, 0, 0)), 2, first=1), Scoring(second, Draft((4,), (-1,)), 1)]
    assert size_of(scorings) == Size(sequences=2, rows=3, nodes=4, logits=3)
    batch = Batch(Size(2, 4, 5, 4), 3, CPU)
    for _ in range(2):
        batch.fill(scorings)
    assert batch.token_ids.tolist() == [8, 9, 4, 0]
    assert batch.positions.tolist() == [256, 256, 2, 0]
    assert batch.slots.tolist() == [
        first.pages[1] * PAGE_SLOTS,
        first.pages[1] * PAGE_SLOTS + 1,
        second.pages[0] * PAGE_SLOTS + 2,
        0,
    ]
    assert batch.sequences.tolist() == [[0, 2, 255, 0, 3], [2, 1, 2, 3, 1]]
    assert batch.tables.tolist() == [[*first.pages, 0], [*second.pages, 0, 0]]
    assert batch.wanted.tolist() == [0, 1, 2, 0]
    assert (batch.enter.tolist(), batch.leave.tolist()) == ([0, 1, 2, 0, 0], [3, 2, 3, 1, 0])


def test_slots_move_together_over_the_end_of_a_page() -> None:
    pool = SlotPool(SHAPE, 9, torch.float32, CPU)
    cache = SequenceSlots(pool)
    cache.reserve(300)
    cache.length = 254
    for place in range(300):
        pool.keys[:, cache.slot(place)] = place
    cache.keep([1, 2, 5, 9])
    assert [int(pool.keys[1, cache.slot(place), 0, 0]) for place in range(253, 259)] == [253, 255, 256, 259, 263, 258]
    copy = SequenceSlots(pool)
    copy.copy_start(cache, 257)
    assert all(torch.equal(pool.keys[:, copy.slot(place)], pool.keys[:, cache.slot(place)]) for place in range(257))


def test_half_of_the_memory_is_left_to_others() -> None:
    one = page_bytes(SHAPE, torch.bfloat16)
    assert one == 2 * 2 * 256 * 2 * 8 * 2
    assert fitting_pages(SHAPE, torch.bfloat16, 1 << 40, tokens=8 * 640) == 1 + 2 * 20
    assert fitting_pages(SHAPE, torch.bfloat16, 10 * one, tokens=8 * 640) == 1 + 5
