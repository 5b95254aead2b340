"""``memberwise bench decode``: speed of the model against transformers, as a table and as JSON. Start at ``run``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from generation.config import GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation import decode_bench
from generation.evaluation.repositories import open_repositories
from generation.models import resolve

if TYPE_CHECKING:
    from generation.decoding.rivals import Engine
    from generation.evaluation.decode_bench import Row

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(parts: Subparsers) -> None:
    """Add ``bench decode``."""
    parser = parts.add_parser("decode", help="speed of the model, against transformers")
    parser.add_argument(
        "--repos", type=Path, required=True, metavar="FILE", help="list of pinned repositories, or a folder"
    )
    parser.add_argument("--lengths", default="200,1000,2000", metavar="A,B", help="tokens of the prompts")
    parser.add_argument("--prompts", type=int, default=3, metavar="N", help="of each length (3)")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="written behind each (64)")
    parser.add_argument("--threads", type=int, metavar="N", help="of a forward (half of the cores)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    from generation.service import load_model

    config = GeneratorConfig(threads=args.threads)
    roots = list(open_repositories(args.repos, _say).values())
    model = load_model(config)
    lengths = [int(length) for length in args.lengths.split(",")]
    prompts = {length: decode_bench.prompts(roots, model.tokenizer.encode, length, args.prompts) for length in lengths}
    if short := [length for length, found in prompts.items() if not found]:
        raise ConfigError(f"{args.repos} has no file of {short[0]} tokens; give shorter --lengths")
    ours = decode_bench.own_engine(model)
    own_mb = _memory_of_ours(ours, prompts[lengths[0]][0])
    keystroke = decode_bench.keystroke_share(ours, prompts[lengths[-1]][0])
    rows = decode_bench.measure(decode_bench.engines(resolve(config.model), ours, model), prompts, args.tokens, _say)
    report = {
        "rows": [asdict(row) for row in rows],
        "ratios": {**decode_bench.ratios(rows), "keystroke_share": round(keystroke, 4)},
        "rss_mb": round(own_mb),
    }
    _print(rows)
    print(json.dumps({name: report[name] for name in ("ratios", "rss_mb")}, indent=2))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _memory_of_ours(ours: Engine, prompt: list[int]) -> float:
    ours.write(prompt, 8)
    return decode_bench.resident_mb()


def _print(rows: list[Row]) -> None:
    table = Table("engine", "prompt", "reads tokens/s", "writes tokens/s", "request s")
    for row in rows:
        speeds = (f"{row.read_tokens_per_s:.0f}", f"{row.write_tokens_per_s:.1f}", f"{row.total_s:.2f}")
        table.add_row(row.engine, str(row.prompt_tokens), *speeds)
    Console().print(table)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
