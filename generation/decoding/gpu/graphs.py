"""Forwards by their sizes, recorded as CUDA graphs where they come up again and again.

Between two kernels of a small model the GPU waits for Python; a graph replays all kernels of a forward at once, at the
same addresses. Off a GPU the same function runs over the same buffers, and nothing is recorded. Knows no network. Start
reading at ``Forwards.run``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from generation.decoding.gpu.batch import Batch, Size, size_of
from generation.decoding.gpu.compute import Choose
from generation.decoding.llama.network import Scoring

_RECORDED_AT = 2  # times that a size came up: recording costs some forwards
_MOST_GRAPHS = 256


class Compute(Protocol):
    """``compute.forward`` of one network."""

    def __call__(self, batch: Batch, choose: Choose | None = None) -> torch.Tensor:
        """Logits of the wanted rows."""


@dataclass(slots=True)
class _Forward:
    """One size: its buffers, and its graph with where that leaves what it finds."""

    batch: Batch
    uses: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    found: torch.Tensor | None = None


class Forwards:
    """All sizes of one network; used by one thread at a time.

    Args:
        compute: a forward over a batch.
        pages: most of a sequence.
        device: of all buffers.
        record: whether to record graphs; a GPU is needed.
    """

    def __init__(self, compute: Compute, pages: int, device: torch.device, *, record: bool) -> None:
        self._compute = compute
        self._pages = pages
        self._device = device
        self._record = record
        self._known: dict[Size, _Forward] = {}
        self._memory: Any = None  # what all graphs share: one runs at a time

    @property
    def graphs(self) -> int:
        """How many are recorded."""
        return sum(one.graph is not None for one in self._known.values())

    def run(self, scorings: Sequence[Scoring], choose: Choose | None = None) -> torch.Tensor:
        """Logits of the rows that some sequences want, then of no meaning; valid until the next call.

        A forward with a choice is not recorded: what it reads depends on how much there is to choose from.
        """
        size = size_of(scorings)
        known = self._known.get(size)
        if known is None:
            known = self._known[size] = _Forward(Batch(size, self._pages, self._device))
        known.batch.fill(scorings)
        if choose is not None:
            return self._compute(known.batch, choose)
        known.uses += 1
        if known.graph is None and self._record and known.uses >= _RECORDED_AT and self.graphs < _MOST_GRAPHS:
            self._capture(known)
        if known.graph is None or known.found is None:
            return self._compute(known.batch)
        known.graph.replay()
        return known.found

    def _capture(self, known: _Forward) -> None:
        """Record what the forward does.

        It is run unrecorded before, in this thread: what torch's libraries open for a thread, they cannot open while it
        records, and a recording that fails leaves torch unusable.
        """
        self._compute(known.batch)
        torch.cuda.synchronize()
        known.graph = torch.cuda.CUDAGraph()
        if self._memory is None:
            self._memory = torch.cuda.graph_pool_handle()
        # Other threads may move rows meanwhile; what is recorded is this thread's only.
        with torch.cuda.graph(known.graph, pool=self._memory, capture_error_mode="thread_local"):
            known.found = self._compute(known.batch)
