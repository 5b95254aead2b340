"""What a model makes of one long prompt, for ``memberwise bench long``.

How surprised it is by what follows, whether it finds the values that are asked for, and how long a step takes. Start
reading at ``ask`` and ``follow``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from generation.decoding.tokens.logits import log_total
from generation.interfaces import DecodingState, LanguageModel
from generation.types import Draft


@dataclass(frozen=True, slots=True)
class Question:
    """Asked behind a prompt; ``value`` is the answer."""

    token_ids: Sequence[int]
    value: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of one prompt and its questions.

    Attributes:
        read_s: until the prompt was read.
        found: of each question, whether the value would be written.
        losses: of each question, the mean over its value, in nats a token.
    """

    read_s: float
    found: Sequence[bool]
    losses: Sequence[float]


@dataclass(frozen=True, slots=True)
class Following:
    """What came of the text behind one prompt.

    Attributes:
        loss: mean, in nats a token.
        step_ms: median of writing one token.
    """

    loss: float
    step_ms: float


def ask(model: LanguageModel, prompt: Sequence[int], questions: Sequence[Question]) -> Answers:
    """Read a prompt and ask greedily for values, each time behind the prompt, which the model knows then."""
    started = time.perf_counter()
    model.start(prompt).close()
    read_s = time.perf_counter() - started
    found, losses = list[bool](), list[float]()
    for question in questions:
        state = model.start([*prompt, *question.token_ids])
        right, answer = True, list[float]()
        for token_id in question.value:
            right = right and int(state.next_logits.argmax()) == token_id
            answer.append(_loss(state, token_id))
            _write(state, token_id)
        state.close()
        found.append(right)
        losses.append(statistics.fmean(answer))
    return Answers(read_s, found, losses)


def follow(states: Sequence[DecodingState], following: Sequence[int]) -> list[Following]:
    """Follow a text behind several prompts, a token of each in turn: what disturbs this machine disturbs all."""
    losses: list[list[float]] = [[] for _ in states]
    steps: list[list[float]] = [[] for _ in states]
    for token_id in following:
        for number, state in enumerate(states):
            losses[number].append(_loss(state, token_id))
            steps[number].append(_write(state, token_id))
    means = zip(losses, steps, strict=True)
    return [Following(statistics.fmean(some), statistics.median(times) * 1000) for some, times in means]


def _loss(state: DecodingState, token_id: int) -> float:
    return log_total(state.next_logits) - float(state.next_logits[token_id])


def _write(state: DecodingState, token_id: int) -> float:
    started = time.perf_counter()
    state.score(Draft.chain([token_id]))
    state.commit([0])
    return time.perf_counter() - started
