"""``memberwise bench empty`` and ``bench batch``: what a batch run is tried on, and how fast it is.

Start at ``run``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from generation.cli.output import say, write_json
from generation.errors import ConfigError
from generation.evaluation.emptying import empty
from generation.evaluation.repositories import open_repositories

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(parts: Subparsers) -> None:
    """Add both."""
    empties = parts.add_parser("empty", help="a copy of a repository with the bodies of some functions taken out")
    _add_repository(empties, 50)
    empties.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    empties.add_argument("--seed", type=int, default=0, help="of the choice of functions (0)")
    empties.set_defaults(run=run_empty)
    parser = parts.add_parser("batch", help="functions a second, one by one and several at a time")
    _add_repository(parser, 24)
    parser.add_argument("--together", default="2,4,8", metavar="A,B", help="so many at a time (%(default)s)")
    parser.add_argument("--workers", default="", metavar="A,B", help="so many Ray workers on this machine (none)")
    parser.add_argument(
        "--commands", type=int, default=4, metavar="N", help="so many functions by a command each (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there, and a picture beside")
    parser.set_defaults(run=run)


def _add_repository(parser: argparse.ArgumentParser, functions: int) -> None:
    parser.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories")
    parser.add_argument("--only", required=True, metavar="NAME", help="this of the list")
    parser.add_argument("--functions", type=int, default=functions, metavar="N", help="so many (%(default)s)")


def run_empty(args: argparse.Namespace) -> int:
    """Empty functions; the exit code."""
    tasks = empty(_root(args), args.out, args.functions, args.seed)
    print(f"{args.out}: {len(tasks)} functions without a body")
    return 0


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    from generation.batch import bench

    together, workers = _numbers(args.together), _numbers(args.workers)
    if not together or min([*together, *workers, args.functions, args.commands + 1]) < 1:
        raise ConfigError("--together, --workers and --functions are numbers from 1 on, --commands from 0 on")
    report = bench.measure(_root(args), args.functions, bench.settings(together, workers), say, args.commands)
    write_json(report, args.json)
    if args.json is not None:
        bench.draw(report, args.json.with_suffix(".png"))
    print(json.dumps(report, indent=2))
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",") if word]
    except ValueError as error:
        raise ConfigError(f"{text} is no list of numbers") from error


def _root(args: argparse.Namespace) -> Path:
    return open_repositories(args.repos, say, [args.only])[args.only]
