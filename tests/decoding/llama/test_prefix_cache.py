"""What ended sequences leave to later prompts: less work, the same bits, bounded memory, and a prompt that can be left."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np
import pytest

from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.network import Network
from generation.decoding.sequence import SequenceState, common_start
from generation.errors import StoppedError
from generation.types import Draft
from tests.decoding.llama.networks import NoTokenizer, kernels, model_of, random_ids

PROMPT = random_ids(random.Random(0), 300)


def model(int8: bool = False, prefix_bytes: int = 128 << 20) -> LlamaModel:
    weights = model_of("qwen2", int8=int8).network.weights
    return LlamaModel(Network(weights, kernels(), 1), NoTokenizer(), "tiny", prefix_bytes)


@pytest.mark.parametrize("int8", [False, True])
def test_reuse_changes_no_bit(int8: bool) -> None:
    reusing, source = model(int8), random.Random(1)
    prompt = list(PROMPT)
    for _ in range(12):
        state = reusing.start(prompt)
        fresh = model(int8, prefix_bytes=0).start(prompt)
        assert np.array_equal(state.next_logits, fresh.next_logits)
        draft = Draft(tuple(random_ids(source, 4)), (-1, 0, -1, 2))
        assert np.array_equal(state.score(draft), fresh.score(draft))
        state.commit([2, 3])
        state.close()
        cut = source.randrange(5, len(prompt))  # an edit somewhere, and text behind it
        prompt = [*prompt[:cut], *random_ids(source, source.randrange(1, 40))]


def test_how_much_is_reused() -> None:
    reusing = model()
    state = reusing.start(PROMPT)
    assert state.reused_tokens == 0
    state.score(Draft.chain([1, 2]))
    state.commit([0, 1])
    state.close()
    state.close()
    for prompt, reused in (
        ([*PROMPT, 1, 2, 3], 302),
        ([*PROMPT, 1, 2, 3], 302),
        (PROMPT, 299),
        (PROMPT[:100], 99),
        ([*PROMPT[:100], *PROMPT[:200]], 100),
    ):
        state = reusing.start(prompt)
        assert state.reused_tokens == reused
        state.close()


def test_a_short_common_start_takes_nothing_away() -> None:
    reusing = model()
    reusing.start(PROMPT).close()
    other = reusing.start([*PROMPT[:40], *PROMPT[:200]])
    assert other.reused_tokens == 40
    other.close()
    assert reusing.start([*PROMPT, 1]).reused_tokens == 300
    assert reusing.start(PROMPT[5:]).reused_tokens == 0


def test_a_common_start_is_that_of_any_sequences() -> None:
    for first, second, common in (([], [1], 0), ([1, 2], [1, 2, 3], 2), ((1, 2), [1, 2, 3], 2), ([1, 2, 3], [1, 4], 1)):
        assert common_start(first, second) == common_start(second, first) == common


def test_a_sequence_in_use_is_not_shared() -> None:
    reusing = model()
    first = reusing.start(PROMPT)
    assert reusing.start(PROMPT).reused_tokens == 0
    first.close()


def test_memory_is_bounded_and_the_latest_stay() -> None:
    one = model()
    one.start(PROMPT).close()
    size = one.prefixes.size_bytes
    reusing, source = model(prefix_bytes=3 * size), random.Random(2)
    prompts = [random_ids(source, 300) for _ in range(5)]
    for prompt in prompts:
        reusing.start(prompt).close()
        assert reusing.prefixes.size_bytes <= 3 * size
    reused = {number: reusing.prefixes.take(prompt).length for number, prompt in enumerate(prompts)}
    assert reused == {0: 0, 1: 0, 2: 299, 3: 299, 4: 299}


def test_the_last_sequence_stays_however_long_it_is() -> None:
    reusing, other = model(prefix_bytes=1), random_ids(random.Random(4), 100)
    reusing.start(PROMPT).close()
    reusing.start(PROMPT).close()
    assert reusing.start(PROMPT).reused_tokens == len(PROMPT) - 1
    reusing.start(other).close()
    assert reusing.start(PROMPT).reused_tokens == 0


def test_memory_is_bounded_whatever_is_read_and_written() -> None:
    source = random.Random(3)
    bound = 400_000
    reusing = model(prefix_bytes=bound)
    starts = [random_ids(source, 400) for _ in range(4)]
    open_states: list[SequenceState] = []
    evicted = 0
    for _ in range(60):
        prompt = source.choice(starts)[: source.randrange(1, 400)] + random_ids(source, source.randrange(1, 120))
        open_states.append(reusing.start(prompt))
        open_states[-1].score(Draft.chain([1, 2, 3]))
        open_states[-1].commit([0, 1])
        if len(open_states) == 3:
            kept = len(reusing.prefixes._ended)
            open_states.pop(source.randrange(3)).close()
            evicted += len(reusing.prefixes._ended) < kept + 1
        assert reusing.prefixes.size_bytes <= bound
    assert evicted > 5


def test_a_stopped_prompt_is_left_within_a_layer_and_what_was_read_is_kept() -> None:
    reusing = model()
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5  # two layers a chunk of 96: within the third chunk

    with pytest.raises(StoppedError):
        reusing.start(PROMPT, stop)
    assert asked == 6
    state = reusing.start(PROMPT)
    assert state.reused_tokens == 192
    assert np.array_equal(state.next_logits, model().start(PROMPT).next_logits)


@pytest.mark.model
def test_a_long_prompt_of_the_default_model_stops_soon() -> None:
    """The time of a layer is what a caller waits at most; a loaded machine gets four times what an idle one needs."""
    from generation.decoding.loading import load_model
    from generation.models import resolve

    default = load_model(resolve("default"), threads=1)
    asked = [time.perf_counter()]

    def stop() -> bool:
        asked.append(time.perf_counter())
        return len(asked) > 100

    with pytest.raises(StoppedError):
        default.start([3, 5, 7, 9] * 500, stop)
    waits = sorted(later - earlier for earlier, later in itertools.pairwise(asked[1:]))
    assert waits[len(waits) // 2] < 0.05
