"""The training loop: examples in, adapters out, resumable at any moment.

``Run`` is one run in one folder. Knows neither what an example means nor where the base comes from. Start reading at
``Run.train``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from generation.errors import ConfigError
from generation.interfaces import silent
from generation.ledger import read_lines
from generation.training import checkpoints
from generation.training.examples import ExampleSource, TrainingExample
from generation.training.settings import TrainingSettings
from generation.training.storage import saying_why, writing
from generation.training.team import Team

LOG_NAME = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        example: number of the next example.
        tokens: tokens the network has seen, marks not counted.
        counted: those of them that counted in the loss.
        best: lowest validation loss.
        since_best: measurements since then.
    """

    step: int = 0
    example: int = 0
    tokens: int = 0
    counted: int = 0
    best: float = math.inf
    since_best: int = 0


class Learner(Protocol):
    """What is trained: ``network.AdaptedNetwork``, ``prompt_tokens.PromptTokenNetwork``."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained, in a fixed order."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """The same by name, on the CPU."""

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what ``tensors`` gave."""

    def loss(self, examples: Sequence[TrainingExample], mark_weight: float = 1.0) -> tuple[torch.Tensor, int]:
        """The summed loss of some examples, in nats, and how many positions counted."""


Report = Callable[[dict[str, Any]], None]
Keep = Callable[[Progress], None]


class Run:
    """One run in one folder.

    Args:
        folder: holds checkpoints and the log.
        network: what is trained.
        source: examples.
        settings: of the run.
        report: is given every line of the log.
        keep: called after every checkpoint.
        team: the processes that train together.
    """

    def __init__(
        self,
        folder: Path,
        network: Learner,
        source: ExampleSource,
        settings: TrainingSettings,
        report: Report = silent,
        keep: Keep = silent,
        team: Team | None = None,
    ) -> None:
        self.folder = folder
        self.network = network
        self.source = source
        self.settings = settings
        self.progress = Progress()
        self._report = report
        self._keep = keep
        self._team = team or Team()
        self._parameters = network.parameters()
        self._optimizer = torch.optim.AdamW(self._parameters, lr=settings.learning_rate, weight_decay=0.0)
        self._validation: list[TrainingExample] | None = None
        self._saved_s = self._validated_s = time.monotonic()

    def resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one; the log forgets what came after it."""
        checkpoint = checkpoints.latest(self.folder)
        if checkpoint is None:
            self._cut_log(-1)  # of a run that was killed before its first checkpoint
            return False
        tensors, optimizer, progress = checkpoints.load(checkpoint)
        self.network.load_tensors(tensors)
        self._optimizer.load_state_dict(optimizer)
        self.progress = Progress(**progress)
        self._cut_log(self.progress.step)
        return True

    def train(self) -> Progress:
        """Train until the run's length, or until validation no longer improves; a checkpoint is there when it ends.

        Raises:
            ConfigError: the loss is no longer a number, or nothing can be written.
        """
        try:
            while not self._is_over():
                self._step()
                self._keep_up()
        except KeyboardInterrupt:
            self.save()
            raise
        self.validate()
        self.save()
        return self.progress

    def validate(self) -> float:
        """The mean loss of the held-back examples."""
        if self._validation is None:
            self._validation = self.source.validation(self.settings.validation_examples)
        loss = mean_loss(self.network, self._validation, self.settings.microbatch_tokens)
        better = loss < self.progress.best
        self.progress = replace(
            self.progress,
            best=min(loss, self.progress.best),
            since_best=0 if better else self.progress.since_best + 1,
        )
        self._log({"validation_loss": loss})
        self._validated_s = time.monotonic()
        return loss

    def save(self) -> None:
        """Write a checkpoint; the process that leads does."""
        self._saved_s = time.monotonic()
        if not self._team.leads:
            return
        progress = {name: getattr(self.progress, name) for name in Progress.__slots__}
        checkpoints.save_checkpoint(
            self.folder, self.progress.step, self.network.tensors(), self._optimizer.state_dict(), progress
        )
        self._keep(self.progress)

    def _is_over(self) -> bool:
        stuck = 0 < self.settings.patience <= self.progress.since_best
        end = min(self.settings.total_tokens, self.settings.stop_tokens or self.settings.total_tokens)
        # Each process validates by its own clock, and one that ended alone would leave the others waiting for ever.
        return self._team.leader_says(stuck, self.network.device) or self.progress.tokens >= end

    def _keep_up(self) -> None:
        if time.monotonic() - self._validated_s >= self.settings.validate_every_s:
            self.validate()
        if time.monotonic() - self._saved_s >= self.settings.checkpoint_every_s:
            self.save()

    def _step(self) -> None:
        started_s = time.perf_counter()
        examples = self._next_examples()
        rate = self.settings.rate(self.progress.step, self.progress.tokens)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss, counted = self._backward(examples)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._require_number(loss, float(norm))
        self._optimizer.step()
        self._optimizer.zero_grad()
        tokens = sum(example.size_tokens for example in examples)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            example=self.progress.example + len(examples),
            tokens=self.progress.tokens + tokens,
            counted=self.progress.counted + counted,
        )
        elapsed_s = time.perf_counter() - started_s
        self._log({"loss": loss, "rate": rate, "norm": float(norm), "tokens_per_s": tokens / elapsed_s})

    def _next_examples(self) -> list[TrainingExample]:
        examples: list[TrainingExample] = []
        tokens = 0
        while tokens < self.settings.tokens_per_step:
            examples.append(self.source.example(self.progress.example + len(examples)))
            tokens += examples[-1].size_tokens
        return examples

    def _backward(self, examples: Sequence[TrainingExample]) -> tuple[float, int]:
        """Gradients of the mean loss; the loss, and how many positions counted."""
        total, counted = 0.0, sum(len(example.token_ids) - max(1, example.counted_from) for example in examples)
        mine = self._team.share(examples, lambda one: len(one.token_ids))
        for batch in batches(mine, self.settings.microbatch_tokens):
            loss, _ = self.network.loss(batch, self.settings.mark_weight)
            torch.autograd.backward(loss / counted)
            total += float(loss.detach())
        self._team.add_gradients(self._parameters)
        return self._team.add(total, self.network.device) / counted, counted

    def _require_number(self, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        raise ConfigError(
            f"the loss is {loss} and its gradient {norm} at step {self.progress.step}; nothing of this step was kept. "
            f"Resume from the last checkpoint in {self.folder} with a lower --learning-rate"
        )

    def _cut_log(self, last_step: int) -> None:
        """Keep the whole lines up to a step: a full disk leaves half a line, and steps that are lost come again."""
        log = self.folder / LOG_NAME
        if self._team.leads and log.exists():
            lines, _ = read_lines(log)  # the ledger's, which passes over what is no whole line
            with writing(log) as out:
                out.writelines(json.dumps(line) + "\n" for line in lines if line["step"] <= last_step)

    def _log(self, line: dict[str, Any]) -> None:
        if not self._team.leads:
            return
        line = {"step": self.progress.step, "tokens": self.progress.tokens, **line}
        self._report(line)
        with saying_why(self.folder / LOG_NAME):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")


def mean_loss(network: Learner, examples: Sequence[TrainingExample], microbatch_tokens: int) -> float:
    """Nats a token over the counted positions of some examples."""
    total, counted = 0.0, 0
    with torch.no_grad():
        for batch in batches(examples, microbatch_tokens):
            loss, count = network.loss(batch)
            total += float(loss)
            counted += count
    return total / max(1, counted)


def batches(examples: Sequence[TrainingExample], most_tokens: int) -> Iterator[list[TrainingExample]]:
    """Examples of like length together, so that little is padding."""
    batch: list[TrainingExample] = []
    for example in sorted(examples, key=lambda example: len(example.token_ids)):
        if batch and (len(batch) + 1) * len(example.token_ids) > most_tokens:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch
