"""``memberwise bench long``: what a chosen part of a long context is worth, a table and JSON. Start at ``run``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from generation.cli.numbers import CORES, add_number, add_numbers
from generation.cli.output import Output, say, write_json
from generation.config import GeneratorConfig, Selection
from generation.evaluation import long_bench
from generation.evaluation.repositories import open_repositories, read_manifest
from generation.service import load_model

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(parts: Subparsers) -> None:
    """Add ``bench long``."""
    parser = parts.add_parser("long", help="recall, loss and speed in long contexts")
    parser.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of repositories, or a folder")
    parser.add_argument("--only", metavar="A,B", help="these of the list (the first)")
    add_numbers(parser, "--lengths", 1, default="7800", metavar="A,B", help="tokens of the prompts (7800)")
    needles = "at each length in each repository, four in a prompt (4)"
    add_number(parser, "--needles", 1, default=4, metavar="N", help=needles)
    add_number(parser, "--threads", 1, CORES, metavar="N", help="of a forward (the cores)")
    parser.add_argument("--dtype", default="int8", help="auto takes a GPU where there is one (int8, on the processor)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    only = args.only.split(",") if args.only else []
    if not only and not args.repos.is_dir():
        only = [read_manifest(args.repos)[0].name]
    roots = list(open_repositories(args.repos, say, only).values())
    config = GeneratorConfig(dtype=args.dtype, threads=args.threads, selection=Selection.OFF)
    plain = load_model(config)
    chosen = load_model(replace(config, selection=Selection.ON, context_tokens=max(args.lengths) + 256))
    readers = {"everything": plain, "chosen": chosen, "cut": plain}
    rows = long_bench.measure(readers, roots, args.lengths, args.needles, say)
    report = {"rows": [asdict(row) for row in rows], "ratios": long_bench.ratios(rows)}
    table = Table("sees", "prompt", "recall", "value loss", "loss", "step ms", "read s")
    for row in rows:
        worth = (f"{row.recall:.2f}", f"{row.value_loss:.3f}", f"{row.loss:.3f}")
        table.add_row(row.reader, str(row.prompt_tokens), *worth, f"{row.step_ms:.1f}", f"{row.read_s:.1f}")
    Output().print(table)
    print(json.dumps(report["ratios"], indent=2))
    write_json(report, args.json)
    return 0
