"""Settings of a training run, every one of them defaulted; what they are is in the adapter's manifest.

Standard library only. Start reading at ``TrainingSettings``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an adapter is trained.

    Attributes:
        total_tokens: length of the run; the learning rate falls along a cosine until there.
        stop_tokens: where to stop before that, to go on another time; 0 stops nowhere.
        length_tokens: longest example.
        tokens_per_step: examples of about so many tokens make one step.
        microbatch_tokens: most tokens, padding included, that are in the network at a time.
        rank: of the adapters.
        alpha: their output is scaled by ``alpha / rank``.
        learning_rate: highest.
        final_rate: the lowest, as a share of the highest.
        warmup_steps: steps until the highest.
        clip: longest gradient.
        mark_weight: how much a mark counts in the loss, where another token counts 1.
        seed: of the adapters' first values and of the choice of examples.
        validation_examples: how many are measured each time.
        patience: measurements without a better one after which the run ends; 0 never ends it.
        checkpoint_every_s: time between checkpoints.
        validate_every_s: time between measurements.
    """

    total_tokens: int = 4_000_000
    stop_tokens: int = 0
    length_tokens: int = 512
    tokens_per_step: int = 2048
    microbatch_tokens: int = 1024
    rank: int = 32
    alpha: int = 64
    learning_rate: float = 6e-4
    final_rate: float = 0.05
    warmup_steps: int = 10
    clip: float = 1.0
    mark_weight: float = 1.0
    seed: int = 0
    validation_examples: int = 16
    patience: int = 0
    checkpoint_every_s: float = 180.0
    validate_every_s: float = 600.0

    def rate(self, step: int, tokens: int) -> float:
        """The learning rate of a step, after ``tokens`` tokens."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        done = min(1.0, tokens / self.total_tokens)
        cosine = self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * warm * cosine


PROMPT_TOKEN_SETTINGS = TrainingSettings(
    total_tokens=500_000, length_tokens=224, learning_rate=0.01, final_rate=0.02, warmup_steps=10
)
"""Of prompt tokens, which are a few embeddings: fewer tokens, larger steps."""
