"""A model writes, the tool is asked where a name is needed, a name is chosen, text streams out.

``Generator`` holds what lasts: model, tool, drafter, settings. The steps of one generation are next door, in ``run``.
Knows nothing of files, editors or prompts, and no implementation of the protocols. Start at ``Generator.stream``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from generation.config import DecodingConfig, SamplingConfig, Trigger
from generation.decoding.loop.asking import Asker, first_question
from generation.decoding.loop.events import must_stop, unwritten, written
from generation.decoding.loop.run import Run
from generation.decoding.loop.taking_back import rewind
from generation.decoding.tokens.vocabulary import vocabulary_of
from generation.errors import StoppedError
from generation.interfaces import CompletionTool, Drafter, LanguageModel
from generation.types import Extent, FinishReason, GenerationEvent, GenerationRequest, Started


class Generator:
    """Writes text into holes. One generation at a time, on the thread that calls ``stream``.

    Args:
        model: the weights.
        tool: answers which names exist; None behaves as ``Trigger.OFF``.
        drafter: guesses continuations for speculation; None does without.
        config: the method.
        sampling: temperature and top-p.
    """

    def __init__(
        self,
        model: LanguageModel,
        tool: CompletionTool | None,
        drafter: Drafter | None,
        config: DecodingConfig,
        sampling: SamplingConfig,
    ) -> None:
        self.model = model
        self.tool = tool
        self.drafter = drafter
        self.config = config if tool else replace(config, trigger=Trigger.OFF)
        self.sampling = sampling
        self.vocabulary = vocabulary_of(model.tokenizer)

    def stream(
        self, request: GenerationRequest, cancel: threading.Event | None = None, deadline_s: float | None = None
    ) -> Iterator[GenerationEvent]:
        """Generate; closing the iterator early is a cancel too.

        Args:
            request: the hole.
            cancel: checked before every forward, and while the prompt is read.
            deadline_s: seconds from now after which the generation ends with what it has.

        Raises:
            CapacityError: the prompt does not fit into the model's context.
        """
        started = time.perf_counter()

        def must() -> FinishReason | None:
            return must_stop(cancel, started, deadline_s)

        with contextlib.closing(Asker(self.tool)) as asker:
            yield from self._write(request, must, started, asker)

    def _write(
        self, request: GenerationRequest, must: Callable[[], FinishReason | None], started: float, asker: Asker
    ) -> Iterator[GenerationEvent]:
        prompt_ids, missing = self._prompt(request)
        if self.config.trigger is not Trigger.OFF and self.config.repair:
            asker.ask(first_question(request))  # nobody waits for it; what it takes is known then
        try:
            state = self.model.start(prompt_ids, lambda: must() is not None)
        except StoppedError:
            yield Started(len(prompt_ids))
            yield unwritten(must(), len(prompt_ids), started)
            return
        run = Run(self, request, state, missing, asker, must)
        try:
            run.prefill_ms = (time.perf_counter() - started) * 1000
            yield Started(len(prompt_ids), state.reused_tokens)
            try:
                while (reason := run.stop_reason()) is None or (reason is FinishReason.REPETITION and rewind(run)):
                    yield from run.step()
            except StoppedError:  # while it went back
                reason = must()
            yield written(run, reason or FinishReason.CANCELLED, len(prompt_ids), started)
        finally:
            run.state.close()

    def _prompt(self, request: GenerationRequest) -> tuple[list[int], bytes]:
        """Token ids of the prompt with what is there of the first line, and bytes that the next tokens must spell."""
        tokenizer = self.model.tokenizer
        text = request.prompt + request.indent if request.extent is Extent.BODY else request.prompt
        ids, missing = self.vocabulary.encode_stem(text, request.prefix or "return")
        bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        return bos + ids, missing + request.prefix.encode()
