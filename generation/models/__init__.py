"""Where weights come from: sources, download, verification, conversion and the cache folder.

Knows files, hashes and sources; runs no model. torch and transformers are imported inside functions, for conversion
only, so ``memberwise model list`` works on the base install. Start reading at ``catalog.resolve``.
"""

from __future__ import annotations

from generation.models.catalog import resolve

__all__ = ["resolve"]
