"""``memberwise eval``: generates functions of real repositories, judges them, and writes a report.

Parses, calls ``generation.evaluation.runner`` and ``report``, and prints. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from generation import models, service
from generation.config import PRESETS, GeneratorConfig, SamplingConfig, ToolConfig
from generation.errors import ConfigError
from generation.evaluation.running import runner
from generation.evaluation.bare_python import bare_python
from generation.evaluation.validity.pylint_client import require_pylint
from generation.evaluation.report.tables import Report, as_markdown, build_report
from generation.evaluation.repositories import open_repositories
from generation.models.manifest import read_manifest

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``eval``."""
    parser = subparsers.add_parser("eval", help="generate functions of real repositories and judge them")
    parser.set_defaults(run=run)
    parser.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="records and reports; a killed run goes on"
    )
    parser.add_argument("--tasks", type=int, metavar="N", help="at most so many functions in all")
    parser.add_argument("--per-repo", type=int, metavar="N", help="at most so many of each repository")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of functions and of sampling (0)")
    parser.add_argument("--config", default="off,paper,dot", metavar="A,B", help="configurations (off,paper,dot)")
    parser.add_argument("--model", default="default", help="as for generate")
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N", help="per function (256)")


def run(args: argparse.Namespace) -> int:
    """Generate, judge, report; the exit code."""
    require_pylint()  # better now than after an hour
    configs = _configs(args)
    roots = open_repositories(args.repos, _say)
    tasks = runner.draw_tasks(roots, args.tasks, args.per_repo, args.seed)
    if not tasks:
        raise ConfigError(f"{args.repos} has no documented function of 2 to 50 lines")
    plan = runner.Plan(roots, tasks, configs, args.out)
    model = service.load_model(next(iter(configs.values())))
    model_hash = _model_hash(args.model)
    records = runner.generate(plan, model, model_hash, done=_progress(plan.generations, "generated"))
    checks = plan.generations + plan.generations // len(configs)
    verdicts = runner.judge(plan, records, done=_progress(checks, "judged"))
    about = {
        "model": model.name,
        "model_sha256": model_hash,
        "tasks": sum(map(len, tasks.values())),
        "repositories": ", ".join(f"{name} ({len(listed)})" for name, listed in tasks.items()),
        "seed": args.seed,
        "max_tokens": args.max_tokens,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    _write(args.out, build_report(about, records, verdicts, args.seed))
    runner.write_verdicts(args.out / "verdicts.jsonl", verdicts)
    return 0


def _configs(args: argparse.Namespace) -> dict[str, GeneratorConfig]:
    names = [name.strip() for name in args.config.split(",") if name.strip()]
    unknown = [name for name in names if name not in PRESETS]
    if unknown or not names:
        raise ConfigError(f"--config {args.config!r}: there is no {unknown or 'name'}; there are {', '.join(PRESETS)}")
    common = GeneratorConfig(
        model=args.model,
        max_tokens=args.max_tokens,
        sampling=SamplingConfig(seed=args.seed),
        tool=ToolConfig(python=bare_python()),
    )
    return {name: replace(common, decoding=PRESETS[name]) for name in names}


def _model_hash(name: str) -> str:
    manifest = read_manifest(models.resolve(name))
    return manifest.provenance.source_sha256 if manifest else ""


def _write(out: Path, report: Report) -> None:
    page = as_markdown(report)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(page, encoding="utf-8")
    print(page)


def _progress(total: int, word: str) -> Callable[[object], None]:
    """Says how far it is after every hundredth, from any thread."""
    started_s = time.monotonic()
    count = itertools.count(1)

    def say(_: object) -> None:
        done = next(count)
        if done % max(total // 100, 1) == 0:
            left_s = (time.monotonic() - started_s) / done * (total - done)
            _say(f"{word} {done}/{total}, about {left_s / 60:.1f} min left")

    return say


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
