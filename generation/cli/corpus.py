"""``memberwise corpus fetch | build | holes`` and ``memberwise marks insert``: from repositories to training data.

Parses, calls ``generation.training`` and prints. Start reading at ``add_parser``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from generation import models
from generation.cache import cache_root
from generation.cli.numbers import MOST_JOBS, SEEDS, add_number, add_numbers
from generation.cli.output import say
from generation.errors import ConfigError
from generation.evaluation.repositories import open_repositories

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``corpus`` and its sub-commands."""
    parser = subparsers.add_parser("corpus", help="gather what an adapter is trained on")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download the repositories of a list")
    add_repositories(fetch)
    fetch.set_defaults(run=run_fetch)
    build = actions.add_parser("build", help="choose files and functions, and write the card")
    add_repositories(build)
    add_data(build)
    build.add_argument(
        "--exclude", type=Path, metavar="FILE", help="repositories nothing of which may be learned (the benchmark's)"
    )
    build.add_argument("--validation", metavar="NAMES", help="repositories that are held back, separated by commas")
    build.set_defaults(run=run_build)
    holes = actions.add_parser("holes", help="make examples of the marked functions")
    add_repositories(holes)
    add_data(holes)
    holes.add_argument("--base", default="default", metavar="M", help="model whose tokenizer counts (default)")
    shares = "of whole bodies, rests and middles (%(default)s)"
    add_numbers(holes, "--shares", 0.0, default="0.6,0.15,0.25", metavar="A,B,C", help=shares)
    budgets = "budgets of prompts, drawn (%(default)s)"
    add_numbers(holes, "--prompt-tokens", 1, default="128,256,384", metavar="A,B", help=budgets)
    add_number(holes, "--seed", *SEEDS, default=0, help="of the draws (0)")
    add_number(holes, "--per-repo", 0, default=0, metavar="N", help="functions of each; 0 is all marked (0)")
    add_number(holes, "--jobs", 1, MOST_JOBS, default=1, help="processes (1)")
    holes.set_defaults(run=run_holes)


def add_repositories(parser: argparse.ArgumentParser) -> None:
    """The option that names the repositories."""
    parser.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder of folders"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """The option that names the corpus."""
    parser.add_argument("--data", type=Path, default=cache_root() / "corpus", metavar="DIR", help="the corpus folder")


def repositories(source: Path) -> dict[str, Path]:
    """The repositories of a list, or the folders in a folder."""
    if not source.is_dir():
        return open_repositories(source, say)
    found = {path.name: path.resolve() for path in sorted(source.iterdir()) if path.is_dir() and path.name[0] != "."}
    if not found:
        raise ConfigError(f"{source} holds no folders; give a folder of repositories, or a list")
    return found


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch; the exit code."""
    for root in repositories(args.repos).values():
        print(root)
    return 0


def run_build(args: argparse.Namespace) -> int:
    """Write files, functions and card; the exit code."""
    from generation.training.card import write_card
    from generation.training.corpus import VALIDATION, build_files
    from generation.training.functions import build_functions

    roots = repositories(args.repos)
    benchmark = repositories(args.exclude) if args.exclude else {}
    validation = args.validation.split(",") if args.validation else VALIDATION
    if unknown := sorted(set(validation) - set(roots)):
        raise ConfigError(f"{', '.join(unknown)} cannot be held back: there are {', '.join(sorted(roots))}")
    files = build_files(roots, benchmark.values(), args.data, validation, say)
    functions = build_functions(args.data, benchmark.values(), say)
    print(write_card(args.data, roots, validation, files, functions))
    return 0


def run_holes(args: argparse.Namespace) -> int:
    """Write holes; the exit code."""
    from generation.training.bodies import HoleKind, HoleSettings, build_holes

    shares = tuple(zip(HoleKind, args.shares, strict=False))
    if len(shares) != len(HoleKind):
        raise ConfigError(f"--shares needs {len(HoleKind)} numbers, and has {len(args.shares)}")
    settings = HoleSettings(shares, tuple(args.prompt_tokens), args.seed)
    with bar("holes") as report:
        found = build_holes(
            args.data, repositories(args.repos), models.resolve(args.base), settings, args.per_repo, args.jobs, report
        )
    print(f"{found} holes in {args.data}")
    return 0


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Told of done and total, draws a bar with an estimate on a terminal; elsewhere prints now and then."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda done, total: say(f"{description} {done}/{total}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
