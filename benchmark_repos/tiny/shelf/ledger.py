"""Keeping the catalog in a file, and numbers for the yearly report."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from shelf.catalog import Book, Catalog
from shelf.readers import Reader


def save(catalog: Catalog, path: Path) -> None:
    """Write the catalog as JSON, one book a line, through a temporary file."""
    lines = [json.dumps({**asdict(book), "subjects": sorted(book.subjects)}) for book in catalog]
    temporary = path.with_suffix(".new")
    temporary.write_text("\n".join(lines), encoding="utf-8")
    temporary.replace(path)


def load(path: Path) -> Catalog:
    """Read a catalog that ``save`` has written."""
    catalog = Catalog()
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        entry["authors"] = tuple(entry["authors"])
        entry["subjects"] = frozenset(entry["subjects"])
        catalog.add(Book(**entry))
    return catalog


def subjects(catalog: Catalog, most: int = 5) -> list[tuple[str, int]]:
    """The subjects with the most titles."""
    counted = Counter(subject for book in catalog for subject in book.subjects)
    return counted.most_common(most)


def typical_debt(readers: list[Reader]) -> float:
    """The median of what readers owe who owe anything, in cents; 0 when nobody does."""
    owed = [reader.owed_cents for reader in readers if reader.owed_cents]
    return statistics.median(owed) if owed else 0.0
