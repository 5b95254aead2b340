"""``memberwise bench``: what is measured on, and how good and how quick the parts are.

``tool``: how often the repository tool knows the true name. ``server``: how long the language server lets people wait.
``soak``: whether it lasts. Parses, calls ``generation.evaluation`` and prints. Start at ``run``, of ``tool``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from generation.cli import bench_batch, bench_cursors, bench_decode, bench_gpu, bench_long
from generation.cli.output import Output, say, write_json
from generation.errors import ConfigError
from generation.evaluation import server_bench, server_soak
from generation.evaluation.frozen import differences, freeze
from generation.evaluation.repositories import open_repositories
from generation.evaluation.running.plan import draw_tasks
from generation.evaluation.tool_bench import RepositoryResult, measure, summarize

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_COLUMNS = {
    "attribute_recall": "attribute recall",
    "name_recall": "name recall",
    "wrong_list_share": "wrong lists",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "max_ms": "max ms",
    "cache_hit_rate": "cache hits",
}


def add_parser(subparsers: Subparsers) -> None:
    """Add ``bench`` and its sub-commands."""
    parser = subparsers.add_parser("bench", help="measure parts of Memberwise")
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    fetch = parts.add_parser("fetch", help="download repositories of a list and print where they are")
    fetch.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories")
    fetch.add_argument("--only", metavar="A,B", help="these of them")
    fetch.set_defaults(run=run_fetch)
    tasks = parts.add_parser("tasks", help="freeze the tasks of a list in a file, or check such a file")
    tasks.add_argument("--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories")
    tasks.add_argument("--tasks", type=int, default=480, metavar="N", help="so many in all (480)")
    tasks.add_argument("--seed", type=int, default=0, help="of the choice of functions (0)")
    where = tasks.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FILE", help="write them there")
    where.add_argument("--check", type=Path, metavar="FILE", help="say what differs from that file; exit code 1")
    tasks.set_defaults(run=run_tasks)
    tool = parts.add_parser("tool", help="recall and latency of the repository tool")
    tool.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder"
    )
    tool.add_argument("--only", metavar="A,B", help="these of the list")
    tool.add_argument("--per-repo", type=int, default=200, metavar="N", help="positions in each repository (200)")
    tool.add_argument("--seed", type=int, default=0, help="of the choice of functions (0)")
    tool.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    tool.set_defaults(run=run)
    _add_server(parts)
    bench_decode.add_parser(parts)
    bench_long.add_parser(parts)
    bench_cursors.add_parser(parts)
    bench_batch.add_parser(parts)
    bench_gpu.add_parser(parts)


def _add_server(parts: Subparsers) -> None:
    server = parts.add_parser("server", help="latency of the language server to somebody who types")
    server.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder"
    )
    server.add_argument("--only", metavar="A,B", help="these of the list")
    server.add_argument("--functions", type=int, default=4, metavar="N", help="bodies typed in each repository (4)")
    server.add_argument("--keys", type=int, default=120, metavar="N", help="most keys of one body (120)")
    server.add_argument("--seed", type=int, default=0, help="of every random choice (0)")
    server.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    server.add_argument("--model-from", metavar="FILE::FUNCTION", help=argparse.SUPPRESS)
    server.set_defaults(run=run_server)
    soak = parts.add_parser("soak", help="whether the language server lasts")
    soak.add_argument("--repo", type=Path, required=True, metavar="DIR", help="a repository to work in")
    soak.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (10)")
    soak.add_argument("--seed", type=int, default=0, help="of every random choice (0)")
    soak.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    soak.add_argument("--model-from", metavar="FILE::FUNCTION", help=argparse.SUPPRESS)
    soak.set_defaults(run=run_soak)


def run_server(args: argparse.Namespace) -> int:
    """Type into the server; the exit code."""
    roots = open_repositories(args.repos, say, _wanted(args))
    _print_json(
        server_bench.measure(roots, args.functions, args.seed, _model_from(args), say, keys=args.keys), args.json
    )
    return 0


def run_soak(args: argparse.Namespace) -> int:
    """Use one server for minutes; 1 when it did not last."""
    if not args.repo.is_dir():
        raise ConfigError(f"--repo {args.repo} is not a folder")
    report = server_soak.soak(args.repo.resolve(), args.minutes, args.seed, _model_from(args), say)
    _print_json(report, args.json)
    lasted = not (report["unanswered"] or report["unexpected_errors"] or report["processes_left"])
    return 0 if lasted else 1


def _model_from(args: argparse.Namespace) -> list[str]:
    return ["--model-from", args.model_from] if args.model_from else []


def _print_json(report: dict[str, Any], out: Path | None) -> None:
    write_json(report, out)
    print(json.dumps(report, indent=2))


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch repositories and print their folders; the exit code."""
    for root in open_repositories(args.repos, say, _wanted(args)).values():
        print(root)
    return 0


def _wanted(args: argparse.Namespace) -> list[str]:
    """What ``--only`` names."""
    return args.only.split(",") if args.only else []


def run_tasks(args: argparse.Namespace) -> int:
    """Freeze tasks or check frozen ones; the exit code."""
    tasks = draw_tasks(open_repositories(args.repos, say), args.tasks, None, args.seed)
    if args.out is not None:
        freeze(tasks, args.out)
        return 0
    found = differences(args.check, tasks)
    for line in found:
        print(line)
    return 1 if found else 0


def run(args: argparse.Namespace) -> int:
    """Measure every repository of the list; the exit code."""
    if args.per_repo < 1:
        raise ConfigError(f"--per-repo is {args.per_repo}; it must be at least 1")
    roots = open_repositories(args.repos, say, _wanted(args))
    report = summarize(_measure_all(roots, args.per_repo, args.seed))
    write_json(report, args.json)
    _print(report)
    return 0


def _measure_all(roots: dict[str, Path], per_repository: int, seed: int) -> dict[str, RepositoryResult]:
    results = {}
    started_s = time.monotonic()
    for number, (name, root) in enumerate(roots.items(), start=1):
        results[name] = measure(root, name, per_repository, seed)
        spent_s = time.monotonic() - started_s
        left_s = spent_s / number * (len(roots) - number)
        say(f"{number}/{len(roots)} {name}: {len(results[name].with_index)} positions, about {left_s:.0f} s left")
    return results


def _print(report: dict[str, Any]) -> None:
    table = Table("repository", *_COLUMNS.values(), box=None)
    rows = {**report["repos"], "pooled": report["pooled"], "pooled, no index": report["pooled"]["without_index"]}
    for name, numbers in rows.items():
        table.add_row(name, *(_cell(numbers[column]) for column in _COLUMNS))
    Output(width=None if sys.stdout.isatty() else 120).print(table)


def _cell(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}" if number <= 1 else f"{number:.0f}"
