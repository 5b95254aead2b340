"""Bodies written by hand, judged in the tiny repository with the real pylint and the real Jedi."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from generation.config import GeneratorConfig, ToolConfig
from generation.evaluation.bare_python import bare_python
from generation.evaluation.judging import judge, write_results
from generation.evaluation.metrics.scores import METRICS, Result
from generation.evaluation.report.markdown import as_markdown
from generation.evaluation.report.tables import Report, build_report
from generation.evaluation.running.plan import Plan
from generation.evaluation.running.records import Record
from generation.evaluation.tasks import TRUE, collect_tasks
from generation.types import GenerationStats
from tests.evaluation.conftest import share_parsed

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"
BODIES = {
    "Desk.available": {
        "good": "        return self.catalog.find(isbn).copies\n",
        "bad": "        return self.catalogue.find(isbn)\n",
    },
    "typical_debt": {
        "good": "    owed = [reader.owed_cents for reader in readers]\n    return sum(owed) / len(owed)\n",
        "bad": "    return sum(readers\n",
    },
    "Desk.loans_of": {
        "good": (
            "        own = [\n"
            "            loan for loans in self._loans.values() for loan in loans if loan.reader.card == reader.card\n"
            "        ]  # as it is\n"
            "        return sorted(own, key=lambda loan: loan.due)\n"
        ),
        "bad": "        pass\n",
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, parsed: Path) -> list[Result]:
    out = share_parsed(tmp_path_factory.mktemp("out"), parsed)
    tasks = [task for task in collect_tasks(TINY, "tiny") if task.qualname in BODIES]
    configs = dict.fromkeys(("off", "dot"), GeneratorConfig())
    stats = asdict(GenerationStats(generated_tokens=10, forwards=5, tool_calls=3))
    records = [
        Record(task.id, row, "s", BODIES[task.qualname][kind], [], "end", stats, [], 2.0, 0.5, 4_000_000)
        for task in tasks
        for row, kind in (("off", "bad"), ("dot", "good"))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMBERWISE_CACHE", str(out / "user"))
        found = judge(Plan({"tiny": TINY}, {"tiny": tasks}, configs, out), records, ToolConfig(python=bare_python()))
    write_results(out / "results.jsonl", found)
    assert len((out / "results.jsonl").read_text().splitlines()) == len(found) == 9
    return found


@pytest.fixture(scope="module")
def report(results: list[Result]) -> Report:
    return build_report({"model": "m"}, results)


def named(results: list[Result], name: str, config: str) -> Result:
    return next(result for result in results if f"::{name}@" in result.task and result.config == config)


def test_dependencies_of_the_tiny_repository(results: list[Result]) -> None:
    # not `loan.reader`: the element of a comprehension over the lists of a dictionary is too much for Jedi
    assert named(results, "Desk.loans_of", "dot").facts.dependencies == {"self._loans", "reader.card"}
    available = named(results, "Desk.available", "dot").facts
    assert available.dependencies == {"self.catalog", "self.catalog.find", "book.copies", "self._loans"}
    assert available.published >= {"catalog.find", "self._loans"}


def test_a_report_of_known_bodies(report: Report) -> None:
    dot, off, true = (report["configs"][name] for name in ("dot", "off", TRUE))
    assert {name: dot[name]["value"] for name in ("svr", "svr_strict", "empty_share", "unknown_name_share")} == {
        "svr": 1.0, "svr_strict": 1.0, "empty_share": 0.0, "unknown_name_share": 0.0,
    }  # fmt: skip
    assert off["svr"]["value"] == 0.0
    assert off["unknown_name_share"]["value"] == off["empty_share"]["value"] == off["syntax_error_share"]["value"]
    assert dot["em"]["value"] == pytest.approx(1 / 3, abs=1e-5)
    assert dot["dep_cov"]["value"] == pytest.approx((2 + 2 + 1) / (2 + 4 + 1), abs=1e-5)
    assert off["dep_cov"]["value"] == 0.0
    assert dot["seconds_per_function"] == {"value": 2.0, "low": 2.0, "high": 2.0}
    assert dot["tokens_per_s"]["value"] == 5.0
    assert dot["forwards_per_token"]["value"] == 0.5
    assert dot["peak_memory_mb"]["value"] == 4.0
    assert true["tool_calls"]["value"] is None
    for name in ("dep_cov", "svr_strict", "svr_dep", "em", "edit_sim", "bleu4"):
        assert true[name]["value"] == 1.0, name


def test_every_number_lies_in_its_interval(report: Report) -> None:
    assert report["baseline"] == "off"
    assert list(report["differences"]) == ["dot"]
    assert report["differences"]["dot"]["svr"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    for row in report["configs"].values():
        assert row.keys() >= METRICS.keys()
        for value in row.values():
            if value["value"] is not None:
                assert value["low"] is not None
                assert value["high"] is not None
                assert value["low"] - 1e-9 <= value["value"] <= value["high"] + 1e-9


def test_the_report_as_a_page(report: Report) -> None:
    page = as_markdown(report)
    assert "| dot | 71.4 [" in page
    assert "| dot | +71.4 [" in page
    assert "* model: m" in page
    assert "pass@1" not in page  # a column without a number is left out
    json.dumps(report, allow_nan=False)


def test_an_answer_of_pylint_that_did_not_come_is_not_valid(results: list[Result]) -> None:
    result = named(results, "typical_debt", "dot")
    silent = replace(result, verdict=replace(result.verdict, error="timeout"))
    assert build_report({}, [silent])["configs"]["dot"]["svr"]["value"] == 0.0
