"""Letters to readers whose books are due."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable
from datetime import date

from shelf.desk import Desk, Loan

Send = Callable[[str, str], Awaitable[None]]


class Postman:
    """Sends reminders through ``send``, which takes an address and a text."""

    def __init__(self, desk: Desk, send: Send, at_once: int = 4) -> None:
        self.desk = desk
        self.sent: list[str] = []
        self._send = send
        self._gate = asyncio.Semaphore(at_once)

    async def remind(self, loan: Loan, today: date) -> None:
        """Write to the reader of one loan, and remember whom we wrote to."""
        async with self._gate:
            await self._send(loan.reader.email, letter(loan, today))
        self.sent.append(loan.reader.card)

    async def remind_all(self, days: int, today: date) -> int:
        """Write to every reader with a book that is due within some days; how many letters were sent."""
        loans = self.desk.due_within(days, today)
        await asyncio.gather(*(self.remind(loan, today) for loan in loans))
        return len(loans)


def letter(loan: Loan, today: date) -> str:
    """A polite letter about one loan, wrapped to 60 columns."""
    late = loan.days_late(today)
    when = f"has been due for {late} days" if late else f"is due on {loan.due:%d %B}"
    text = f"Dear {loan.reader.name}, your book {loan.book.title} {when}. Please bring it back to the desk."
    return textwrap.fill(text, width=60)
