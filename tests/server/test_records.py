"""Accepted text is found in the document, and follows what happens around it."""

from __future__ import annotations

import pytest

from generation.types import Candidate, GenerationStats, NameKind, Suggestion, SuggestionSource, ToolCalled
from lsp_server.records import Record, Records

CALL = ToolCalled(
    offset=5,
    kind=NameKind.ATTRIBUTE,
    receiver="self",
    suggestions=3,
    trusted=True,
    best=(Candidate("count", 0.9, SuggestionSource.JEDI),),
    chosen=Suggestion("count"),
    model_choice="counter",
    elapsed_ms=1.0,
    cached=False,
)


def record(text: str = "self.count", offset: int = 4) -> Record:
    return Record("", "u", text, 0, offset, (CALL,), (), GenerationStats(), cached=False)


def accepted(document: str, offset: int = 4) -> Records:
    records = Records()
    records.accept(records.offer(record(offset=offset)), document)
    return records


def test_a_name_is_found_where_it_stands() -> None:
    records = accepted("x = self.count\n")
    found = records.call_at("u", 10)
    assert found
    assert found[:2] == (9, 14)
    assert records.call_at("u", 5) is None
    assert records.call_at("v", 10) is None


def test_an_offer_that_moved_before_it_was_accepted_is_found() -> None:
    found = accepted("import json\nx = self.count\n").call_at("u", 22)
    assert found
    assert found[:2] == (21, 26)


def test_what_was_not_inserted_is_no_region() -> None:
    assert accepted("x = other\n").regions("u") == ()


@pytest.mark.parametrize(
    ("start", "end", "length", "place"),
    [(0, 0, 3, 12), (0, 2, 0, 7), (14, 15, 9, 9), (6, 7, 1, None), (9, 9, 1, None)],
)
def test_regions_follow_edits_and_end_when_they_are_edited(
    start: int, end: int, length: int, place: int | None
) -> None:
    records = accepted("x = self.count\n")
    records.edited("u", start, end, length)
    regions = records.regions("u")
    assert [region.start + 5 for region in regions] == ([place] if place is not None else [])


def test_line_ends_of_windows_move_the_names_behind_them() -> None:
    records = Records()
    offer = records.offer(record("a = 1\nself.count", offset=0))
    call = (CALL.__class__(**{**{f: getattr(CALL, f) for f in CALL.__dataclass_fields__}, "offset": 11}),)
    offer = Record("", "u", offer.text, 0, 0, call, (), GenerationStats(), cached=False)
    records.accept(offer, "a = 1\r\nself.count\r\n")
    found = records.call_at("u", 13)
    assert found
    assert found[:2] == (12, 17)


def test_an_offer_that_is_accepted_twice_counts_once() -> None:
    records = Records()
    offers = [records.offer(record()) for _ in range(2)]
    for offer in (*offers, *offers):
        records.accept(offer, "x = self.count\n")
    assert records.counts["accepted"] == 2
    assert len(records.regions("u")) == 2


def test_one_line_end_of_windows_hides_no_accepted_text() -> None:
    records = Records()
    offer = records.offer(record("x = self.count\ny = 1", offset=0))
    records.accept(offer, "x = self.count\ny = 1\nfirst = 1\r\nlast = 2\n")
    assert records.regions("u")


def test_old_offers_are_forgotten() -> None:
    records = Records()
    first = records.offer(record())
    for _ in range(300):
        records.offer(record())
    assert records.get(first.id) is None
    assert records.last
    assert records.get(records.last.id)
    assert records.counts["offered"] == 301
