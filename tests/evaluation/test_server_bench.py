"""The measurements of the server, against the real process with the scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.evaluation import server_bench
from generation.evaluation.server_bench import measure, percentiles
from generation.evaluation.server_process import ServerProcess, inline
from generation.evaluation.server_soak import soak
from tests.server.client import SCRIPTED

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"
ARGUMENTS = ["--model-from", SCRIPTED]


def test_percentiles() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "count": 0}
    assert percentiles([float(i) for i in range(1, 101)]) == {"p50": 50.5, "p95": 96.0, "count": 100}


def test_typing_is_replayed_and_everything_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_bench, "_PROBES", 2)
    report = measure({"tiny": TINY}, 1, 0, ARGUMENTS, keys=15)
    assert report["keys"] >= 15
    assert report["requests"] >= 15
    assert report["failed"] == 0
    for kind in ("hover_ms", "overhead_ms"):
        assert 0 < report[kind]["p50"] <= report[kind]["p95"]
    assert report["rss_mb"] > 50
    assert {"first_text_ms", "full_ms", "cached_ms", "cancel_ms", "freed_ms"} <= report.keys()


def test_a_short_soak_leaves_nothing() -> None:
    report = soak(TINY, 0.1, 0, ARGUMENTS)
    assert report["requests"] > 20
    assert (report["unanswered"], report["unexpected_errors"], report["processes_left"]) == (0, {}, 0)
    assert report["end_ms"] < 2000


def test_memory_is_flat_over_10_000_requests() -> None:
    """Edits, completions from the model and from the cache, hovers; measured from the 3,000th request on."""
    with ServerProcess(ARGUMENTS) as server:
        server.initialize(TINY, options={"debounceMs": 0})
        uri = (TINY / "shelf" / "flat.py").as_uri()
        sizes, requests, version = [], 0, 0
        while requests < 10_000:
            version += 1
            server.open(uri, f"# {version}\nnumber = ", version)
            place = inline(uri, 1, 9)
            numbers = [server.start("textDocument/inlineCompletion", place)]
            server.answer(numbers[0])
            numbers += [server.start("textDocument/inlineCompletion", place) for _ in range(9)]
            hover = {"textDocument": {"uri": uri}, "position": place["position"]}
            numbers += [server.start("textDocument/hover", hover) for _ in range(90)]
            for number in numbers:
                server.answer(number)
                del server.answers[number], server.sent_at[number]
            requests += len(numbers)
            sizes.append(server_bench.memory_mb(server))
    assert max(sizes[30:]) - sizes[30] < 15
