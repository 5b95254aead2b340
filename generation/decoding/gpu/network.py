"""A network on a GPU with the surface of ``llama.network.Network``: what its sequences, drafts and batches need of it.

Rows of several widths go through different routines of the GPU's libraries, so a row differs by rounding between
widths: a near tie can fall differently with drafts than without, which it cannot on our own kernels. Knows no files.
Start reading at ``TorchNetwork.forward_together``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch

from generation.decoding.gpu import compute, reference
from generation.decoding.gpu.compute import Choose, Operations
from generation.decoding.gpu.graphs import Forwards
from generation.decoding.gpu.long_rows import LongRows
from generation.decoding.gpu.slots import PAGE_SLOTS, SequenceSlots, SlotPool, fitting_pages
from generation.decoding.gpu.weights import Weights
from generation.decoding.llama.network import Scoring
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.selection.settings import SelectionSettings
from generation.decoding.sequence import Stop, check_stop
from generation.decoding.step_costs import Forward
from generation.errors import CapacityError, ModelLoadError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.decoding.weight_files import Array
    from generation.interfaces import Logits

_TRIED_TOKENS, _TRIED_TIMES = 8, 3  # the second time a graph is recorded, the third it is replayed
_FARTHEST = 0.1  # what bfloat16 rounds differently is a few hundredths
_TREE_SLOTS = 1024  # for trees that are wider than deep, behind the longest sequence
_LEAST_SLOTS = 4096  # for chosen lists, and for forwards that are only timed, where a model's own context is shorter


class TorchNetwork:
    """Weights, and the slots of all sequences. One forward at a time; other threads may move slots meanwhile.

    Args:
        weights: of the network.
        pool: for all its sequences.
        record: whether forwards are recorded as CUDA graphs.
        read_tokens: of a prompt in one forward; what a cancel throws away.
        least_slots: that a sequence may have, however short the model's context is.
        operations: what torch lacks; None chooses by the device.
    """

    def __init__(
        self,
        weights: Weights,
        pool: SlotPool,
        *,
        record: bool,
        read_tokens: int = 1024,
        least_slots: int = _LEAST_SLOTS,
        operations: Operations | None = None,
    ) -> None:
        self.shape: LlamaShape = weights.shape
        self.read_tokens = read_tokens
        self.weights = weights
        self.pool = pool
        most = max(weights.shape.context_tokens + _TREE_SLOTS, least_slots)
        self._most_slots = -(-most // PAGE_SLOTS) * PAGE_SLOTS
        self.device = weights.embedding.device
        self._on_gpu = self.device.type == "cuda"
        self._rotary = rotary = compute.rotary_of(weights, self._most_slots)
        run = partial(compute.forward, weights, operations or operations_for(self.device), pool, rotary)
        self._forwards = Forwards(run, self._most_slots // PAGE_SLOTS, self.device, record=record)
        self._lock = threading.Lock()
        self._prompt_tokens = 0

    def forward(
        self,
        cache: SequenceSlots,
        draft: Draft,
        rows: int,
        stop: Stop | None = None,
        first: int = 0,
        choose: Choose | None = None,
    ) -> Logits:
        """See ``llama.network.Network.forward``; logits are on the CPU, ``stop`` is asked before, not in every layer.

        ``choose`` may change what the nodes see in a layer; it is given their rotated queries.

        Raises:
            CapacityError: there is no room for so many nodes.
            StoppedError: ``stop`` returned true; the cache is as it was.
        """
        count = len(draft) - first
        chooses = None if choose is None else lambda layer, queries: choose(layer, queries[:count])
        return self._run([Scoring(cache, draft, rows, first)], stop, chooses)[0]

    def forward_together(self, scorings: Sequence[Scoring], stop: Stop | None = None) -> list[Logits]:
        """Run a tree of each of several sequences in one forward; the logits of each, as ``forward`` gives them."""
        return self._run(scorings, stop)

    @torch.no_grad()
    def _run(self, scorings: Sequence[Scoring], stop: Stop | None, choose: Choose | None = None) -> list[Logits]:
        check_stop(stop)
        for one in scorings:
            self.check(one.draft)
            self._reserve(one.cache, one.cache.length + len(one.draft))
        rows = [one.rows for one in scorings]
        with self._lock:
            logits = self._taken(self._forwards.run(scorings, choose)[: sum(rows)])
        return np.split(logits, np.cumsum(rows[:-1]))

    @torch.no_grad()
    def keep(self, cache: SequenceSlots, path: Sequence[int]) -> None:
        """Move slots of nodes, as increasing indices into the tree that was run last, behind the committed ones."""
        with self._lock:
            cache.keep(path)

    def check(self, draft: Draft) -> None:
        """Refuse what would be read from outside of the embedding.

        Raises:
            ValueError: a token is none of the vocabulary.
        """
        known = self.shape.vocabulary + self._prompt_tokens
        if not all(0 <= token_id < known for token_id in draft.token_ids):
            raise ValueError(f"not tokens of a vocabulary of {self.shape.vocabulary}: {draft.token_ids}")

    def set_prompt_tokens(self, embeddings: Array) -> None:
        """Give ids behind the vocabulary to embeddings (count, hidden) of prompt tokens; no address changes."""
        self._prompt_tokens = len(embeddings)
        known = self.shape.vocabulary
        self.weights.embedding[known : known + len(embeddings)] = torch.from_numpy(embeddings).to(
            self.weights.embedding
        )

    def new_cache(self) -> SequenceSlots:
        """An empty cache for one sequence."""
        return SequenceSlots(self.pool)

    def beside(self) -> Sequence[TorchNetwork]:
        """Itself: one forward at a time is all that a GPU has."""
        return [self]

    def long_rows(self, settings: SelectionSettings) -> LongRows:
        """The rows of a long sequence of which attention sees a chosen part."""
        return LongRows(self.pool, self._rotary, settings)

    def blank_forward(self) -> Forward:
        """Runs a number of rows behind a number of tokens, whatever lies there, to see how long that takes."""
        cache = self.new_cache()

        def forward(rows: int, context_tokens: int) -> Logits:
            cache.length = context_tokens
            return self.forward(cache, Draft.chain([0] * rows), rows)

        return forward

    def _taken(self, logits: torch.Tensor) -> Logits:
        """Wait for the device, and copy what the next forward may write over."""
        if not self._on_gpu:
            return logits.numpy().copy()
        taken = torch.empty(logits.shape, pin_memory=True)  # five times as quick to copy to; torch keeps it for later
        taken.copy_(logits, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        found: Logits = taken.numpy()
        return found

    def _reserve(self, cache: SequenceSlots, slots: int) -> None:
        if slots > self._most_slots:
            raise CapacityError(f"a sequence of {slots} slots with its tree does not fit into {self._most_slots}")
        cache.reserve(slots)


def require_agreement(network: TorchNetwork) -> None:
    """Try kernels and graphs on this device against plain torch.

    Raises:
        ModelLoadError: they compute something else.
    """
    plain = TorchNetwork(network.weights, network.pool, record=False, operations=reference)
    draft = Draft.chain([token % network.shape.vocabulary for token in range(1, _TRIED_TOKENS + 1)])
    tries = [network.forward(network.new_cache(), draft, _TRIED_TOKENS) for _ in range(_TRIED_TIMES)]
    found, expected = tries[-1], plain.forward(plain.new_cache(), draft, _TRIED_TOKENS)
    distance = float(np.abs(found - expected).mean() / expected.std())
    if not distance <= _FARTHEST:
        raise ModelLoadError(f"kernels and plain torch differ by {distance:.2g} standard deviations on this GPU")


def new_pool(weights: Weights, sequences: int, context_tokens: int | None = None) -> SlotPool:
    """Slots beside the weights for so many of the longest sequences, and as many that have ended, if they fit."""
    device, dtype = weights.embedding.device, weights.embedding.dtype
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what torch holds for later counts as taken
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    tokens = sequences * max(weights.shape.context_tokens, context_tokens or 0)
    return SlotPool(weights.shape, fitting_pages(weights.shape, dtype, free, tokens), dtype, device)


def operations_for(device: torch.device) -> Operations:
    """What torch lacks: our kernels on a GPU, else the reference."""
    if device.type != "cuda":
        return reference
    from generation.decoding.gpu import kernels

    return kernels
