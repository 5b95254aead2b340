"""The card of a corpus: what is in it, what was left out and why, and under which licences its repositories are.

Start reading at ``write_card``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from generation.training.corpus import FileCounts
from generation.training.functions import FunctionCounts
from generation.training.storage import writing

CARD_NAME = "card.json"


def write_card(
    folder: Path,
    roots: Mapping[str, Path],
    validation: Sequence[str],
    files: FileCounts,
    functions: FunctionCounts,
) -> str:
    """Write ``card.json`` and ``CARD.md`` into the corpus; the text of the second.

    Raises:
        ConfigError: they cannot be written.
    """
    reasons = Counter[str]()
    for left_out in files.left_out.values():
        reasons.update(left_out)
    card = {
        "repositories": len(roots),
        "held_back": sorted(validation),
        "files": sum(files.kept.values()),
        "characters": sum(files.characters.values()),
        "functions": sum(functions.kept.values()),
        "files_left_out": dict(reasons.most_common()),
        "functions_left_out": {"near duplicate": sum(functions.duplicates.values())},
        "by_repository": {
            name: {
                "version": root.name,
                "licence": licence_of(root),
                "files": files.kept.get(name, 0),
                "characters": files.characters.get(name, 0),
                "functions": functions.kept.get(name, 0),
                "files_left_out": dict(files.left_out.get(name, {})),
            }
            for name, root in roots.items()
        },
    }
    text = _as_markdown(card)
    with writing(folder / CARD_NAME) as out:
        json.dump(card, out, indent=2)
    with writing(folder / "CARD.md") as out:
        out.write(text)
    return text


def licence_of(root: Path) -> str:
    """What the metadata of an unpacked wheel says, in few words."""
    for path in sorted(root.glob("*.dist-info/METADATA")):
        headers = HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        classified = [
            value.rpartition(" :: ")[2] for value in headers.get_all("Classifier", []) if "License ::" in value
        ]
        named = headers.get("License-Expression") or (classified and classified[0]) or headers.get("License") or ""
        if named:
            return str(named).strip().splitlines()[0][:60]
    return "unknown"


def _as_markdown(card: Mapping[str, Any]) -> str:
    rows = card["by_repository"]
    amounts = ", ".join(f"{card[name]} {name}" for name in ("repositories", "files", "functions", "characters"))
    lines = [
        f"{amounts}. Held back: {', '.join(map(str, card['held_back']))}.",
        f"Left out: {_counts(card['files_left_out'])} (files); {_counts(card['functions_left_out'])} (functions).",
        "",
        "| repository | licence | files | functions | characters | files left out |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['version']} | {row['licence']} | {row['files']} | {row['functions']} | {row['characters']} | "
        f"{_counts(row['files_left_out'])} |"
        for row in rows.values()
    ]
    return "\n".join(lines) + "\n"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"
