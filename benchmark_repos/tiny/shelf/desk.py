"""The desk: lending books and taking them back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from shelf.catalog import Book, Catalog
from shelf.errors import NotAvailable, ShelfError
from shelf.readers import SHORT_LOAN, STANDARD_LOAN, Reader

FINE_CENTS_PER_DAY = 20


@dataclass(frozen=True)
class Loan:
    """A copy of a book that a reader has until the day it is due."""

    book: Book
    reader: Reader
    due: date

    def days_late(self, today: date) -> int:
        """How many days the book is overdue; 0 when it is not."""
        late = today - self.due
        return max(late.days, 0)


class Desk:
    """Knows who has what."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._loans: dict[str, list[Loan]] = defaultdict(list)

    def loans_of(self, reader: Reader) -> list[Loan]:
        """What a reader has, the most urgent first."""
        own = [loan for loans in self._loans.values() for loan in loans if loan.reader.card == reader.card]
        return sorted(own, key=lambda loan: loan.due)

    def available(self, isbn: str) -> int:
        """How many copies are on the shelf."""
        book = self.catalog.find(isbn)
        return book.copies - len(self._loans[isbn])

    def lend(self, isbn: str, reader: Reader, today: date | None = None) -> Loan:
        """Give a copy to a reader; the last copy goes out for a short time only.

        Raises:
            NotAvailable: all copies are out.
            ShelfError: the reader has too many books already.
        """
        left = self.available(isbn)
        if left < 1:
            soonest = min(loan.due for loan in self._loans[isbn])
            raise NotAvailable(isbn, soonest.isoformat())
        if len(self.loans_of(reader)) >= reader.limit:
            raise ShelfError(f"{reader.name} may not have more than {reader.limit} books")
        period = SHORT_LOAN if left == 1 else STANDARD_LOAN
        loan = Loan(self.catalog.find(isbn), reader, (today or date.today()) + period)
        self._loans[isbn].append(loan)
        return loan

    def take_back(self, loan: Loan, today: date | None = None) -> int:
        """Put a copy back on the shelf and charge its reader for every day it is late; the fine in cents."""
        self._loans[loan.book.isbn].remove(loan)
        fine = loan.days_late(today or date.today()) * FINE_CENTS_PER_DAY
        loan.reader.charge(fine)
        return fine

    def due_within(self, days: int, today: date | None = None) -> list[Loan]:
        """Loans that end in the next days, overdue ones included, the most urgent first."""
        limit = (today or date.today()) + timedelta(days=days)

        def is_soon(loan: Loan) -> bool:
            """Whether the loan ends before the limit and its reader can be told."""
            reachable = bool(loan.reader.email)
            return reachable and loan.due <= limit

        found = [loan for loans in self._loans.values() for loan in loans if is_soon(loan)]
        return sorted(found, key=lambda loan: (loan.due, loan.reader.card))
