"""Where Memberwise keeps what it can fetch or compute again. Knows nothing of what is kept there."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The folder of every cache: ``MEMBERWISE_CACHE`` where that is set, else the platform's. It may not exist yet."""
    named = os.environ.get("MEMBERWISE_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("memberwise")
