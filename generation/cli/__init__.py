"""The command ``memberwise``: parse, call what is below, print. Decides nothing. Start reading at ``main.main``."""

from __future__ import annotations
