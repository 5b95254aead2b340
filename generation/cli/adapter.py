"""``memberwise adapter list | info | export | measure``: adapters, from the command line.

Parses, calls and prints. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from generation import adapters, models
from generation.cli.corpus import add_data
from generation.cli.numbers import add_number
from generation.cli.output import Output
from generation.errors import ConfigError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


_FORMATS = "adapter: a copy; hf: merged, a folder for transformers; gguf: merged, a file for llama.cpp (hf)"


def add_parser(subparsers: Subparsers) -> None:
    """Add ``adapter`` and its sub-commands."""
    parser = subparsers.add_parser("adapter", help="list, inspect, measure and export adapters")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="adapters that have a name")
    listing.set_defaults(run=run_list)
    info = actions.add_parser("info", help="what an adapter is and for what")
    info.add_argument("adapter", help="a name or a folder")
    info.set_defaults(run=run_info)
    export = actions.add_parser("export", help="copy an adapter, or write base and adapter as one model folder")
    export.add_argument("adapter", help="a name or a folder, that of a run too")
    export.add_argument("--out", type=Path, required=True, metavar="OUT")
    export.add_argument("--format", choices=["adapter", "hf", "gguf"], default="hf", help=_FORMATS)
    export.add_argument("--base", default="default", metavar="M", help="the model it is for (default)")
    export.set_defaults(run=run_export)
    carry = actions.add_parser("carry", help="give an adapter what another has learned since they parted")
    carry.add_argument("adapter", help="a name or a folder")
    carry.add_argument("--from", dest="before", required=True, metavar="ADAPTER", help="the other, before it learned")
    carry.add_argument("--to", dest="after", required=True, metavar="ADAPTER", help="the other, after it learned")
    carry.add_argument("--out", type=Path, required=True, metavar="OUT", help="a new adapter folder")
    carry.set_defaults(run=run_carry)
    measure = actions.add_parser("measure", help="body loss, mark recall and precision on held-back repositories")
    measure.add_argument("adapter", nargs="?", help="a name or a folder; none measures the base")
    measure.add_argument("--base", default="default", metavar="M", help="the model it is for (default)")
    add_data(measure)
    add_number(measure, "--functions", 1, default=100, metavar="N", help="how many (100)")
    measure.add_argument("--keep", action="store_true", help="write the figures into the adapter's manifest")
    measure.set_defaults(run=run_measure)


def run_list(_: argparse.Namespace) -> int:
    """Print every adapter; the exit code."""
    table = Table("name", "base", "marks", "tokens seen", "where", box=None)
    for name, folder in adapters.adapter_folders().items():
        manifest = adapters.read_adapter(folder)
        table.add_row(
            name, manifest.base, "no" if manifest.mark_id is None else "yes", f"{manifest.tokens_seen:,}", str(folder)
        )
    Output(width=None if sys.stdout.isatty() else 1000).print(table)
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Print a manifest; the exit code."""
    folder = adapters.resolve(args.adapter)
    manifest = dataclasses.asdict(adapters.read_adapter(folder))
    print(json.dumps({"path": str(folder), "sha256": adapters.adapter_sha256(folder), **manifest}, indent=2))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Copy or merge; the exit code."""
    from generation.training.adapter_folder import copy_adapter, export_gguf, export_merged

    folder = adapters.resolve(args.adapter)
    if args.format == "adapter":
        copy_adapter(folder, args.out)
    elif args.out.exists():
        raise ConfigError(f"{args.out} exists; name something that does not")
    else:
        export = export_gguf if args.format == "gguf" else export_merged
        export(folder, models.resolve(args.base), args.out)
    print(args.out)
    return 0


def run_carry(args: argparse.Namespace) -> int:
    """Add what another adapter has learned; the exit code."""
    from generation.training.adapter_folder import carry

    if args.out.exists():
        raise ConfigError(f"{args.out} exists; name something that does not")
    adapter, before, after = map(adapters.resolve, (args.adapter, args.before, args.after))
    carry(adapter, before, after, args.out)
    print(args.out)
    return 0


def run_measure(args: argparse.Namespace) -> int:
    """Print measures as JSON; the exit code."""
    from generation.training.measures import measure

    folder = adapters.resolve(args.adapter) if args.adapter else None
    found = measure(args.data, models.resolve(args.base), folder, args.functions)
    if args.keep and folder is not None:
        from generation.training.adapter_folder import keep_measures

        keep_measures(folder, found)
    print(json.dumps(found, indent=2))
    return 0
