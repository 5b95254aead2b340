"""Functions that are written at the same time by the default model: the records are those of one after the other."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from generation import service
from generation.batch.fill import FillOptions
from generation.batch.records import BatchRecord
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.config import GeneratorConfig, SamplingConfig
from generation.evaluation.bare_python import measured_tool
from generation.interfaces import LanguageModel

SHOP = '''"""A shop."""

from dataclasses import dataclass, field


@dataclass
class Item:
    name: str
    price_cents: int


@dataclass
class Basket:
    """What is bought."""

    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Put an item in."""
        ...

    def total_cents(self) -> int:
        """Sum of the prices of all items."""
        ...

    def names(self) -> list[str]:
        """Sorted names of the items."""
        ...

    def cheapest(self) -> Item | None:
        """The item with the lowest price; None for an empty basket."""
        ...

    def describe(self) -> str:
        """One line per item, then what ``total_cents`` says."""
        ...


def first_letters(words: list[str]) -> str:
    """The first letter of each word, as one string."""
    ...


def parse(line: str) -> Item:
    """An item from a line like ``bread,250``."""
    ...
'''


@cache
def model() -> LanguageModel:
    return service.load_model(GeneratorConfig())


def said(record: BatchRecord) -> dict[str, Any]:
    """All of a record that is no time."""
    calls = [{key: call[key] for key in call if key not in {"elapsed_ms", "cached"}} for call in record.calls]
    stats = {key: record.stats[key] for key in ("prompt_tokens", "generated_tokens", "tool_calls")}
    return {"text": record.text, "imports": record.imports, "reason": record.reason, "problems": record.problems,
            "attempt": record.attempt, "settings": record.settings, "calls": calls, **stats}  # fmt: skip


@pytest.mark.model
@pytest.mark.timeout(300)
def test_neither_number_nor_order_changes_a_record(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "basket.py").write_text(SHOP)
    targets, _ = find_targets("shop", root, Select.STUBS)
    config = GeneratorConfig(tool=measured_tool(), max_tokens=48, sampling=SamplingConfig(temperature=0.0))
    plan = BatchPlan({"shop": root}, {}, config.with_preset("dot"), tmp_path / "1", FillOptions(retries=1))
    found = []
    for together in (1, 2, 5):
        order = targets if together == 1 else random.Random(together).sample(targets, len(targets))
        made = run(
            replace(plan, targets={"shop": order}, out=tmp_path / str(together), together=together), lambda _: model()
        )
        found.append({record.function: said(record) for record in made})
    assert len(found[0]) == 7
    assert found[1] == found[0]
    assert found[2] == found[0]
