"""The page: what it holds, and that a browser shows it (where there is one)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from generation.evaluation.metrics.dependencies import Dependency
from generation.evaluation.metrics.facts import Facts
from generation.evaluation.metrics.scores import Result
from generation.evaluation.metrics.similarity import Similarity
from generation.evaluation.report.page import as_html
from generation.evaluation.report.plots import dot_plot
from generation.evaluation.report.tables import build_report
from generation.evaluation.running.records import Record
from generation.evaluation.validity.verdicts import Verdict
from generation.types import GenerationStats

CALL = {
    "offset": 11, "kind": "name", "receiver": None, "suggestions": 3, "trusted": True, "best": [["helper", 0.9]],
    "chosen": "helper", "source": "jedi", "model_choice": "help", "elapsed_ms": 1.0, "cached": False, "error": None,
}  # fmt: skip
NASTY = "    return helper('</script><b>&amp;')\n"


def result(config: str, body: str, verdict: Verdict) -> Result:
    record = Record("tiny/a.py::C.f@7", config, "s", body, [["os", None, None]], "end", asdict(GenerationStats()), [CALL], 1.0)  # fmt: skip
    counts = (1.0,) * 10
    return Result(
        record.task, config, body, None if config == "true" else record, verdict, Facts((Dependency("helper", 11),), frozenset()),
        Similarity(False, 0.5, counts, None), "    def f(self):\n        '''Doc.'''\n", 9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    wrong = Verdict(False, ({"symbol": "no-member", "line": 9, "text": "Module has no <x>"},))
    results = [result("dot", NASTY, Verdict(False, ())), result("off", "    return self.x\n", wrong), result("true", "    return helper(1)\n", Verdict(False, ()))]  # fmt: skip
    about = {"tasks": 1, "rows": {"dot": {"adapter": None, "trigger": "dot"}}}
    return as_html(build_report(about, results), results)


def test_the_page_stands_alone(page: str) -> None:
    assert not re.search(r"(src|href)=|@import|url\(|https?://", page)
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    [task] = json.loads(data[1])
    assert task["name"] == "C.f"
    assert [row["config"] for row in task["rows"]] == ["true", "dot", "off"]
    assert task["rows"][1]["body"] == NASTY
    assert task["rows"][2]["errors"] == [[0, "no-member", "Module has no <x>"]]
    assert task["rows"][1]["used"] == ["helper"]


def test_a_plot_is_well_formed_and_stays_inside() -> None:
    rows = {
        "a <row> with a long name": {"value": 0.5, "low": 0.2, "high": 0.9},
        "none": {"value": None, "low": None, "high": None},
        "true": {"value": 1.0, "low": 1.0, "high": 1.0},
    }
    svg = ET.fromstring(dot_plot("SVR", rows, percent=True))  # type: ignore[arg-type]
    width = float((svg.get("viewBox") or "").split()[2])
    circles = [float(node.get("cx") or 0) for node in svg.iter("circle")]
    assert len(circles) == 2
    assert circles[0] < circles[1] < width
    assert dot_plot("SVR", {"none": rows["none"]}, percent=True) == ""  # type: ignore[dict-item]


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_every_body(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
    command += ["--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile", f"file://{tmp_path}/report.html"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    shown = dom[dom.index('id="task"') : dom.index('id="data"')]
    assert shown.count('class="body"') == 3
    assert '<mark title="3 names">helper</mark>' in shown
    assert "no-member: Module has no &lt;x&gt;" in shown
    assert "import os" in shown
    assert "The tool was asked 1 times" in shown
