"""What was offered, and where it stands in the documents since it was accepted.

Hover, diagnostics and ``memberwise/explain`` read it. A region follows the edits around it and is dropped when an edit
touches it. Counts what became of the offers; the counts stay on this machine. Start reading at ``Records``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from generation.source.files import dominant_newline
from generation.types import GenerationStats, ImportNeeded, ToolCalled

_KEPT = 200
_REGIONS = 100  # of one document


@dataclass(frozen=True, slots=True)
class Record:
    """A completion that was offered.

    Attributes:
        id: how the client names it.
        uri: the document.
        text: what was generated, from the start of a name that was being typed.
        typed: how much of it stood in the document when it was offered.
        offset: where ``text`` starts in the document.
        calls: where the tool was asked; offsets into ``text``.
        imports: what has to be imported for it.
        stats: its cost.
        cached: it was answered without generating.
    """

    id: str
    uri: str
    text: str
    typed: int
    offset: int
    calls: tuple[ToolCalled, ...]
    imports: tuple[ImportNeeded, ...]
    stats: GenerationStats
    cached: bool


@dataclass(frozen=True, slots=True)
class Region:
    """Accepted text in a document, in code points of the document."""

    start: int
    end: int
    calls: tuple[tuple[int, int, ToolCalled], ...]  # start and end of the name, relative to the region


class Records:
    """The latest offers, the accepted regions, the counts."""

    def __init__(self) -> None:
        self._offers: OrderedDict[str, Record] = OrderedDict()
        self._regions: dict[str, list[Region]] = {}
        self._accepted: set[str] = set()  # ids; a client may tell of one twice, in the command and the notification
        self._found: set[str] = set()  # those of them whose text was found in the document
        self._ids = count(1)
        self.counts: Counter[str] = Counter()
        self.last_reason = ""

    def offer(self, record: Record) -> Record:
        """Keep an offer under a new id."""
        record = replace(record, id=f"c{next(self._ids)}")
        self._offers[record.id] = record
        self.counts["offered"] += 1
        self.last_reason = ""
        while len(self._offers) > _KEPT:
            self._offers.popitem(last=False)
        return record

    def get(self, record_id: str) -> Record | None:
        """An offer that is still kept."""
        return self._offers.get(record_id)

    @property
    def last(self) -> Record | None:
        """The latest offer."""
        return next(reversed(self._offers.values()), None)

    def accept(self, record: Record, document: str) -> None:
        """An offer was inserted; count it, and remember where it is, if it can be found in the document."""
        if record.id not in self._accepted:
            self._accepted.add(record.id)
            self.counts["accepted"] += 1
        newline = dominant_newline(document)
        text = record.text.replace("\n", newline)
        start = record.offset if document.startswith(text, record.offset) else document.find(text)
        if start < 0 or not text or record.id in self._found:
            return
        self._found.add(record.id)
        calls = tuple(_placed(record.text, call, newline) for call in record.calls if call.chosen)
        regions = self._regions.setdefault(record.uri, [])
        regions.append(Region(start, start + len(text), calls))
        del regions[:-_REGIONS]

    def regions(self, uri: str) -> Sequence[Region]:
        """Accepted text in a document."""
        return self._regions.get(uri, ())

    def edited(self, uri: str, start: int, end: int, length: int) -> None:
        """``length`` characters have replaced those from ``start`` to ``end``."""
        if uri in self._regions:
            moved = (_moved(region, start, end, length) for region in self._regions[uri])
            self._regions[uri] = [region for region in moved if region is not None]

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self._regions.pop(uri, None)

    def call_at(self, uri: str, offset: int) -> tuple[int, int, ToolCalled] | None:
        """The accepted name at an offset: its start and end in the document, and how it was chosen."""
        for region in self.regions(uri):
            for start, end, call in region.calls:
                if region.start + start <= offset <= region.start + end:
                    return region.start + start, region.start + end, call
        return None


def _placed(text: str, call: ToolCalled, newline: str) -> tuple[int, int, ToolCalled]:
    assert call.chosen is not None
    start = call.offset + text.count("\n", 0, call.offset) * (len(newline) - 1)
    return start, start + len(call.chosen.name), call


def _moved(region: Region, start: int, end: int, length: int) -> Region | None:
    if start >= region.end:
        return region
    if end <= region.start:
        shift = length - (end - start)
        return replace(region, start=region.start + shift, end=region.end + shift)
    return None
