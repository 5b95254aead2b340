"""What can go wrong at the desk."""


class ShelfError(Exception):
    """Any problem that a reader is told about."""


class UnknownBook(ShelfError):
    """There is no book with this number."""

    def __init__(self, isbn: str) -> None:
        super().__init__(f"no book has the number {isbn}")
        self.isbn = isbn


class NotAvailable(ShelfError):
    """The book exists, and someone else has it."""

    def __init__(self, isbn: str, due: str) -> None:
        super().__init__(f"{isbn} is lent until {due}")
        self.isbn = isbn
        self.due = due
