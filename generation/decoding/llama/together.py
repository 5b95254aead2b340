"""One network for several sequences at once: what they want scored at the same time is one forward.

A thread for each sequence, and no thread of its own: of those that wait, one runs the forward for all. Where there are
cores, two forwards run beside each other, so that a prompt is read while others write. A row of logits depends on its
own tokens only, bit by bit, so neither how many sequences there are nor who meets whom changes a result. Start reading
at ``TogetherModel.start``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from generation.decoding.llama.model import LlamaModel, LlamaScorer, TreeNetwork
from generation.decoding.llama.network import Scoring
from generation.decoding.selection.scorer import LastPrompt, ListNetwork, SelectingScorer
from generation.decoding.selection.settings import SelectionSettings
from generation.decoding.sequence import Scorer, SequenceState, Stop, check_prompt, check_stop
from generation.types import Draft

if TYPE_CHECKING:
    from generation.decoding.gpu.compute import Choose
    from generation.decoding.gpu.long_rows import LongRows
    from generation.interfaces import LanguageModel, Logits, Tokenizer

_GATHER_S = 0.004  # how long a forward is held back for sequences that are between two steps
_MOST_CHUNKS = 2  # of prompts, as rows of one forward, are too many: one, and the steps of the others


class TogetherModel:
    """A ``LanguageModel`` whose sequences may be used by a thread each.

    Args:
        model: whose weights and threads are used; nobody else uses it meanwhile.
    """

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        networks = model.network.beside()
        self.network = SharedNetwork(networks)
        self._reading = threading.Semaphore(len(networks))
        self.step_costs = model.step_costs

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer these weights were trained with."""
        return self._model.tokenizer

    @property
    def name(self) -> str:
        """How records and reports call this model."""
        return self._model.name

    @property
    def context_tokens(self) -> int:
        """Longest sequence."""
        return self._model.context_tokens

    def shared(self) -> LanguageModel:
        """Itself."""
        return self

    def start(self, prompt_ids: Sequence[int], stop: Stop | None = None) -> SequenceState:
        """Read a prompt, as many at a time as there are forwards; see ``LanguageModel.start``."""
        check_prompt(prompt_ids, self.context_tokens, self.name)
        scorer = self._scorer(len(prompt_ids))
        with self._reading:
            check_stop(stop)
            state = SequenceState(scorer, prompt_ids, self.context_tokens, stop)
            if isinstance(scorer, LlamaScorer):
                scorer.share()
        return state

    def _scorer(self, prompt_tokens: int) -> Scorer:
        if not self._model.selects(prompt_tokens):
            return LlamaScorer(self.network, self._model.prefixes)
        network = cast("ListNetwork", self.network)
        own = LastPrompt()  # one for all would be left by a thread while another takes it over
        return SelectingScorer(network, self._model.long.settings, own)


@dataclass(slots=True)
class _Request:
    """A tree that waits for its logits, or for what went wrong."""

    scoring: Scoring
    asked_s: float = field(default_factory=time.perf_counter)
    logits: Logits | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.logits is not None or self.error is not None

    @property
    def rows(self) -> int:
        return len(self.scoring.draft) - self.scoring.first


class SharedNetwork:
    """``Network`` for several threads. ``forwards`` and ``rows`` count what was run.

    Args:
        networks: each runs one forward at a time; they have the same weights, and caches of one are those of all.
    """

    def __init__(self, networks: Sequence[TreeNetwork]) -> None:
        self._network = networks[0]
        self.read_tokens = self._network.read_tokens
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._idle = list(networks)
        self._last = 1  # sequences in the forward before
        self.forwards = self.rows = 0

    def forward(
        self,
        cache: Any,
        draft: Draft,
        rows: int,
        stop: Stop | None = None,
        first: int = 0,
        choose: Choose | None = None,
    ) -> Logits:
        """See ``ListNetwork.forward``; ``stop`` is asked before, not in every layer, for the others go on."""
        if choose is not None:  # rows of one sequence only can; a GPU's network takes one forward after the other
            return self._lists.forward(cache, draft, rows, stop, first, choose)
        check_stop(stop)
        self._network.check(draft)  # both here, so that it is nobody else's error
        cache.reserve(cache.length + len(draft))
        request = _Request(Scoring(cache, draft, rows, first))
        with self._changed:
            self._waiting.append(request)
            self._changed.notify_all()
            while not request.done:
                chosen = self._take()
                if chosen:
                    self._run(chosen)
                else:
                    self._changed.wait(_GATHER_S)
        if request.error is not None:
            raise request.error
        assert request.logits is not None
        return request.logits

    def keep(self, cache: Any, path: Sequence[int]) -> None:
        """See ``Network.keep``; caches have nothing in common."""
        self._network.keep(cache, path)

    def long_rows(self, settings: SelectionSettings) -> LongRows:
        """See ``ListNetwork.long_rows``."""
        return self._lists.long_rows(settings)

    @property
    def _lists(self) -> ListNetwork:
        return cast("ListNetwork", self._network)  # who asks for lists has one

    def _take(self) -> list[_Request]:
        """The requests of the next forward; none while no network is idle, or while others are about to ask."""
        if not self._idle or not self._waiting:
            return []
        late = time.perf_counter() - self._waiting[0].asked_s >= _GATHER_S
        if len(self._waiting) < self._last and not late:
            return []
        rows, count, too_many = 0, 0, _MOST_CHUNKS * self.read_tokens
        while count < len(self._waiting) and (not count or rows + self._waiting[count].rows < too_many):
            rows += self._waiting[count].rows
            count += 1
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        return chosen

    def _run(self, chosen: Sequence[_Request]) -> None:
        """Run one forward; called and left with the lock held, which the others have meanwhile."""
        network = self._idle.pop()
        self._changed.release()
        try:
            found, error = _computed(network, chosen)
        finally:
            self._changed.acquire()
            self._idle.append(network)
            self._last = len(chosen) + len(self._waiting)
        for number, request in enumerate(chosen):
            request.logits, request.error = found[number] if found else None, error
        self.forwards += 1
        self.rows += sum(request.rows for request in chosen)
        self._changed.notify_all()


def _computed(network: TreeNetwork, chosen: Sequence[_Request]) -> tuple[list[Logits], BaseException | None]:
    try:
        return network.forward_together([request.scoring for request in chosen]), None
    except Exception as error:  # noqa: BLE001 - each who waits is told
        return [], error
