"""``memberwise eval``: generates functions of real repositories, judges them, and writes a report.

Parses, calls ``generation.evaluation``, and prints. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from generation.cli.numbers import CORES, MAX_TOKENS, SEEDS, add_number
from generation.cli.output import say
from generation.cli.progress import Progress
from generation.config import GeneratorConfig, SamplingConfig
from generation.errors import ConfigError
from generation.evaluation import judging
from generation.evaluation.bare_python import measured_tool
from generation.evaluation.extras import require_extra
from generation.evaluation.frozen import thaw
from generation.evaluation.repositories import fetch, open_repositories, read_manifest
from generation.evaluation.running import runner
from generation.evaluation.running.configurations import MAIN, ROWS, choose
from generation.evaluation.running.plan import Plan, draw_tasks
from generation.evaluation.running.records import Record

if TYPE_CHECKING:
    from generation.evaluation.metrics.scores import Result

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_DEFAULT_ROWS = "off,dot,plain-off,plain-dot,mark,paper"


def add_parser(subparsers: Subparsers) -> None:
    """Add ``eval``."""
    parser = subparsers.add_parser(
        "eval",
        help="generate functions of real repositories and judge them",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="rows:\n" + "\n".join(f"  {name:12} {row.says}" for name, row in MAIN.items())
        + "\n  and of dot and mark, without one part each: "
        + ", ".join(name for name in ROWS if name not in MAIN and name.startswith("dot")),
    )  # fmt: skip
    parser.set_defaults(run=run)
    parser.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="records and reports; a killed run goes on, and several processes share the work",
    )
    parser.add_argument(
        "--frozen", type=Path, metavar="FILE", help="take the tasks of this file (bench tasks) instead of drawing them"
    )
    add_number(parser, "--tasks", 1, metavar="N", help="at most so many functions in all")
    add_number(parser, "--per-repo", 1, metavar="N", help="at most so many of each repository")
    add_number(parser, "--seed", *SEEDS, default=0, help="of the choice of functions and of sampling (0)")
    parser.add_argument("--config", default=_DEFAULT_ROWS, metavar="A,B", help=f"rows ({_DEFAULT_ROWS})")
    parser.add_argument("--model", default="default", help="as for generate")
    add_number(parser, "--threads", 1, CORES, metavar="N", help="of the model")
    identifiers = "measure recall at the first N repository names of each true body, teacher-forced (0: do not)"
    add_number(parser, "--identifiers", 0, default=0, metavar="N", help=identifiers)
    parser.add_argument(
        "--execute", action="store_true", help="run the repositories' tests with the bodies, in a sandbox (pass@1)"
    )
    parser.add_argument(
        "--tests-from",
        type=Path,
        metavar="FILE",
        help="pinned source distributions whose tests are run too, and wheels these tests need",
    )
    add_number(parser, "--max-tokens", *MAX_TOKENS, default=256, metavar="N", help="per function (256)")


def run(args: argparse.Namespace) -> int:
    """Generate, judge, report; the exit code."""
    require_extra()  # better now than after an hour
    if args.tests_from:
        read_manifest(args.tests_from)  # likewise
    plan = _plan(args)
    with Progress("generated", plan.generations) as progress:
        records = runner.generate(plan, done=progress.step, known=progress.skip)
    with FileLock(plan.out / "locks" / "judging.lock"):  # a second process finds what the first has kept
        _judge(args, plan, records)
    return 0


def _judge(args: argparse.Namespace, plan: Plan, records: list[Record]) -> None:
    with Progress("judged", plan.generations + 2 * sum(map(len, plan.tasks.values()))) as progress:
        results = judging.judge(plan, records, measured_tool(), done=progress.step)
    if args.identifiers:
        results = _identified(args, plan, results)
    if args.execute:
        results = _executed(args, plan, records, results)
    _write(args, plan, results)


def _identified(args: argparse.Namespace, plan: Plan, results: list[Result]) -> list[Result]:
    from generation.evaluation.running.identifiers import measure

    facts = {result.task: result.facts for result in results}
    with Progress("asked for names", plan.generations) as progress:
        found = measure(plan, facts, args.identifiers, done=progress.step)
    return [replace(result, identifiers=found.get((result.task, result.config))) for result in results]


def _executed(args: argparse.Namespace, plan: Plan, records: list[Record], results: list[Result]) -> list[Result]:
    from generation.evaluation.execution.pass_at_1 import pass_at_1
    from generation.evaluation.execution.suites import fetch_tests

    listed = read_manifest(args.tests_from) if args.tests_from else ()
    tests = fetch_tests({one.name: one for one in listed if one.name in plan.tasks})
    libraries = fetch([one for one in listed if one.name not in plan.roots], progress=say).values()
    with Progress("tested", plan.generations) as progress:
        checks = judging.in_their_files(plan, records)
        found = pass_at_1(
            checks,
            {plan.roots[name]: folder for name, folder in tests.items()},
            plan.out / "cache" / "tests",
            libraries=list(libraries),
            done=progress.step,
            say=say,
        )
    tested = {key: outcome.passed for key, outcome in found.items()}
    return [replace(result, passed=tested.get((result.task, result.config))) for result in results]


def _plan(args: argparse.Namespace) -> Plan:
    from generation.service import weights_hash

    rows = choose(args.config)
    common = GeneratorConfig(
        model=args.model,
        threads=args.threads,
        max_tokens=args.max_tokens,
        sampling=SamplingConfig(seed=args.seed),
        tool=measured_tool(),
    )
    configs = {name: row.on(common) for name, row in rows.items()}
    roots = open_repositories(args.repos, say)
    tasks = draw_tasks(roots, args.tasks, args.per_repo, args.seed, thaw(args.frozen, roots) if args.frozen else None)
    if not tasks:
        raise ConfigError(f"{args.repos} has no documented function of 2 to 50 lines")
    weights = {name: weights_hash(config) for name, config in configs.items()}
    return Plan(roots, tasks, configs, args.out, weights)


def _write(args: argparse.Namespace, plan: Plan, results: list[Result]) -> None:
    from generation.evaluation.report.markdown import as_markdown
    from generation.evaluation.report.page import as_html
    from generation.evaluation.report.tables import build_report
    from generation.evaluation.running.about import about

    judging.write_results(args.out / "results.jsonl", results)
    report = build_report(about(plan, args.seed, args.repos), results, args.seed)
    page = as_markdown(report)
    (args.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (args.out / "report.md").write_text(page, encoding="utf-8")
    (args.out / "report.html").write_text(as_html(report, results), encoding="utf-8")
    print(page)
    say(f"the same with plots, and every task to look at: {args.out / 'report.html'}")
