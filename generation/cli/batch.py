"""``memberwise batch``: fill the stubs of whole repositories, check them, and leave a patch.

Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from generation.batch import tree
from generation.batch.fill import FillOptions
from generation.batch.inputs import is_folder, open_inputs
from generation.batch.records import BatchRecord, Status
from generation.batch.run import BatchPlan
from generation.batch.run import run as run_batch
from generation.batch.shared_output import is_url, shared_output
from generation.batch.targets import Select, find_targets, read_targets
from generation.cli.batch_progress import BatchProgress
from generation.cli.context import add_context, with_context
from generation.cli.numbers import CORES, MAX_TOKENS, MOST_JOBS, SEEDS, add_number
from generation.config import PRESETS, GeneratorConfig, SamplingConfig, ToolConfig
from generation.errors import ConfigError
from generation.orphans import watch_parent
from generation.service import usual_preset, weights_hash

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_TOGETHER = 8
_TOOL_DEADLINE_S = 30.0  # nobody waits: an answer that is late for a person is still a good one


def add_parser(subparsers: Subparsers) -> None:
    """Add ``batch``."""
    parser = subparsers.add_parser("batch", help="fill the stubs of whole repositories")
    parser.set_defaults(run=run)
    parser.add_argument("repos", nargs="+", metavar="REPO", help="a folder, wheel, source distribution or git URL")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="records, patches, summary; a folder, or a URL that fsspec knows"
    )
    parser.add_argument(
        "--select", default=Select.STUBS.value, metavar="WHAT",
        help="stubs, docstrings (stubs that have one), or a file of {path, function} lines (stubs)",
    )  # fmt: skip
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--write", action="store_true", help="change the files, each in one step")
    output.add_argument("--patch", action="store_true", help="leave one patch for each repository (the default)")
    add_number(parser, "--jobs", 1, MOST_JOBS, default=1, metavar="N", help="processes, each with its own model (1)")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: local, auto, HOST:PORT, ray://HOST:PORT"
    )
    add_number(parser, "--workers", 1, 10_000, metavar="N", help="with --ray: actors, each with a model (1)")
    parser.add_argument("--helper-of", type=int, metavar="PID", help=argparse.SUPPRESS)  # one of its --jobs
    parser.add_argument("--resume", action="store_true", help="go on with a run; without it DIR must be new or empty")
    parser.add_argument("--test", metavar="COMMAND", help="must succeed in the repository with each body in place")
    parser.add_argument("--untrusted", action="store_true", help="run no interpreter that a repository brings")
    _add_method(parser)


def _add_method(parser: argparse.ArgumentParser) -> None:
    default, options = GeneratorConfig(), FillOptions()
    parser.add_argument("--trigger", choices=sorted(PRESETS), help="as for generate")
    parser.add_argument("--adapter", metavar="A", help="as for generate")
    parser.add_argument("--model", metavar="M", default=default.model, help="as for generate")
    threads = "of each model (all cores divided by --jobs)"
    add_number(parser, "--threads", 1, 1024, metavar="N", help=threads)  # a machine of a cluster may have more cores
    together = "functions written at a time by a model (%(default)s)"
    add_number(parser, "--together", 1, 256, metavar="N", default=_TOGETHER, help=together)
    add_context(parser)
    add_number(parser, "--max-tokens", *MAX_TOKENS, metavar="N", default=default.max_tokens, help="(%(default)s)")
    add_number(parser, "--seed", *SEEDS, metavar="S", default=0, help="of the retries (%(default)s)")
    retries = "while something is wrong (%(default)s)"
    add_number(parser, "--retries", 0, 100, metavar="N", default=options.retries, help=retries)
    limit = "seconds for one attempt (%(default)s)"
    add_number(parser, "--limit", 0.001, 86_400.0, metavar="S", default=options.limit_s, help=limit)


def run(args: argparse.Namespace) -> int:
    """Fill, check, write; 1 when a function could not be filled."""
    if args.jobs > 1 and is_url(args.out):
        raise ConfigError("with --jobs, --out must be a folder, which the processes share; a URL goes with --ray")
    with _ended_in_order(), shared_output(args.out) as shared:
        if args.helper_of:
            watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM), args.helper_of)
        args.out = shared.folder
        _check(args)
        plan = _opened(args)
        if not plan.total:
            print("nothing to fill: no function without a body was found")
            return 0
        for name in plan.roots:
            for warning in getattr(plan.environment(name), "warnings", ()):
                print(f"memberwise: {warning}", file=sys.stderr)
        with _helpers(args), BatchProgress(plan.total) as progress:

            def done(record: BatchRecord) -> None:
                shared.add(record)
                progress.step(record)

            records = _run(args, plan, done, progress.skip)
        return _report(args, plan, records)


def _run(
    args: argparse.Namespace, plan: BatchPlan, done: Callable[[BatchRecord], None], skipped: Callable[[int], None]
) -> list[BatchRecord]:
    if args.ray is None:
        return run_batch(plan, done=done, skipped=skipped)
    from generation.batch.cluster import Cluster, run_on_ray

    cluster = Cluster(args.ray, args.workers or 1, plan.config.threads or 1)
    return run_on_ray(plan, cluster, done=done, skipped=skipped)


def _check(args: argparse.Namespace) -> None:
    if args.ray is not None and args.jobs > 1:
        raise ConfigError("with --ray there are no --jobs; say how many by --workers")
    if args.ray is None and args.workers:
        raise ConfigError("--workers are those of --ray; without it, say how many processes by --jobs")
    if args.ray in {None, "local"} and (args.threads or 1) > CORES:
        raise ConfigError(f"--threads {args.threads} is out of range; it must be from 1 to {CORES}, the cores here")
    if args.write and not all(map(is_folder, args.repos)):
        raise ConfigError("--write changes folders only; use --patch for archives and git URLs")
    if args.out.exists() and not args.out.is_dir():
        raise ConfigError(f"{args.out} is a file; name a folder")
    if not args.resume and args.out.exists() and any(args.out.iterdir()):
        raise ConfigError(f"{args.out} is not empty; go on with that run by --resume, or name another folder")


def _opened(args: argparse.Namespace) -> BatchPlan:
    """The plan; where there is none, a new folder stays empty, so that the corrected command may use it."""
    try:
        return _plan(args)
    except BaseException:
        if not args.resume:
            shutil.rmtree(args.out / "sources", ignore_errors=True)
        raise


def _plan(args: argparse.Namespace) -> BatchPlan:
    roots = open_inputs(args.repos, args.out / "sources")
    if args.out.resolve() in roots.values():
        raise ConfigError(f"{args.out} is a repository that is filled; name another folder by --out")
    config = GeneratorConfig(
        model=args.model,
        adapter=args.adapter,
        threads=args.threads or _threads(args),
        max_tokens=args.max_tokens,
        sampling=SamplingConfig(seed=args.seed),
        tool=ToolConfig(
            trusted=not args.untrusted, deadline_s=_TOOL_DEADLINE_S, kill_after_s=2 * _TOOL_DEADLINE_S, ahead=False
        ),
    ).with_preset(args.trigger or usual_preset(args.model, args.adapter))
    config = with_context(config, args)
    options = FillOptions(retries=args.retries, limit_s=args.limit, test_command=args.test)
    plan = BatchPlan(
        roots, {}, config, args.out.absolute(), options, weights=weights_hash(config), together=args.together
    )
    if args.select not in set(Select):
        listed = read_targets(Path(args.select), roots)
        return replace(plan, targets={name: [one for one in listed if one.repository == name] for name in roots})
    out = args.out.resolve()
    found = {name: find_targets(name, root, Select(args.select), out) for name, root in roots.items()}
    unreadable = [failure for _, failures in found.values() for failure in failures]
    return replace(plan, targets={name: targets for name, (targets, _) in found.items()}, unreadable=unreadable)


def _threads(args: argparse.Namespace) -> int | None:
    """All cores where functions share a forward; else what a model takes by itself."""
    return max(1, (os.cpu_count() or 1) // args.jobs) if args.together > 1 else None


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM, or a terminal that closes, ends a run as Ctrl-C does, so that it cleans up.

    A helper gets both after a Ctrl-C, one from the terminal and one from us; the second must not stop its cleaning.
    """

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _helpers(args: argparse.Namespace) -> Iterator[None]:
    """The other processes of ``--jobs``: the same command, which shares the work by the records in its folder."""
    words = [word for word in args.words if word not in ("--resume", "--write")]
    threads = ["--threads", str(count)] if (count := args.threads or _threads(args)) else []
    command = [sys.executable, "-m", "generation.cli.main", *words, "--resume", "--jobs", "1", "--patch", *threads]
    command += ["--helper-of", str(os.getpid())]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(args.jobs - 1)
    ]
    try:
        yield
    finally:
        for process in processes:
            if process.poll() not in (None, 0, 1):
                print(f"memberwise: warning: a process of --jobs ended with {process.returncode}", file=sys.stderr)
            process.terminate()
            process.wait()


def _report(args: argparse.Namespace, plan: BatchPlan, records: Sequence[BatchRecord]) -> int:
    """Patches or files, the page, and a line for people."""
    from generation.batch.page import as_html
    from generation.batch.results import Outcome, outcome_of

    outcomes: list[Outcome] = [outcome_of(plan, name, records) for name in plan.roots]
    failures = [f"{'::'.join(key[1:3])}: {reason}" for one in outcomes for key, reason in one.misfits.items()]
    for one in outcomes:
        if args.write:
            failures += tree.write(one.changed)
        elif one.changed:
            path = plan.out / f"{one.repository}.patch"
            path.write_bytes(tree.patch(one.changed, plan.roots[one.repository]))
            print(f"{path}: git apply it in {plan.roots[one.repository]}")
    diffs = {key: diff for one in outcomes for key, diff in one.diffs.items()}
    page = plan.out / "summary.html"
    page.write_text(as_html(records, diffs, "Memberwise batch"), encoding="utf-8")
    done = [record for record in records if record.status is Status.DONE]
    clean = sum(not record.problems and record.test_failed is None for record in done)
    print(f"{len(done)} of {len(records)} filled, {clean} of them without a finding; what to look at: {page}")
    for record in records:
        if record.status is Status.FAILED:
            failures.append(f"{record.path}::{record.function}: {record.error}")
    for line in failures:
        print(f"memberwise: warning: {line}", file=sys.stderr)
    return 0 if len(done) == len(records) and not failures else 1
