"""``memberwise model list | pull | info | remove``: the cache of models, from the command line.

Parses, calls ``generation.models`` and prints; decides nothing. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from generation.cli.output import Output
from generation.errors import ModelLoadError
from generation.models import store
from generation.models.catalog import find_cached, resolve
from generation.models.manifest import Manifest, Provenance, describe, read_manifest
from generation.models.sources import DEFAULT
from generation.models.store import Report

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``model`` and its sub-commands."""
    parser = subparsers.add_parser("model", help="list, fetch, inspect and remove models")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="cached models")
    pull = actions.add_parser("pull", help="fetch a model, check it and convert it")
    pull.add_argument("name", nargs="?", default=DEFAULT.name, help="default, a GGUF file, or a hub id (owner/name)")
    info = actions.add_parser("info", help="where a model came from and what it is")
    info.add_argument("name", nargs="?", default=DEFAULT.name, help="a cached model or a model folder")
    remove = actions.add_parser("remove", help="delete a cached model")
    remove.add_argument("name", help="a cached model")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    for machine_readable in (listing, info):
        machine_readable.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what ``args.action`` names; the exit code."""
    actions = {"list": _list, "pull": _pull, "info": _info, "remove": _remove}
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    entries = store.entries()
    if args.json:
        print(json.dumps([_as_json(entry.path, entry.manifest) for entry in entries], indent=2))
    elif not entries:
        print(f"no models in {store.models_folder()}; fetch one with: memberwise model pull {DEFAULT.name}")
    else:
        _print_table(entries)
    return 0


def _pull(args: argparse.Namespace) -> int:
    with _progress() as report:
        path = resolve(args.name, pull=True, report=report)
    print(path)
    return 0


def _info(args: argparse.Namespace) -> int:
    path = resolve(args.name)
    manifest = read_manifest(path) or describe(path, Provenance(args.name, f"folder {path}", "", "unknown"))
    if args.json:
        print(json.dumps(_as_json(path, manifest), indent=2))
    else:
        _print_manifest(path, manifest)
    return 0


def _remove(args: argparse.Namespace) -> int:
    entry = find_cached(args.name)
    if entry is None:
        raise ModelLoadError(f"no cached model {args.name!r}; see: memberwise model list")
    if not args.yes and not _confirmed(f"remove {entry.path} ({_megabytes(entry.manifest)})? [y/N] "):
        print("nothing removed")
        return 1
    store.remove(entry)
    print(f"removed {entry.path}")
    return 0


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _print_table(entries: list[store.Entry]) -> None:
    table = Table("name", "size", "licence", "source", "where", box=None)
    for entry in entries:
        origin = entry.manifest.provenance
        table.add_row(origin.name, _megabytes(entry.manifest), origin.licence, origin.source, str(entry.path))
    width = None if sys.stdout.isatty() else 1000  # whole lines for grep
    Output(width=width).print(table)


def _print_manifest(path: Path, manifest: Manifest) -> None:
    origin = manifest.provenance
    rows = {
        "name": origin.name,
        "source": origin.source,
        "sha256": origin.source_sha256 or "-",
        "licence": origin.licence,
        "architecture": manifest.architecture,
        "parameters": f"{manifest.parameters:,} ({manifest.dtype})",
        "context": f"{manifest.context_tokens:,} tokens" if manifest.context_tokens else "no limit known",
        "size": _megabytes(manifest),
        "path": str(path),
    }
    for label, value in rows.items():
        print(f"{label:<13} {value}")


def _as_json(path: Path, manifest: Manifest) -> dict[str, object]:
    return {"path": str(path), "size_bytes": manifest.size_bytes, **asdict(manifest)}


def _megabytes(manifest: Manifest) -> str:
    return f"{manifest.size_bytes / 1e6:,.0f} MB"


@contextmanager
def _progress() -> Iterator[Report]:
    """A ``Report`` that draws a bar on a terminal and prints a line per stage elsewhere, both to stderr."""
    console = Output(file=sys.stderr)
    if not console.is_terminal:
        yield _PlainReport()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total or None)


class _PlainReport:
    """Prints a line when the stage changes or another quarter of it is done."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, stage: str, done_bytes: int, total_bytes: int) -> None:
        quarters = 4 * done_bytes // total_bytes if total_bytes else 0
        line = f"{stage} {quarters * 25} % of {total_bytes / 1e6:,.1f} MB" if total_bytes else stage
        if line != self._last:
            print(line, file=sys.stderr, flush=True)
            self._last = line
