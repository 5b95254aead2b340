"""How alike two bodies are as text: exact match, edit similarity, BLEU-4 and CodeBLEU, each by its usual library.

Compares what ``bodies.canonical`` returns. BLEU is a number of a whole corpus, so of one pair there are only its counts
(``BleuCounts``), which add up. Start reading at ``compare``.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from generation.evaluation.metrics.bodies import tokens

BleuCounts = tuple[float, ...]  # four times matches, four times n-grams, length of the system's text, of the reference

_ORDERS = 4


@dataclass(frozen=True, slots=True)
class Similarity:
    """A pair of bodies. ``codebleu`` is None where the package cannot be had."""

    exact: bool
    edit: float
    bleu: BleuCounts
    codebleu: float | None


def compare(body: str, true: str) -> Similarity:
    """Compare two canonical bodies."""
    from rapidfuzz import fuzz

    return Similarity(body == true, fuzz.ratio(body, true) / 100.0, bleu_counts(body, true), codebleu(body, true))


def bleu_counts(body: str, true: str) -> BleuCounts:
    """What BLEU needs to know of one pair."""
    from sacrebleu.metrics.bleu import BLEU

    score = BLEU(tokenize="none", force=True).corpus_score([_spaced(body)], [[_spaced(true)]])
    return (*score.counts, *score.totals, score.sys_len, score.ref_len)


def bleu(counts: Sequence[float]) -> float:
    """BLEU-4 between 0 and 1 of summed counts, with sacrebleu's default smoothing."""
    from sacrebleu.metrics.bleu import BLEU

    numbers = [int(count) for count in counts]
    matches, totals, (length, reference) = numbers[:_ORDERS], numbers[_ORDERS : 2 * _ORDERS], numbers[2 * _ORDERS :]
    score = BLEU.compute_bleu(matches, totals, sys_len=length, ref_len=reference, smooth_method="exp")
    return float(score.score) / 100.0


def _spaced(text: str) -> str:
    """Tokens with spaces between them and none inside."""
    return " ".join(re.sub(r"\s+", "\N{OPEN BOX}", token) for token in tokens(text))


def has_codebleu() -> bool:
    """Whether the package is installed; it needs tree-sitter 0.22, which has no wheels for Python 3.13 and later."""
    return all(importlib.util.find_spec(name) is not None for name in ("codebleu", "tree_sitter_python"))


def codebleu(body: str, true: str) -> float | None:
    """CodeBLEU of one pair, the four parts weighted alike.

    The package counts a data flow match of 0 as 1. That is meant for a reference without data flow, of which nothing
    can be missed; where the reference has some and none of it is matched, 0 is what counts here. An empty body is 0.
    """
    if not has_codebleu():
        return None
    if not body.strip():
        return 0.0
    parts = _parts(body, true)
    missed = parts["dataflow_match_score"] == 0 and _has_data_flow(true)
    return float(parts["codebleu"]) - (0.25 if missed else 0.0)


@cache
def _has_data_flow(text: str) -> bool:
    return _parts(text, text)["dataflow_match_score"] > 0


def _parts(body: str, true: str) -> dict[str, float]:
    from codebleu import calc_codebleu

    logging.getLogger().addFilter(_is_no_data_flow_warning)
    try:
        parts: dict[str, float] = calc_codebleu([true], [body], "python", tokenizer=tokens)
    finally:
        logging.getLogger().removeFilter(_is_no_data_flow_warning)
    return parts


def _is_no_data_flow_warning(record: logging.LogRecord) -> bool:
    """Drops the package's warning, which is of a corpus; one function without data flow is nothing unusual."""
    return "no reference data-flows" not in record.getMessage()
