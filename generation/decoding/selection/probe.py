"""What a model makes of one long prompt, for ``memberwise bench long``.

How surprised it is by what follows, whether it finds a value, and how long a step takes. Start reading at ``probe``.
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
class Probe:
    """One prompt.

    Attributes:
        read_s: until the prompt was read.
        loss: mean of what followed it, in nats a token.
        found: whether the value was written.
        step_ms: median of writing one token.
    """

    read_s: float
    loss: float
    found: bool
    step_ms: float


def probe(
    model: LanguageModel, prompt: Sequence[int], following: Sequence[int], question: Sequence[int], value: Sequence[int]
) -> Probe:
    """Read a prompt, follow a text, then ask for a value greedily."""
    started = time.perf_counter()
    state = model.start(prompt)
    read_s = time.perf_counter() - started
    losses, steps = list[float](), list[float]()
    for token_id in following:
        losses.append(-float(torch.log_softmax(state.next_logits, -1)[token_id]))
        steps.append(_write(state, token_id))
    for token_id in question:
        _write(state, token_id)
    found = True
    for token_id in value:
        found = found and int(state.next_logits.argmax()) == token_id
        _write(state, token_id)
    state.close()
    return Probe(read_s, statistics.fmean(losses), found, statistics.median(steps) * 1000)


def _write(state: DecodingState, token_id: int) -> float:
    started = time.perf_counter()
    state.score(Draft.chain([token_id]))
    state.commit([0])
    return time.perf_counter() - started
