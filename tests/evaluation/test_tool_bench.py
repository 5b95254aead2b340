from __future__ import annotations

import ast
from pathlib import Path

import pytest

from generation.evaluation import tool_bench
from generation.evaluation.positions import Position, Receiver
from generation.evaluation.tasks import Task
from generation.evaluation.tool_bench import Question, RepositoryResult, draw_samples, measure, summarize
from generation.types import NameKind

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))


def question(kind: NameKind = NameKind.ATTRIBUTE, elapsed_ms: float = 1.0, **changes: bool) -> Question:
    answers = {"in_scope": False, "importable": False, "offered": True, "trusted": False, "cached": False, **changes}
    receiver = Receiver.SELF if kind is NameKind.ATTRIBUTE else Receiver.NONE
    place = Position(0, "x", kind, receiver)
    return Question(Task("r", "a.py", "f", 0, 1, ""), place, **answers, error=None, elapsed_ms=elapsed_ms)


def test_the_numbers_of_known_answers() -> None:
    asked = (
        question(in_scope=True, cached=True),
        question(elapsed_ms=9.0, trusted=True),  # a wrong list
        question(offered=False, elapsed_ms=5.0),
        question(NameKind.NAME, in_scope=True),
        question(NameKind.NAME, importable=True),
    )
    result = RepositoryResult(asked, asked[:1], functions=2, forward_names=3)
    report = summarize({"Name": result})
    numbers = report["repos"]["Name"]  # type: ignore[index]
    assert report["pooled"] == numbers
    assert numbers["attribute_recall"] == 0.3333
    assert numbers["name_recall"] == 1.0
    assert numbers["name_recall_in_scope"] == 0.5
    assert numbers["wrong_list_share"] == 0.2
    assert numbers["trusted_wrong_share"] == 0.2
    assert numbers["cache_hit_rate"] == 0.2
    assert (numbers["p50_ms"], numbers["p95_ms"], numbers["max_ms"]) == (1.0, 9.0, 9.0)
    assert numbers["by_receiver"] == {"self": {"count": 3, "recall": 0.3333}}
    assert numbers["without_index"]["attribute_recall"] == 1.0
    assert numbers["without_index"]["name_recall"] is None


def test_samples_hold_as_many_positions_as_wanted() -> None:
    samples = draw_samples(TINY, "tiny", 25, 0)
    assert sum(len(sample.asked) for sample in samples) == 25
    assert samples == draw_samples(TINY, "tiny", 25, 0)
    for sample in samples:
        ast.parse(sample.holed)
        assert all(sample.text.startswith(place.name, place.offset) for place in sample.asked)
    everything = draw_samples(TINY, "tiny", 10_000, 0)
    assert 100 < sum(len(sample.asked) for sample in everything) < 1000


def test_a_repository_is_measured_and_stays_as_it_is() -> None:
    before = {path: path.read_bytes() for path in TINY.rglob("*.py")}
    result = measure(TINY, "tiny", 30, 0)
    assert {path: path.read_bytes() for path in TINY.rglob("*.py")} == before
    assert len(result.with_index) == len(result.without_index) == 30
    pooled = summarize({"tiny": result})["pooled"]
    assert pooled["name_recall"] >= 0.9  # type: ignore[index]
    assert pooled["attribute_recall"] >= 0.6  # type: ignore[index]


def test_the_hidden_body_is_neither_on_disk_nor_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo").mkdir()
    source = (
        "class C:\n    def f(self, thing):\n        'd'\n        a = thing.secret_one\n        return a.secret_two\n"
    )
    (tmp_path / "repo/mod.py").write_text(source)
    seen: list[str] = []

    class Spy(tool_bench.JediTool):
        def suggest(self, query):  # type: ignore[no-untyped-def]
            seen.append(query.path.read_text())
            return super().suggest(query)

    monkeypatch.setattr(tool_bench, "JediTool", Spy)
    result = measure(tmp_path / "repo", "r", 10, 0)
    assert seen
    assert not any("secret" in text for text in seen)
    assert not any(q.hit for q in result.with_index if q.position.name.startswith("secret"))
