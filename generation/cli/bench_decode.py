"""``memberwise bench decode``: speed of the model against other engines, as a table and as JSON. Start at ``run``.

All on the CPU; ``bench_gpu`` is for a GPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from generation.cli.numbers import CORES, add_number, add_numbers
from generation.cli.output import Output, say, write_json
from generation.config import GeneratorConfig
from generation.errors import ConfigError, ModelLoadError
from generation.evaluation import decode_bench, overhead_bench, step_profile, threads_bench
from generation.evaluation.repositories import open_repositories
from generation.models import resolve
from generation.service import adapter_for, load_model, usual_preset

if TYPE_CHECKING:
    from generation.decoding.rivals import Clock
    from generation.interfaces import LanguageModel

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_DTYPES = ("int8", "float32")


def add_parser(parts: Subparsers) -> None:
    """Add ``bench decode``."""
    parser = parts.add_parser("decode", help="speed of the model, against other engines")
    parser.add_argument(
        "--repos", type=Path, default=Path("benchmark_repos/eval.txt"), metavar="FILE",
        help="list of pinned repositories, or a folder (benchmark_repos/eval.txt)",
    )  # fmt: skip
    add_numbers(parser, "--lengths", 1, default="200,1000,2000,8000", metavar="A,B", help="tokens of the prompts")
    parser.add_argument(
        "--prompts", type=int, default=3, metavar="N", help="of each length, by turns completion, edit and body (3)"
    )
    parser.add_argument("--tokens", type=int, default=32, metavar="N", help="written behind each (32)")
    parser.add_argument("--functions", type=int, default=2, metavar="N", help="of each repository, with the tool (2)")
    add_numbers(parser, "--threads", 1, CORES, default="1,2", metavar="A,B", help="of a forward (1,2)")
    parser.add_argument("--rivals", default="transformers,llama.cpp", metavar="A,B", help="compared with these")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time; for busy machines")
    parser.set_defaults(run=run)
    busy = parts.add_parser("threads", help="speed of a step with one and two threads, alone and beside busy programs")
    busy.add_argument("--steps", type=int, default=20, metavar="N", help="in each round (20)")
    busy.set_defaults(run=run_threads)
    step = parts.add_parser("step", help="where the time of a forward goes, against the limit of memory")
    add_number(step, "--threads", 1, CORES, default=1, metavar="N", help="of a forward (1)")
    step.set_defaults(run=run_step)


def run_step(args: argparse.Namespace) -> int:
    """Print the parts of forwards of 1, 8 and 96 rows behind 1,000 tokens; the exit code."""
    model = load_model(GeneratorConfig(dtype="int8", threads=args.threads))
    if not hasattr(getattr(model, "network", None), "times_ms"):
        raise ConfigError(f"{model.name} does not run on our own kernels here; `memberwise doctor` says why")
    print(json.dumps([step_profile.profile(model, rows, 1000, args.threads) for rows in (1, 8, 96)], indent=2))
    return 0


def run_threads(args: argparse.Namespace) -> int:
    """Print steps a second; the exit code."""
    models = {count: load_model(GeneratorConfig(dtype="int8", threads=count)) for count in (1, 2)}
    report = {name: threads_bench.measure(models, args.steps, count) for name, count in threads_bench.situations()}
    print(json.dumps(report, indent=2))
    return 0


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        report = _measured(args, Path(scratch))
    _print(report["rows"])
    print(json.dumps({name: report[name] for name in ("ratios", "rss_mb")}, indent=2))
    write_json(report, args.json)
    for name, reason in report["left_out"].items():
        say(f"{name} was left out: {reason}")
    return 1 if report["left_out"] else 0


def _measured(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    threads: list[int] = args.threads
    config = GeneratorConfig(dtype="int8", threads=threads[0])
    clock = time.process_time if args.cpu_time else time.perf_counter
    model = load_model(config)
    prompts = _prompts(args, model)
    keystroke = decode_bench.keystroke_share(decode_bench.own_engine(model, clock), next(reversed(prompts.values()))[0])
    memory_mb = decode_bench.resident_mb()  # before any other engine is loaded
    left_out: dict[str, str] = {}
    rows = [row for count in threads for row in _rows(args, count, prompts, scratch, clock, left_out)]
    overheads = _overheads(args, threads[0])
    say("perplexity in int8 and in float32")
    texts = next(iter(prompts.values()))
    surprise = {dtype: decode_bench.perplexity(load_model(replace(config, dtype=dtype)), texts) for dtype in _DTYPES}
    return {
        "rows": [asdict(row) for row in rows],
        "overheads": [asdict(one) for one in overheads],
        "ratios": {
            **decode_bench.ratios(rows),
            "keystroke_share": round(keystroke, 4),
            "int8_perplexity": round(surprise["int8"] / surprise["float32"], 4),
            **overhead_bench.ratios(overheads, usual_preset("default")),
        },
        "left_out": left_out,
        "perplexity": surprise,
        "rss_mb": round(memory_mb),
    }


def _rows(
    args: argparse.Namespace,
    threads: int,
    prompts: dict[int, list[list[int]]],
    scratch: Path,
    clock: Clock,
    left_out: dict[str, str],
) -> list[decode_bench.Row]:
    config, folder = GeneratorConfig(dtype="int8", threads=threads), resolve("default")
    model = load_model(config)
    engines = decode_bench.own_engines(model, clock)
    if adapter := adapter_for(config, folder):
        engines |= decode_bench.guessing_engine(load_model(config), adapter, clock)
    if "transformers" in args.rivals:
        engines |= decode_bench.transformers_engine(folder, threads, clock)
    if "llama.cpp" in args.rivals:
        try:
            engines |= decode_bench.llama_cpp_engines(folder, threads, scratch, clock)
        except ModelLoadError as error:  # the others are still worth measuring
            left_out[decode_bench.LLAMA_CPP] = str(error)
    return decode_bench.measure(engines, prompts, args.tokens, threads, say)


def _overheads(args: argparse.Namespace, threads: int) -> list[overhead_bench.Overhead]:
    """Of both ways to ask, each with the adapter that ships for it."""
    if args.functions <= 0:
        return []
    roots = open_repositories(args.repos, say)
    base = GeneratorConfig(dtype="int8", threads=threads, max_tokens=96)
    configs = [base.with_preset(name) for name in ("mark", "dot")]
    found: list[overhead_bench.Overhead] = []
    for config in configs:
        model, plain = load_model(config), load_model(config)
        found += overhead_bench.measure(config, model, plain, roots, args.functions, say)
    return found


def _prompts(args: argparse.Namespace, model: LanguageModel) -> dict[int, list[list[int]]]:
    roots = list(open_repositories(args.repos, say).values())
    encode = model.tokenizer.encode
    found = {length: decode_bench.prompts(roots, encode, length, args.prompts) for length in args.lengths}
    if short := [length for length, prompts in found.items() if not prompts]:
        raise ConfigError(f"{args.repos} has no file of {short[0]} tokens; give shorter --lengths")
    return found


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table("engine", "threads", "prompt", "reads tokens/s", "writes tokens/s", "request s")
    for row in rows:
        speeds = (f"{row['read_tokens_per_s']:.0f}", f"{row['write_tokens_per_s']:.1f}", f"{row['total_s']:.2f}")
        table.add_row(row["engine"], str(row["threads"]), str(row["prompt_tokens"]), *speeds)
    Output().print(table)
