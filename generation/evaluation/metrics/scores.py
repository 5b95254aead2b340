"""Every metric of the report: what it is of one task, and how tasks add up.

``docs/evaluation.md`` defines them in words. Knows nothing of how results came about. Start reading at ``METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from generation.evaluation.metrics.bodies import chains
from generation.evaluation.metrics.facts import Facts
from generation.evaluation.metrics.intervals import Combine, Statistic, ratio
from generation.evaluation.metrics.published import hits
from generation.evaluation.metrics.similarity import Similarity, bleu
from generation.evaluation.running.identifiers import Identifier
from generation.evaluation.running.records import Record
from generation.evaluation.validity.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Result:
    """A task in one row.

    Attributes:
        task: its id.
        config: the row.
        body: what was written.
        record: how it was generated; None in the row of the true bodies.
        verdict: what pylint says.
        facts: of the task.
        similarity: to the true body.
        header: of the function, with its docstring, as the file has it.
        first_line: of the body in its file, as lines of the verdict are counted.
        identifiers: repository names of the true body, teacher-forced; None where that was not asked.
        passed: whether the repository's tests pass with it; None where that was not asked.
    """

    task: str
    config: str
    body: str
    record: Record | None
    verdict: Verdict
    facts: Facts
    similarity: Similarity
    header: str = ""
    first_line: int = 1
    identifiers: tuple[Identifier, ...] | None = None
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One column. ``of`` is a task's statistic, None where the task does not count; ``combine`` takes their sums."""

    heading: str
    of: Callable[[Result], Statistic | None]
    combine: Combine = ratio
    is_share: bool = False
    lower_is_better: bool = False
    has_best: bool = True


def _mean(number: Callable[[Result], float | None]) -> Callable[[Result], Statistic | None]:
    def statistic(result: Result) -> Statistic | None:
        value = number(result)
        return None if value is None else (float(value), 1.0)

    return statistic


def _cost(number: Callable[[Record], float | None]) -> Callable[[Result], Statistic | None]:
    return _mean(lambda result: None if result.record is None else number(result.record))


def _pooled(over: str, under: Callable[[Record], float]) -> Callable[[Result], Statistic | None]:
    """A number of the statistics over another number of the record, pooled over tasks."""
    return lambda result: None if result.record is None else (result.record.stats[over], under(result.record))


def _dep_cov(result: Result) -> Statistic:
    wanted = result.facts.dependencies
    return float(len(chains(result.body) & wanted)), float(len(wanted))


def _dep_cov_paper(result: Result) -> Statistic:
    wanted = result.facts.published
    return float(len(hits(result.body, wanted))), float(len(wanted))


def _identifiers(answer: Callable[[Identifier], bool | None]) -> Callable[[Result], Statistic | None]:
    """A share of names, pooled over tasks."""

    def statistic(result: Result) -> Statistic | None:
        known = [found for found in map(answer, result.identifiers or ()) if found is not None]
        return (float(sum(known)), float(len(known))) if known else None

    return statistic


METRICS: Mapping[str, Metric] = {
    "dep_cov": Metric("DepCov", _dep_cov, is_share=True),
    "dep_cov_paper": Metric("DepCov-paper", _dep_cov_paper, is_share=True),
    "svr": Metric("SVR", _mean(lambda result: result.verdict.valid), is_share=True),
    "svr_strict": Metric("SVR-strict", _mean(lambda result: result.verdict.strictly_valid), is_share=True),
    "svr_dep": Metric(
        "SVR-dep", _mean(lambda result: result.verdict.valid if result.facts.dependencies else None), is_share=True
    ),
    "em": Metric("EM", _mean(lambda result: result.similarity.exact), is_share=True),
    "edit_sim": Metric("EditSim", _mean(lambda result: result.similarity.edit), is_share=True),
    "bleu4": Metric("BLEU-4", lambda result: result.similarity.bleu, bleu, is_share=True),
    "codebleu": Metric("CodeBLEU", _mean(lambda result: result.similarity.codebleu), is_share=True),
    "pass_at_1": Metric("pass@1", _mean(lambda result: result.passed), is_share=True),
    "identifier_recall_free": Metric("model alone", _identifiers(lambda each: each.free), is_share=True),
    "identifier_recall": Metric("with the tool", _identifiers(lambda each: each.chosen), is_share=True),
    "tool_ceiling": Metric("tool ceiling", _identifiers(lambda each: each.offered), is_share=True),
    "wrong_list_share": Metric(
        "wrong lists", _identifiers(lambda each: each.wrong_list), is_share=True, lower_is_better=True
    ),
    "unknown_name_share": Metric(
        "unknown name", _mean(lambda result: result.verdict.has_unknown_name), is_share=True, lower_is_better=True
    ),
    "empty_share": Metric("empty", _mean(lambda result: result.verdict.empty), is_share=True, lower_is_better=True),
    "syntax_error_share": Metric(
        "syntax error",
        _mean(lambda result: "syntax-error" in result.verdict.symbols),
        is_share=True,
        lower_is_better=True,
    ),
    "seconds_per_function": Metric("s / function", _cost(lambda record: record.seconds), lower_is_better=True),
    "first_text_s": Metric("s to first text", _cost(lambda record: record.first_text_s), lower_is_better=True),
    "tokens_per_s": Metric("tokens/s", _pooled("generated_tokens", lambda record: record.seconds)),
    "forwards_per_token": Metric(
        "forwards / token", _pooled("forwards", lambda record: record.stats["generated_tokens"]), lower_is_better=True
    ),
    "tool_calls": Metric("tool calls", _cost(lambda record: record.stats["tool_calls"]), has_best=False),
    "tool_ms": Metric("tool ms", _cost(lambda record: record.stats["tool_ms"]), lower_is_better=True),
    "late_answers": Metric("late answers", _cost(lambda record: record.late_answers), lower_is_better=True),
}
