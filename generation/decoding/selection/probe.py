"""What a model makes of one long prompt, for ``memberwise bench long``.

How surprised it is by what follows, whether it finds the values that are asked for, and how long a step takes. Start
reading at ``probe``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from generation.interfaces import DecodingState, LanguageModel
from generation.types import Draft


@dataclass(frozen=True, slots=True)
class Question:
    """Asked behind a prompt; ``value`` is the answer."""

    token_ids: Sequence[int]
    value: Sequence[int]


@dataclass(frozen=True, slots=True)
class Probe:
    """One prompt.

    Attributes:
        read_s: until the prompt was read.
        loss: mean of what followed it, in nats a token.
        step_ms: median of writing one token.
        found: of each question, whether the value would be written.
        value_losses: of each question, the mean over its value, in nats a token.
    """

    read_s: float
    loss: float
    step_ms: float
    found: Sequence[bool]
    value_losses: Sequence[float]


def probe(
    model: LanguageModel, prompt: Sequence[int], following: Sequence[int], questions: Sequence[Question]
) -> Probe:
    """Read a prompt and follow a text; then, each time behind the prompt again, ask greedily for the values."""
    started = time.perf_counter()
    state = model.start(prompt)
    read_s = time.perf_counter() - started
    losses, steps = list[float](), list[float]()
    for token_id in following:
        losses.append(_loss(state, token_id))
        steps.append(_write(state, token_id))
    state.close()
    found, value_losses = list[bool](), list[float]()
    for question in questions:
        state = model.start([*prompt, *question.token_ids])  # the prompt is known
        right, answers = True, list[float]()
        for token_id in question.value:
            right = right and int(state.next_logits.argmax()) == token_id
            answers.append(_loss(state, token_id))
            _write(state, token_id)
        state.close()
        found.append(right)
        value_losses.append(statistics.fmean(answers))
    return Probe(read_s, statistics.fmean(losses), statistics.median(steps) * 1000, found, value_losses)


def _loss(state: DecodingState, token_id: int) -> float:
    return -float(torch.log_softmax(state.next_logits, -1)[token_id])


def _write(state: DecodingState, token_id: int) -> float:
    started = time.perf_counter()
    state.score(Draft.chain([token_id]))
    state.commit([0])
    return time.perf_counter() - started
