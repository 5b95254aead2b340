"""Books, and finding them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from shelf.errors import UnknownBook

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Book:
    """A title that the library owns."""

    isbn: str
    title: str
    authors: tuple[str, ...] = ()
    copies: int = 1
    subjects: frozenset[str] = field(default_factory=frozenset)

    @property
    def label(self) -> str:
        """What is printed on the spine."""
        first = self.authors[0] if self.authors else "Anonymous"
        return f"{first.split()[-1].upper()[:4]} {self.title[:12]}"

    def mentions(self, word: str) -> bool:
        """Whether the word is part of the title, an author's name or a subject."""
        text = " ".join([self.title, *self.authors, *self.subjects])
        return fold(word) in {fold(found) for found in _WORD.findall(text)}


class Catalog:
    """All books of the library, by their number."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}

    def __iter__(self) -> Iterator[Book]:
        return iter(self._books.values())

    def __len__(self) -> int:
        return len(self._books)

    def add(self, book: Book) -> None:
        """Put a book on the shelf; more copies of a known one are added to those there are."""
        known = self._books.get(book.isbn)
        if known is not None:
            book = Book(book.isbn, book.title, book.authors, book.copies + known.copies, book.subjects)
        self._books[book.isbn] = book

    def find(self, isbn: str) -> Book:
        """The book with this number.

        Raises:
            UnknownBook: there is none.
        """
        try:
            return self._books[isbn]
        except KeyError:
            raise UnknownBook(isbn) from None

    def search(self, words: str) -> list[Book]:
        """Books that mention every one of the words, sorted by title."""
        wanted = _WORD.findall(words)
        found = [book for book in self if all(book.mentions(word) for word in wanted)]
        return sorted(found, key=lambda book: book.title)


def fold(text: str) -> str:
    """The text in lower case and without accents, for comparing."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).casefold()
