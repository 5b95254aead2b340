"""Results behind a URL: what one run has put there, the next one has."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from generation.batch.records import BatchRecord, Status, ledger
from generation.batch.shared_output import shared_output
from generation.cli.main import main
from generation.errors import ConfigError


def record(number: int) -> BatchRecord:
    return BatchRecord(
        "shop", "a.py", f"f{number}", "settings", Status.DONE, text=f"    return {number}  # é\u2028\u2029\x85\n"
    )


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_records_of_a_run_that_failed_are_there_for_the_next(tmp_path: Path, kind: str) -> None:
    url = f"memory://{tmp_path.name}/run" if kind == "memory" else (tmp_path / "run").as_uri()
    with pytest.raises(KeyError), shared_output(url) as shared:
        shared.add(record(1))
        raise KeyError
    with shared_output(url) as shared:
        records = ledger(shared.folder)
        assert list(records.known().values()) == [record(1)]
        records.add(record(2))
        shared.add(record(2))
        (shared.folder / "shop.patch").write_text("patch")
    with shared_output(url) as shared:
        assert list(ledger(shared.folder).known().values()) == [record(1), record(2)]
    files, path = fsspec.url_to_fs(url)
    assert files.cat_file(f"{path}/shop.patch") == b"patch"
    lines = files.cat_file(f"{path}/records.jsonl").splitlines()
    assert [json.loads(line)["function"] for line in lines] == ["f1", "f2"]


def test_a_url_that_cannot_be_used_says_so() -> None:
    with pytest.raises(ConfigError, match="cannot use nothing://x"), shared_output("nothing://x"):
        pass


def test_processes_share_a_folder_and_no_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", str(tmp_path), "--out", "memory://run", "--jobs", "2"]) == 2
    assert "with --jobs, --out must be a folder" in capsys.readouterr().err


def test_a_folder_is_itself(tmp_path: Path) -> None:
    with shared_output(str(tmp_path)) as shared:
        shared.add(record(1))
        shared.finish()
    assert shared.folder == tmp_path
    assert not list(tmp_path.iterdir())
