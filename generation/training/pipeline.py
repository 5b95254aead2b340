"""One training run from names to an adapter folder: wires base, corpus, network and loop.

Prompt tokens are trained by a run of the same kind, whose folder is a copy of the adapter they guess for.

The folder of a run is an adapter folder at any time after the first checkpoint; beside its two files it holds the log,
the curves and the last checkpoints. Start reading at ``train``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import torch

from generation import models
from generation.adapters import MANIFEST_NAME, AdapterManifest, read_adapter
from generation.decoding.drafts.prompt_tokens import MOST_PROMPT_TOKENS, PROMPT_TOKENS, PromptTokens
from generation.decoding.loading import default_threads
from generation.decoding.loading import load_network as load_base
from generation.decoding.tokens.tokenizer import FastTokenizer, load_tokenizer, next_mark_id
from generation.errors import ConfigError
from generation.training import adapter_folder, checkpoints
from generation.training.bodies import HoleSource
from generation.training.corpus import digest_of
from generation.training.curves import draw_curves
from generation.training.examples import ExampleSource, WindowSource
from generation.training.finetune import LOG_NAME, Progress, Report, Run
from generation.training.network import AdaptedNetwork, load_network, training_device, training_dtype
from generation.training.prompt_tokens import PromptTokenNetwork
from generation.training.settings import TrainingSettings
from generation.training.storage import writing
from generation.training.team import join_team

_MEASURED_EXAMPLES = 12  # of the held-back repositories, by which prompt tokens are said to be right
SETTINGS_NAME = "settings.json"
MARK_WORDS = ("complete", "completion", "suggest", "lookup", "member", "attribute", "name")


class Stage(StrEnum):
    """What is learned from."""

    FILES = "files"  # whole source files
    FUNCTIONS = "functions"  # holes in functions


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is for.

    Attributes:
        base: name of the model.
        data: the corpus.
        out: folder of the run and its adapter.
        stage: what is learned from.
        marks: the adapter learns to write marks; it then has a row for the mark even in the stage of files.
        init: adapter folder to start from; None starts afresh.
        name: of the adapter.
        mark_words: words whose mean is the mark's first embedding; none takes the mean of all.
        threads: torch computes with; None is half of the cores, at least one.
        compiled: torch compiles the layers first.
    """

    base: str
    data: Path
    out: Path
    stage: Stage
    marks: bool = True
    init: Path | None = None
    name: str = ""
    mark_words: tuple[str, ...] = MARK_WORDS
    threads: int | None = None
    compiled: bool = False


def train(job: Job, settings: TrainingSettings, *, resume: bool, report: Report) -> Progress:
    """Train, or go on with training, and leave an adapter in ``job.out``.

    Raises:
        ConfigError: the run exists and ``resume`` is not set, or the other way round; the corpus is missing; the loss
            is no number; nothing can be written.
        ModelLoadError: the base cannot be loaded, or ``job.init`` does not fit it.
        MissingExtraError: the extra ``train`` is not installed.
    """
    _require_state(job.out, resume)
    torch.set_num_threads(job.threads or default_threads())
    team = join_team()
    model = models.resolve(job.base)
    tokenizer = load_tokenizer(model)
    mark_id = next_mark_id(model) if job.marks else None
    source = _source(job, settings, tokenizer, mark_id)
    network = load_network(model, training_dtype(), settings.rank, settings.alpha, mark_id, settings.seed)
    if job.marks:
        set_mark_from_words(network, tokenizer, job.mark_words)
    if job.compiled:
        network.compile()
    before = _before_this_stage(job) if resume else _start(job, settings, network, model)
    manifest = _manifest(job, settings, network, model, before)
    keep = partial(_keep, job, network, manifest)
    run = Run(job.out, network, source, settings, report, keep, team)
    if not run.resume():
        run.validate()
    if team.leads:
        _write_settings(job, settings, team.size)
    progress = run.train()
    if team.leads:
        draw_curves(job.out / LOG_NAME, job.out / "curves.png", job.name or job.out.name)
    return progress


def train_prompt_tokens(job: Job, count: int, settings: TrainingSettings, *, resume: bool, report: Report) -> Progress:
    """Train prompt tokens for the adapter ``job.init`` and leave a copy of it that holds them in ``job.out``.

    Raises:
        ConfigError: as ``train``; or there is no adapter to train them for, or they are none or too many.
        ModelLoadError: the base or the adapter cannot be loaded.
    """
    if not 1 <= count <= MOST_PROMPT_TOKENS:
        raise ConfigError(f"--count must be from 1 to {MOST_PROMPT_TOKENS}, not {count}")
    _require_state(job.out, resume)
    adapter = job.init or (job.out if (job.out / MANIFEST_NAME).is_file() else None)
    if adapter is None:
        raise ConfigError("prompt tokens guess for one adapter's weights; name it with --init")
    torch.set_num_threads(job.threads or default_threads())
    team = join_team()
    model = models.resolve(job.base)
    base = load_base(model, training_dtype(), adapter).to(training_device())
    network = PromptTokenNetwork(base, count, settings.seed)
    source = _source(job, settings, load_tokenizer(model), None)
    keep = partial(_keep_prompt_tokens, job.out, adapter, network, source)
    run = Run(job.out, network, source, settings, report, keep, team)
    run.resume()
    if team.leads:
        _write_settings(job, settings, team.size)
    return run.train()


def saved_settings(out: Path) -> TrainingSettings | None:
    """The settings a run was started with; None where there is none."""
    try:
        data = json.loads((out / SETTINGS_NAME).read_text(encoding="utf-8"))
        return TrainingSettings(**data["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def set_mark_from_words(network: AdaptedNetwork, tokenizer: FastTokenizer, words: Sequence[str]) -> None:
    """Let the mark start as the mean of words that mean it.

    Source: Re-Initialization Token Learning (arXiv 2506.14248), of which only the first values are taken.
    """
    ids = [token_id for word in words for token_id in (*tokenizer.encode(word), *tokenizer.encode(f" {word}"))]
    if ids:
        network.set_mark(network.embedding[ids].float().mean(0), network.head[ids].float().mean(0))


def _require_state(out: Path, resume: bool) -> None:
    begun = checkpoints.latest(out) is not None
    if begun and not resume:
        raise ConfigError(f"{out} holds a run already; give --resume to go on with it, or another --out")
    if resume and not begun:
        raise ConfigError(f"{out} holds no checkpoint to resume from; leave --resume out")


def _source(job: Job, settings: TrainingSettings, tokenizer: FastTokenizer, mark_id: int | None) -> ExampleSource:
    if job.stage is Stage.FILES:
        return WindowSource(job.data, tokenizer, settings.length_tokens, seed=settings.seed)
    return HoleSource(job.data, tokenizer, mark_id, settings.length_tokens, settings.seed)


def _start(job: Job, settings: TrainingSettings, network: AdaptedNetwork, model: Path) -> AdapterManifest | None:
    if job.init is None:
        return None
    return adapter_folder.start_from(network, job.init, model, settings.rank, settings.alpha)


def _before_this_stage(job: Job) -> AdapterManifest | None:
    """What a run that is resumed started from, as its own adapter tells."""
    if not (job.out / MANIFEST_NAME).is_file():
        return None  # killed between its first checkpoint and its first adapter
    manifest = read_adapter(job.out)
    *earlier, this = manifest.stages
    return replace(manifest, tokens_seen=manifest.tokens_seen - this["tokens"], stages=earlier)


def _manifest(
    job: Job, settings: TrainingSettings, network: AdaptedNetwork, model: Path, before: AdapterManifest | None
) -> AdapterManifest:
    """What is known before the first step: ``tokens_seen`` are those of the stages before this one."""
    fresh = adapter_folder.describe(network, job.name or job.out.name, job.base, model, settings.rank, settings.alpha)
    earlier = before.stages if before else []
    this = {"stage": job.stage.value, "marks": job.marks, **asdict(settings), "tokens": 0, "counted": 0}
    return replace(
        fresh,
        tokens_seen=before.tokens_seen if before else 0,
        data={"files_sha256": digest_of(job.data), **_card(job.data)},
        stages=[*earlier, this],
    )


def _card(data: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((data / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: card[name] for name in ("repositories", "held_back", "files", "functions") if name in card}


def _keep(job: Job, network: AdaptedNetwork, manifest: AdapterManifest, progress: Progress) -> None:
    *earlier, this = manifest.stages
    this = {**this, "tokens": progress.tokens, "counted": progress.counted}
    now = replace(
        manifest,
        tokens_seen=manifest.tokens_seen + progress.tokens,
        stages=[*earlier, this],
        measured={f"{job.stage.value}_validation_loss": round(progress.best, 4)},
    )
    adapter_folder.write_adapter(job.out, network.tensors(), now)


def _keep_prompt_tokens(
    out: Path, adapter: Path, network: PromptTokenNetwork, source: ExampleSource, _: Progress
) -> None:
    if adapter != out:
        adapter_folder.copy_adapter(adapter, out)
    accuracy = network.accuracy(source.validation(_MEASURED_EXAMPLES))
    adapter_folder.write_prompt_tokens(out, PromptTokens(network.tensors()[PROMPT_TOKENS].numpy(), accuracy))


def _write_settings(job: Job, settings: TrainingSettings, processes: int) -> None:
    with writing(job.out / SETTINGS_NAME) as out:
        described = {name: str(value) for name, value in asdict(job).items()}
        json.dump({"job": described, "settings": asdict(settings), "processes": processes}, out, indent=2)
