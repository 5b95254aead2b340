from __future__ import annotations

from dataclasses import asdict

import pytest

from generation.evaluation.running.records import Record
from generation.evaluation.report.tables import as_markdown, build_report, interval
from generation.evaluation.validity.verdicts import Verdict
from generation.types import GenerationStats

GOOD = Verdict(False, ())
UNKNOWN = Verdict(False, ({"symbol": "no-member", "line": 1, "text": "no x"},))
STRICT = Verdict(False, ({"symbol": "not-callable", "line": 1, "text": "no call"},))


def record(task: str, seconds: float) -> Record:
    stats = asdict(GenerationStats(generated_tokens=10, tool_calls=3))
    return Record(task, "dot", "s", "pass", [], "end", stats, [], seconds)


def test_a_report_of_known_verdicts() -> None:
    verdicts = {
        ("a", "dot"): GOOD,
        ("b", "dot"): UNKNOWN,
        ("c", "dot"): Verdict(True, ()),
        ("d", "dot"): STRICT,
        ("a", "true"): GOOD,
    }
    report = build_report({"model": "m"}, [record(task, 2.0) for task in "abcd"], verdicts)
    row = report["configs"]["dot"]
    assert {name: row[name]["value"] for name in ("unknown_name_share", "svr", "svr_strict", "empty_share")} == {
        "unknown_name_share": 0.25,
        "svr": 0.5,
        "svr_strict": 0.25,
        "empty_share": 0.25,
    }
    assert row["seconds_per_function"] == {"value": 2.0, "low": 2.0, "high": 2.0}
    assert row["tokens_per_s"]["value"] == 5.0
    assert report["configs"]["true"]["tool_calls"]["value"] is None
    page = as_markdown(report)
    assert "| dot | 25.0% [" in page
    assert "* model: m" in page


def test_an_answer_that_did_not_come_is_not_valid() -> None:
    report = build_report({}, [], {("a", "dot"): Verdict(False, (), "timeout")})
    assert report["configs"]["dot"]["svr"]["value"] == 0.0


def test_the_interval_holds_the_mean_and_narrows() -> None:
    few, many = interval([0.0, 1.0] * 10, 0), interval([0.0, 1.0] * 400, 0)
    for found in (few, many):
        assert found["low"] is not None
        assert found["high"] is not None
        assert found["low"] < 0.5 < found["high"]
    assert few["value"] == many["value"] == 0.5
    # the normal approximation: 1.96 * 0.5 / sqrt(n)
    assert few["high"] == pytest.approx(0.5 + 0.219, abs=0.05)
    assert many["high"] == pytest.approx(0.5 + 0.0346, abs=0.01)
    assert interval([0.0, 1.0], 3) == interval([0.0, 1.0], 3)
