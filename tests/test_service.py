"""What is wrong with a result, said of the lines it was written into."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from generation.config import GeneratorConfig
from generation.service import Session
from generation.source.files import read_source
from generation.source.functions import find_function
from generation.types import Finished, FinishReason, GenerationStats, ImportNeeded

NO_MODEL = cast("Any", None)  # is not asked
TEXT = '"""Doc."""\n\nimport os\nimport sys\n\n\ndef earlier():\n    a = 1\n    return missing\n\n\ndef wanted():\n    ...\n'
BODY = "    a = 1\n    return missing\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("needed", [(), (ImportNeeded("re", "compile"),), (ImportNeeded("os.path", "join"),)])
def test_problems_are_those_of_the_lines_that_were_written(
    tmp_path: Path, newline: str, needed: tuple[ImportNeeded, ...]
) -> None:
    path = tmp_path / "module.py"
    path.write_bytes(TEXT.replace("\n", newline).encode())
    file = read_source(path)
    site = find_function(file.text, "wanted")
    finished = Finished(FinishReason.END, BODY, needed, GenerationStats())
    with Session(GeneratorConfig(), tmp_path, NO_MODEL, tmp_path / "cache") as session:
        (problem,) = session.problems(site, file, finished)
        assert (problem.line, problem.kind) == (13 + len(needed), "undefined-name")
        assert session.problems(site, file, Finished(FinishReason.END, "", (), GenerationStats())) == ()
