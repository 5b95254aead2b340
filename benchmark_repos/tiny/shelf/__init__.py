"""The lending desk of a small library."""

from shelf.catalog import Book, Catalog
from shelf.desk import Desk
from shelf.errors import NotAvailable, ShelfError, UnknownBook
from shelf.readers import Reader

__all__ = ["Book", "Catalog", "Desk", "NotAvailable", "Reader", "ShelfError", "UnknownBook"]
