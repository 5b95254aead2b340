"""``memberwise bench empty`` and ``bench batch``: what a batch run is tried on, and how fast it is.

Start at ``run``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from generation.cli.numbers import add_number, add_numbers
from generation.cli.output import say, write_json
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
    add_numbers(parser, "--together", 2, 256, default="2,4,8", metavar="A,B", help="so many at a time (%(default)s)")
    workers = "so many Ray workers on this machine (none)"
    add_numbers(parser, "--workers", 1, 256, default=(), metavar="A,B", help=workers)
    commands = "so many functions by a command each (%(default)s)"
    add_number(parser, "--commands", 0, default=4, metavar="N", help=commands)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there, and a picture beside")
    parser.set_defaults(run=run)


def _add_repository(parser: argparse.ArgumentParser, functions: int) -> None:
    parser.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories")
    parser.add_argument("--only", required=True, metavar="NAME", help="this of the list")
    add_number(parser, "--functions", 1, default=functions, metavar="N", help="so many (%(default)s)")


def run_empty(args: argparse.Namespace) -> int:
    """Empty functions; the exit code."""
    tasks = empty(_root(args), args.out, args.functions, args.seed)
    print(f"{args.out}: {len(tasks)} functions without a body")
    return 0


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    from generation.batch import bench

    settings = bench.settings(args.together, args.workers)
    report = bench.measure(_root(args), args.functions, settings, say, args.commands)
    write_json(report, args.json)
    if args.json is not None:
        bench.draw(report, args.json.with_suffix(".png"))
    print(json.dumps(report, indent=2))
    return 0


def _root(args: argparse.Namespace) -> Path:
    return open_repositories(args.repos, say, [args.only])[args.only]
