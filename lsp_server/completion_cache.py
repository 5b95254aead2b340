"""Completions that were made, found again while the user types what they say.

An entry is known by the text around the place it was made for (as hashes). A later place matches when what was typed
since is the start of the completion. Knows no protocol. Start reading at ``CompletionCache.find``.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

_PER_DOCUMENT = 32
_DOCUMENTS = 64


class Text(Protocol):
    """Something that was completed."""

    @property
    def text(self) -> str:
        """What follows the place; empty when nothing belongs there."""


T = TypeVar("T", bound=Text)


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a document."""

    uri: str
    before: str
    after: str

    def typed_since(self, length: int, before: int, after: int) -> str | None:
        """What was typed since a place with these hashes and this length; None when more than that changed."""
        if length > len(self.before) or hash(self.after) != after or hash(self.before[:length]) != before:
            return None
        return self.before[length:]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    length: int
    before: int
    after: int
    long: bool
    value: T


class CompletionCache(Generic[T]):
    """The latest completions of every document."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, list[_Entry[T]]] = OrderedDict()

    def put(self, place: Place, value: T, *, long: bool) -> None:
        """Keep a completion; ``long`` ones answer requests for more than a line."""
        entries = self._documents.setdefault(place.uri, [])
        entries.insert(0, _Entry(len(place.before), hash(place.before), hash(place.after), long, value))
        del entries[_PER_DOCUMENT:]
        self._documents.move_to_end(place.uri)
        while len(self._documents) > _DOCUMENTS:
            self._documents.popitem(last=False)

    def find(self, place: Place, *, long: bool) -> tuple[T, str] | None:
        """The newest completion that holds at ``place``, and what was typed of it.

        An empty one holds only where it was made.
        """
        for entry in self._documents.get(place.uri, ()):
            typed = place.typed_since(entry.length, entry.before, entry.after)
            if typed is None or (long and not entry.long):
                continue
            rest = entry.value.text[len(typed) :]
            if entry.value.text.startswith(typed) and (rest.strip() or not typed):
                return entry.value, typed
        return None

    def forget(self, uri: str | None = None) -> None:
        """Drop a document, or everything."""
        if uri is None:
            self._documents.clear()
        else:
            self._documents.pop(uri, None)
