"""Several results for one function: how each is sampled, which of them can be used, which is best.

Knows nothing of how they come about. Start reading at ``RankedCandidate``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from generation.config import SamplingConfig
from generation.tools.checks import SYNTAX, Problem
from generation.types import Finished, ToolCalled

_TEMPERATURE = 0.8  # of all but the first, where none is set


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """One of several results for one function.

    Attributes:
        finished: the text, its imports and what it cost.
        calls: where the tool was asked, and what came of it.
        problems: what is wrong with it in its file.
    """

    finished: Finished
    calls: tuple[ToolCalled, ...]
    problems: tuple[Problem, ...]

    @property
    def unusable(self) -> str | None:
        """Why there is no body, or none that may be put into the file."""
        if not self.finished.text.strip():
            return f"nothing was generated ({self.finished.reason.value})"
        broken = (problem.message for problem in self.problems if problem.kind == SYNTAX)
        return next((f"the body would break the file: {message}" for message in broken), None)

    @property
    def doubt(self) -> tuple[bool, int, float]:
        """Less is better: one that can be used, then fewer problems, then more probability per token."""
        stats = self.finished.stats
        return self.unusable is not None, len(self.problems), -stats.logprob / max(1, stats.generated_tokens)


def sampling_of(usual: SamplingConfig, number: int) -> SamplingConfig:
    """How candidate ``number`` is sampled: the first as usual, the others never greedily; each has its own seed."""
    temperature = _TEMPERATURE if number and usual.temperature <= 0 else usual.temperature
    return replace(usual, temperature=temperature, seed=usual.seed + number)
