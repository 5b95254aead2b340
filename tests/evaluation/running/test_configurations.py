from __future__ import annotations

from dataclasses import fields

import pytest

from generation.config import DecodingConfig, GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation.running.configurations import MAIN, ROWS, choose


def changed(one: DecodingConfig, other: DecodingConfig) -> set[str]:
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)}


@pytest.mark.parametrize("whole", ["dot", "mark"])
def test_an_ablation_takes_one_part_away(whole: str) -> None:
    ablations = {name: row for name, row in ROWS.items() if name.startswith(f"{whole}-no-")}
    taken = [changed(MAIN[whole].decoding, row.decoding) for row in ablations.values()]
    assert sorted(map(sorted, taken)) == sorted(
        [[part] for part in ("repair", "index", "whole_identifier", "boundary", "abstain", "context", "import_names")]
    )
    assert {row.adapter for row in ablations.values()} == {MAIN[whole].adapter}
    assert ROWS[f"{whole}-reranking"].on(GeneratorConfig()).sampling.candidates > 1


def test_rows_that_are_compared_have_the_same_weights() -> None:
    assert MAIN["mark"].adapter == MAIN["paper"].adapter == "mark"
    assert MAIN["plain-off"].adapter == MAIN["plain-dot"].adapter == "plain"
    assert MAIN["off"].adapter == MAIN["dot"].adapter == MAIN["paper-base"].adapter == "none"


def test_rows_are_chosen_by_name() -> None:
    assert list(choose("dot, off")) == ["dot", "off"]
    with pytest.raises(ConfigError, match="no row never; there are off, dot"):
        choose("off,never")
    with pytest.raises(ConfigError, match="no row named"):
        choose(",")
