"""``memberwise marks insert | check | stats``: where marks belong in the functions of a corpus.

Parses, calls ``generation.training.marking`` and prints. Start reading at ``run_insert``.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from generation.cli.corpus import add_data, add_repositories, bar, repositories
from generation.cli.numbers import MOST_JOBS, SEEDS, add_number
from generation.errors import ConfigError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``marks`` and its sub-commands."""
    parser = subparsers.add_parser("marks", help="insert marks into the functions of a corpus")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    insert = actions.add_parser("insert", help="ask the tool where marks belong; goes on where it was stopped")
    add_repositories(insert)
    add_data(insert)
    add_number(insert, "--per-repo", 0, default=0, metavar="N", help="functions of each; 0 is all (0)")
    add_number(insert, "--jobs", 1, MOST_JOBS, default=1, help="processes (1)")
    insert.set_defaults(run=run_insert)
    check = actions.add_parser("check", help="compare with asking at every name, as decoding would")
    add_repositories(check)
    add_data(check)
    add_number(check, "--functions", 1, default=300, metavar="N", help="how many (300)")
    add_number(check, "--seed", *SEEDS, default=0, help="of the choice (0)")
    check.set_defaults(run=run_check)
    stats = actions.add_parser("stats", help="marks per function, kinds, what the tool knows, time")
    add_data(stats)
    stats.set_defaults(run=run_stats)


def run_insert(args: argparse.Namespace) -> int:
    """Insert; the exit code."""
    from generation.training.marking import mark_all

    with bar("functions") as report:
        mark_all(args.data, repositories(args.repos), args.per_repo, args.jobs, report)
    return run_stats(args)


def run_check(args: argparse.Namespace) -> int:
    """Compare and print; the exit code."""
    from generation.training.marking_check import check_marks

    with bar("functions") as report:
        found = check_marks(args.data, repositories(args.repos), args.functions, args.seed, report)
    print(json.dumps(found, indent=2))
    return 0


def run_stats(args: argparse.Namespace) -> int:
    """Print the statistics of what is marked; the exit code."""
    from generation.training.marking import MARKED_NAME, read_marked, statistics

    if not (args.data / MARKED_NAME).exists():
        raise ConfigError(f"there is no {args.data / MARKED_NAME}; memberwise marks insert makes it")
    marked = [function for functions in read_marked(args.data).values() for function in functions]
    numbers = {name: round(value, 3) for name, value in statistics(marked).items()}
    print(json.dumps(numbers, indent=2))
    return 0
