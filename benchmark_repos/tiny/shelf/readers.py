"""The people who borrow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

STANDARD_LOAN = timedelta(weeks=4)
SHORT_LOAN = timedelta(weeks=1)


@dataclass
class Reader:
    """Someone with a card. ``owed_cents`` grows when books come back late."""

    card: str
    name: str
    email: str = ""
    owed_cents: int = 0
    junior: bool = False

    @property
    def limit(self) -> int:
        """How many books this reader may have at a time."""
        allowed = 3 if self.junior else 10
        return 0 if self.owed_cents > 2000 else allowed

    def charge(self, cents: int) -> None:
        """Add to what the reader owes; a junior never owes more than one euro."""
        self.owed_cents += cents
        if self.junior:
            self.owed_cents = min(self.owed_cents, 100)

    def pay(self, cents: int) -> int:
        """Take money, and give back what was too much."""
        change = max(cents - self.owed_cents, 0)
        self.owed_cents -= cents - change
        return change
