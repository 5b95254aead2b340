"""Ways to continue a prompt greedily, timed: our own, and transformers' ``generate`` to compare with.

For ``memberwise bench decode``. Everything here writes a fixed number of tokens and knows no end of text, so that all
do the same work. Start reading at ``Timing``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from generation.decoding.drafting import LookupDrafter
from generation.interfaces import LanguageModel
from generation.types import Draft

_DRAFT_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Timing:
    """What one continuation took.

    Attributes:
        token_ids: what was written.
        read_s: until the first token was known.
        write_s: for the others.
    """

    token_ids: tuple[int, ...]
    read_s: float
    write_s: float


class Engine(Protocol):
    """Something that continues prompts."""

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """Continue a prompt by ``count`` tokens."""


class OwnEngine:
    """Our model, with or without drafts.

    Args:
        model: any of ours.
        drafts: whether to speculate.
    """

    def __init__(self, model: LanguageModel, *, drafts: bool) -> None:
        self._model = model
        self._drafts = drafts

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``."""
        started = time.perf_counter()
        state = self._model.start(prompt_ids)
        read_s = time.perf_counter() - started
        drafter = LookupDrafter() if self._drafts else None
        token_id, written = int(state.next_logits.argmax()), list[int]()
        while len(written) < count:
            guess = drafter.propose([*state.token_ids, token_id], _DRAFT_TOKENS) if drafter else ()
            chain = [token_id, *guess]
            following = state.score(Draft.chain(chain)).argmax(-1).tolist()
            accepted = 1
            while accepted < len(chain) and chain[accepted] == following[accepted - 1]:
                accepted += 1
            state.commit(range(accepted))
            written += chain[:accepted]
            token_id = following[accepted - 1]
        state.close()
        return Timing(tuple(written[:count]), read_s, time.perf_counter() - started - read_s)


class TransformersEngine:
    """transformers' ``generate`` in a dtype, its own cache and loop."""

    def __init__(self, folder: Path, dtype: str) -> None:
        from transformers import AutoModelForCausalLM

        self._network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
        self._network.generation_config.eos_token_id = None

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``. Reading is timed by a continuation of one token."""
        prompt = torch.tensor([list(prompt_ids)])
        read_s, _ = self._timed(prompt, 1)
        total_s, output = self._timed(prompt, count)
        return Timing(tuple(output[0, len(prompt_ids) :].tolist()), read_s, max(total_s - read_s, 0.0))

    def _timed(self, prompt: torch.Tensor, count: int) -> tuple[float, torch.Tensor]:
        started = time.perf_counter()
        with torch.inference_mode():
            output = self._network.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count, pad_token_id=0
            )
        return time.perf_counter() - started, output
