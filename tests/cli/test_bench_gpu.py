"""The whole of ``bench gpu`` with tiny models on the CPU; without a GPU it says so."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from generation.cli import bench, bench_gpu
from generation.decoding import loading
from generation.decoding.gpu import measures


def memberwise(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    args = parser.parse_args(["bench", *arguments])
    return int(args.run(args))


@pytest.mark.timeout(400)
def test_all_of_it_runs_with_tiny_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert memberwise("gpu", "--tiny", "--out", str(tmp_path / "new")) == 0
    report = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert report["left_out"] == []
    assert [(row["model"], row["engine"]) for row in report["speed"]] == [
        (model, engine)
        for model in ("tiny", "random, 64 wide")
        for engine in (
            "ours",
            "ours, without graphs",
            "transformers, eager",
            "transformers, compiled with a static cache",
        )
    ]
    assert [row["by"] for row in report["agreement"]] == ["graphs", "kernels", "plain torch"]
    assert all(row["same_choice"] == 1 and row["distance_in_deviations"] < 1e-4 for row in report["agreement"])
    assert [row["context_tokens"] for row in report["long"]] == [64, 700]
    assert [row["ratio_end_to_end"] is None for row in report["long"]] == [True, False]
    found = [(row["context_tokens"], row["tokens"]) for row in report["selection"]]
    assert found == [(tokens, rows) for tokens in (64, 700, 1400) for rows in (1, 32)]
    assert len(report["drafts"]) == 3
    assert all(row["same_text"] for row in report["drafts"])
    assert report["together"][0]["sequences"] == 2
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "new" / "gpu.md").read_text()
    assert "| model | engine | prompt tokens |" in printed


def test_without_a_gpu_it_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "gpu_name", lambda: None)
    assert memberwise("gpu", "--out", str(tmp_path / "new")) == 1
    assert "needs a CUDA GPU" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_failed_stands_in_the_page() -> None:
    report = {name: [] for name in measures.TABLES} | {
        "device": "GPU", "torch": "2", "dtype": "bfloat16", "bandwidth_gb_per_s": 1.0, "seconds": 2.0, "left_out": ["speed, x: OutOfMemoryError: none"],
    }  # fmt: skip
    assert bench_gpu.markdown(report).endswith("## Left out\n\n* speed, x: OutOfMemoryError: none\n")
