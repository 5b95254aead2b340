"""``memberwise bench gpu``: the GPU path against transformers and the memory's limit, as tables and as JSON.

Start at ``run``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import generation
from generation.cli.output import say, write_json
from generation.evaluation import decode_bench
from generation.models import resolve

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_NO_GPU = (
    "bench gpu needs a CUDA GPU with bfloat16 and Triton, and finds none; it would measure decoding, reading, drafts, "
    "batches and selection there. --tiny runs the same code with tiny models on the CPU"
)
_TITLES = {
    "agreement": "Whether we compute what transformers computes",
    "speed": "Reading and writing, one sequence",
    "long": "Long contexts, prompt and writing: everything in sight, and a chosen list",
    "drafts": "Drafts on repository code",
    "together": "Several requests at a time",
    "selection": "Selection: attention in one layer, of a written token and of a chunk of a prompt",
}
_PARTS = ("decoding", "tools", "source")  # of our own code, from which prompts are taken


def add_parser(parts: Subparsers) -> None:
    """Add ``bench gpu``."""
    parser = parts.add_parser("gpu", help="speed on a GPU, against transformers and the limit of its memory")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="write gpu.json and gpu.md there")
    parser.add_argument("--tiny", action="store_true", help="tiny random models on the CPU: whether it runs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print and write; 1 without a GPU."""
    from generation.decoding.gpu import measures, subjects
    from generation.decoding.loading import gpu_name

    if not args.tiny and gpu_name() is None:
        say(_NO_GPU)
        return 1
    plan = subjects.TINY if args.tiny else subjects.full_plan(resolve("default"))
    roots = [Path(next(iter(generation.__path__))) / part for part in _PARTS]
    report = measures.measure(plan, lambda encode, tokens: decode_bench.prompts(roots, encode, tokens, len(roots)), say)
    write_json(report, args.out / "gpu.json")
    text = markdown(report)
    (args.out / "gpu.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    head = (
        f"# bench gpu\n\n{report['device']}, torch {report['torch']}, {report['dtype']}; its memory moves "
        f"{report['bandwidth_gb_per_s']} GB/s; {report['seconds']} s in all.\n"
    )
    tables = [f"\n## {title}\n\n{_table(report[name])}" for name, title in _TITLES.items()]
    left_out = "".join(f"* {line}\n" for line in report["left_out"])
    return head + "".join(tables) + (f"\n## Left out\n\n{left_out}" if left_out else "")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "nothing was measured\n"
    lines = [
        [name.replace("_", " ") for name in rows[0]],
        ["---"] * len(rows[0]),
        *(map(_cell, row.values()) for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return "–" if value is None else str(value)
