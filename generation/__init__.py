"""Memberwise: Python whose members exist, written by a code LLM that asks Jedi which names are possible.

Start reading at ``generation.types`` (the data), ``generation.interfaces`` (the boundaries) and
``generation.decoding.loop.generator`` (the loop). ``generation.service`` wires them, ``generation.cli`` is the command.
Importing this package imports nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"
