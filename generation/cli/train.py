"""``memberwise train``: makes an adapter from a corpus, or prompt tokens for an adapter.

Parses, calls ``generation.training.pipeline`` and shows the loss. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from generation import adapters
from generation.cli.corpus import add_data
from generation.cli.numbers import CORES, add_number
from generation.errors import MissingExtraError
from generation.training.settings import PROMPT_TOKEN_SETTINGS, TrainingSettings

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_BARS = " ▁▂▃▄▅▆▇█"
_OPTIONS: dict[str, tuple[str, float]] = {  # what it is, and the least it can be
    "total_tokens": ("length of the run", 1),
    "stop_tokens": ("stop before that, to go on another time; 0 stops nowhere", 0),
    "length_tokens": ("longest example", 16),
    "tokens_per_step": ("tokens of one step", 1),
    "microbatch_tokens": ("most tokens in the network at a time", 1),
    "rank": ("of the adapters", 1),
    "alpha": ("scale of the adapters, times the rank", 1),
    "learning_rate": ("the highest", 1e-9),
    "warmup_steps": ("steps until it is reached", 0),
    "mark_weight": ("how much a mark counts in the loss", 0.0),
    "seed": ("of everything that is drawn", 0),
    "validation_examples": ("examples of a validation", 1),
    "patience": ("validations without progress before the run ends; 0 never ends it", 0),
    "checkpoint_every_s": ("seconds between checkpoints", 0.0),
    "validate_every_s": ("seconds between validations", 0.0),
}


def add_parser(subparsers: Subparsers) -> None:
    """Add ``train``."""
    parser = subparsers.add_parser("train", help="train an adapter, or go on with training one")
    parser.set_defaults(run=run)
    parser.add_argument(
        "what", nargs="?", choices=["adapter", "prompt-tokens"], default="adapter", help="what is trained (adapter)"
    )
    add_number(parser, "--count", 1, 64, default=2, metavar="N", help="of prompt tokens (2)")
    parser.add_argument("--base", default="default", metavar="M", help="the model (default)")
    add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="A", help="folder of the run and its adapter")
    parser.add_argument(
        "--stage", choices=["files", "functions"], help="what is learned from (functions; files for prompt tokens)"
    )
    parser.add_argument("--plain", action="store_true", help="leave the marks out of an adapter")
    parser.add_argument(
        "--init", metavar="ADAPTER", help="adapter to start from, or that prompt tokens are for; a name or a folder"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint, with its settings")
    parser.add_argument("--name", default="", help="of the adapter; the folder's name by default")
    parser.add_argument("--mark-words", metavar="WORDS", help="words whose mean the mark starts as; 'mean' takes all")
    add_number(parser, "--threads", 1, CORES, help="of the processor; half of the cores by default")
    parser.add_argument("--compile", action="store_true", help="by torch.compile: a minute to start, then quicker")
    for name, (meaning, least) in _OPTIONS.items():
        default, other = getattr(TrainingSettings(), name), getattr(PROMPT_TOKEN_SETTINGS, name)
        shown = f"{default}" if other == default else f"{default}; {other} for prompt tokens"
        add_number(parser, f"--{name.replace('_', '-')}", least, metavar="N", help=f"{meaning} ({shown})")


def run(args: argparse.Namespace) -> int:
    """Train; the exit code."""
    try:
        from generation.training import pipeline
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    settings = _settings(args, pipeline.saved_settings(args.out) if args.resume else None)
    words = pipeline.MARK_WORDS
    if args.mark_words:
        words = () if args.mark_words == "mean" else tuple(args.mark_words.split(","))
    job = pipeline.Job(
        args.base,
        args.data,
        args.out,
        pipeline.Stage(args.stage or ("functions" if args.what == "adapter" else "files")),
        not args.plain and args.what == "adapter",
        None if args.init is None else adapters.resolve(args.init),
        args.name,
        words,
        args.threads,
        args.compile,
    )
    with _curve(settings.total_tokens) as report:
        if args.what == "prompt-tokens":
            progress = pipeline.train_prompt_tokens(job, args.count, settings, resume=args.resume, report=report)
        else:
            progress = pipeline.train(job, settings, resume=args.resume, report=report)
    print(json.dumps(dataclasses.asdict(progress)))
    return 0


def _settings(args: argparse.Namespace, saved: TrainingSettings | None) -> TrainingSettings:
    """The defaults or those of the run that is resumed, changed by what was given."""
    given = {name: value for name in _OPTIONS if (value := getattr(args, name)) is not None}
    fresh = PROMPT_TOKEN_SETTINGS if args.what == "prompt-tokens" else TrainingSettings()
    return dataclasses.replace(saved or fresh, **given)


@contextmanager
def _curve(total_tokens: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Shows the loss as it falls: a live line of bars on a terminal, lines of JSON elsewhere. Both go to stderr."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda line: print(json.dumps(line), file=sys.stderr, flush=True)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _LiveCurve(live, total_tokens)


class _LiveCurve:
    """Losses so far as bars, with speed and an estimate."""

    def __init__(self, live: Live, total_tokens: int) -> None:
        self._live = live
        self._total_tokens = total_tokens
        self._losses: list[float] = []
        self._validation = float("nan")
        self._begun_s, self._first_tokens = time.monotonic(), -1

    def __call__(self, line: dict[str, Any]) -> None:
        if self._first_tokens < 0:
            self._first_tokens = line["tokens"]
        self._validation = line.get("validation_loss", self._validation)
        if "loss" in line:
            self._losses.append(line["loss"])
        rate = (line["tokens"] - self._first_tokens) / max(1e-9, time.monotonic() - self._begun_s)
        left = (self._total_tokens - line["tokens"]) / rate / 60 if rate else float("nan")
        text = f"{sparkline(self._losses[-60:])} loss {self._losses[-1] if self._losses else float('nan'):.3f}  "
        text += f"held back {self._validation:.3f}  {line['tokens']:,} of {self._total_tokens:,} tokens  "
        self._live.update(Text(f"{text}{rate:.0f} tokens/s  {left:.0f} min left"), refresh=True)


def sparkline(values: list[float]) -> str:
    """Values as bars, the lowest as the lowest bar."""
    if not values:
        return ""
    low, high = min(values), max(values)
    return "".join(_BARS[1 + round((value - low) / (high - low or 1) * (len(_BARS) - 2))] for value in values)
