"""The rows of a report: which weights, and which method. A row is a value; no code knows its name.

Start reading at ``ROWS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from generation.adapters import NONE
from generation.config import PRESETS, DecodingConfig, GeneratorConfig
from generation.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration.

    Attributes:
        decoding: the method.
        adapter: weights on top of the base model; ``none`` is the base alone.
        candidates: how many bodies are written; the first after ranking counts.
        says: what it is, for the reader of a report.
    """

    decoding: DecodingConfig
    adapter: str = NONE
    candidates: int = 1
    says: str = ""

    def on(self, common: GeneratorConfig) -> GeneratorConfig:
        """The whole configuration, what this row does not say taken from ``common``."""
        sampling = replace(common.sampling, candidates=self.candidates)
        return replace(common, adapter=self.adapter, decoding=self.decoding, sampling=sampling)


_DOT, _MARK = PRESETS["dot"], PRESETS["mark"]

MAIN: Mapping[str, Row] = {
    "off": Row(PRESETS["off"], says="base model, no tool"),
    "dot": Row(_DOT, says="base model, tool at every name"),
    "plain-off": Row(PRESETS["off"], "plain", says="trained on the functions without marks, no tool"),
    "plain-dot": Row(_DOT, "plain", says="trained on the functions without marks, tool at every name"),
    "mark": Row(_MARK, "mark", says="trained on marked functions, tool at marks"),
    "paper": Row(PRESETS["paper"], "mark", says="trained on marked functions, the published method"),
    "paper-base": Row(PRESETS["paper"], says="base model, the published method at names that exist"),
}


def _ablations(name: str, row: Row) -> dict[str, Row]:
    """The row with each of our parts taken away; and with reranking, which it does not have by itself."""
    whole = row.decoding
    without = {
        "repair": ("Jedi sees the truncated buffer", replace(whole, repair=False)),
        "index": ("no member index", replace(whole, index=False)),
        "whole-identifier": ("names chosen token by token", replace(whole, whole_identifier=False)),
        "boundary": ("a chosen name may go on", replace(whole, boundary=False)),
        "abstention": ("the list is forced", replace(whole, abstain=False)),
        "context": ("prompt of signature and docstring", replace(whole, context=False)),
        "imports": ("no names that need an import", replace(whole, import_names=False)),
    }
    rows = {
        f"{name}-no-{part}": Row(decoding, row.adapter, says=f"{name}: {says}")
        for part, (says, decoding) in without.items()
    }
    return {**rows, f"{name}-reranking": Row(row.decoding, row.adapter, 4, f"{name}: best of 4 candidates")}


_MARK_ONLY = {
    "mark-only": Row(replace(_MARK, ask_unfamiliar=False), "mark", says="mark: names without a mark are not asked for"),
    "mark-unweighed": Row(replace(_MARK, mark_share=None), "mark", says="mark: marks where they are likeliest"),
    "mark-dot": Row(_DOT, "mark", says="trained on marked functions, tool at every name"),
}
ROWS: Mapping[str, Row] = {**MAIN, **_ablations("dot", MAIN["dot"]), **_ablations("mark", MAIN["mark"]), **_MARK_ONLY}


def choose(names: str) -> dict[str, Row]:
    """The rows that a list with commas names.

    Raises:
        ConfigError: the list is empty, or names a row that does not exist.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in ROWS]
    if unknown or not wanted:
        what = f"no row {', '.join(unknown)}" if unknown else "no row named"
        raise ConfigError(f"--config {names!r}: {what}; there are {', '.join(ROWS)}")
    return {name: ROWS[name] for name in wanted}
