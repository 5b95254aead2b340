"""Prompt tokens: a few trained embeddings that, put behind a token, guess what follows the one after it.

The network stays as it is; only the embeddings are trained, by what the network itself finds likeliest at those places.
``decoding.llama.parallel_prompt`` drafts with them.

Source: parallel prompt decoding (arXiv 2405.18628). Start reading at ``PromptTokenNetwork.loss``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from generation.decoding.drafts.prompt_tokens import PROMPT_TOKENS
from generation.errors import ModelLoadError
from generation.training.examples import TrainingExample
from generation.training.loss import cross_entropy

_MOST_PLACES = 96  # of an example, behind each of which all prompt tokens are put
_LATER = 0.8  # what a guess counts for each token that it lies further ahead


class PromptTokenNetwork:
    """A frozen network and its trainable prompt tokens; what ``finetune.Run`` trains.

    Args:
        base: a causal model of transformers; frozen and changed in place.
        count: of prompt tokens.
        seed: of their first values, which lie around the mean of the embedding.
    """

    def __init__(self, base: Any, count: int, seed: int) -> None:
        base.requires_grad_(False)
        self.base = base
        self.body: Any = base.base_model
        self.head: torch.Tensor = base.get_output_embeddings().weight
        embedding = base.get_input_embeddings().weight.float()
        noise = torch.randn(count, embedding.shape[1], generator=torch.Generator().manual_seed(seed))
        first = embedding.mean(0) + noise.to(embedding.device) * embedding.std() / 8
        self._embeddings = torch.nn.Parameter(first)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.head.device

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained."""
        return [self._embeddings]

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is trained, (count, D) float32, on the CPU."""
        return {PROMPT_TOKENS: self._embeddings.detach().cpu().contiguous()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what ``tensors`` gave.

        Raises:
            ModelLoadError: it was another number of prompt tokens, or something else.
        """
        found = tensors.get(PROMPT_TOKENS)
        if found is None or found.shape != self._embeddings.shape:
            held = "no" if found is None else str(len(found))
            raise ModelLoadError(f"this run holds {held} prompt tokens, not {len(self._embeddings)} that fit the base")
        with torch.no_grad():
            self._embeddings.copy_(found)

    def loss(self, examples: Sequence[TrainingExample], _: float = 1.0) -> tuple[torch.Tensor, int]:
        """The loss of some examples in nats, times how many positions of them count, and how many do."""
        total, counted = torch.zeros((), device=self.device), 0
        for example in examples:
            positions = len(example.token_ids) - max(1, example.counted_from)
            hidden, targets = self._guessed(example)
            weights = torch.tensor([_LATER**ahead for ahead in range(len(self._embeddings))], device=self.device)
            weights = weights.repeat(len(targets) // len(weights))
            mean = cross_entropy(hidden, self.head, None, -1, targets, weights) / weights.sum()
            total, counted = total + mean * positions, counted + positions
        return total, counted

    @torch.no_grad()
    def accuracy(self, examples: Sequence[TrainingExample]) -> tuple[float, ...]:
        """How often each guess is what the network finds likeliest, by how far ahead it lies."""
        right = torch.zeros(len(self._embeddings))
        seen = 0
        for example in examples:
            hidden, targets = self._guessed(example)
            found = (hidden @ self.head.T).argmax(-1) == targets
            right += found.view(-1, len(right)).sum(0).cpu()
            seen += len(targets) // len(right)
        return tuple(round(float(share), 4) for share in right / seen)

    def _guessed(self, example: TrainingExample) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network says at the prompt tokens, (N, D), and the tokens it finds likeliest there, (N,).

        The prompt tokens behind a token see what it sees, itself and each other: a tree beside the text.
        """
        from transformers import DynamicCache

        count, length = len(self._embeddings), len(example.token_ids)
        first, last = max(0, example.counted_from - 1), length - 1 - count
        stride = -(-max(1, last - first) // _MOST_PLACES)
        places = torch.arange(first, max(last, first + 1), stride, device=self.device)
        cache = DynamicCache(config=self.base.config)
        with torch.no_grad():
            ids = torch.tensor([list(example.token_ids)], device=self.device)
            text = self.body(input_ids=ids, past_key_values=cache, use_cache=True)[0][0]
            ahead = places[:, None] + 1 + torch.arange(count, device=self.device)
            targets = (text[ahead.flatten().clamp(max=length - 1)] @ self.head.T).argmax(-1)
        hidden = self.body(
            inputs_embeds=self._embeddings.to(text.dtype).repeat(len(places), 1)[None],
            position_ids=ahead.flatten()[None],
            attention_mask=_tree_mask(places, count, length, text.dtype),
            past_key_values=cache,
            use_cache=True,
        )[0][0]
        return hidden, targets


def _tree_mask(places: torch.Tensor, count: int, length: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (1, 1, N, length + N) of ``count`` prompt tokens behind each place: 0 where they may look."""
    rows = torch.arange(len(places) * count, device=places.device)
    text = torch.arange(length, device=places.device) <= places.repeat_interleave(count)[:, None]
    own = (rows[:, None] // count == rows // count) & (rows <= rows[:, None])
    mask = torch.zeros(1, 1, len(rows), length + len(rows), dtype=dtype, device=places.device)
    return mask.masked_fill_(~torch.cat([text, own], dim=1), torch.finfo(dtype).min)
