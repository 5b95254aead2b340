"""Where Memberwise keeps what it can fetch or compute again. Knows nothing of what is kept there."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from generation.errors import ConfigError


def cache_root() -> Path:
    """The folder of every cache: ``MEMBERWISE_CACHE`` where that is set, else the platform's. It may not exist yet.

    Raises:
        ConfigError: it is in the home of somebody who has none.
    """
    named = os.environ.get("MEMBERWISE_CACHE")
    try:
        return Path(named).expanduser() if named else platformdirs.user_cache_path("memberwise")
    except RuntimeError as error:
        raise ConfigError(f"MEMBERWISE_CACHE is {named}: {error}; give a whole path") from error
