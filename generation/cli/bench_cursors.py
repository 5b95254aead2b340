"""``memberwise bench cursors``: how to begin inside an identifier, a table and JSON. Start at ``run``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from generation.cli.numbers import CORES, add_number
from generation.cli.output import Output, say, write_json
from generation.config import GeneratorConfig
from generation.evaluation import cursor_bench
from generation.evaluation.repositories import open_repositories
from generation.service import load_model

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(parts: Subparsers) -> None:
    """Add ``bench cursors``."""
    parser = parts.add_parser("cursors", help="cursors inside identifiers: is the rest written as it was")
    parser.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of repositories, or a folder")
    parser.add_argument("--per-repo", type=int, default=25, metavar="N", help="cursors in each repository (25)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cursors (0)")
    add_number(parser, "--threads", 1, CORES, metavar="N", help="of a forward (the cores)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    roots = open_repositories(args.repos, say)
    model = load_model(GeneratorConfig(threads=args.threads))
    rows = cursor_bench.measure(model, roots, args.per_repo, args.seed, say)
    table = Table("begins", "cursors", "right", "ms behind the prompt")
    for row in rows:
        table.add_row(row.start, str(row.cursors), f"{row.right:.3f}", f"{row.median_ms:.1f}")
    Output().print(table)
    write_json([asdict(row) for row in rows], args.json)
    return 0
