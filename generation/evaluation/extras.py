"""The libraries of the extra ``eval``: whether they are there. Start reading at ``require_extra``."""

from __future__ import annotations

import importlib.util

from generation.errors import MissingExtraError

_LIBRARIES = ("pylint", "rapidfuzz", "sacrebleu", "numpy", "jinja2")


def require_extra() -> None:
    """Say early that the extra is missing.

    Raises:
        MissingExtraError: one of its libraries is not installed.
    """
    for name in _LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, "eval")
