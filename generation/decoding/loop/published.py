"""How the published method writes a name: whatever the tool lists is forced, one token after the other.

Source: ToolGen (arXiv 2401.06391). For the row ``paper`` of an evaluation; start reading at ``write_walked``.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generation.decoding.loop.choice import walk_greedily
from generation.decoding.loop.events import called
from generation.decoding.loop.naming import NEVER_ASKED
from generation.decoding.loop.triggers import TriggerPoint
from generation.types import ToolCalled

if TYPE_CHECKING:
    from generation.decoding.loop.run import Run

NEVER_MARKED = NEVER_ASKED | frozenset(dir(builtins))  # names that its marks never stand before


def write_walked(run: Run, point: TriggerPoint, first_token: int) -> Iterator[ToolCalled]:
    """Write the name at a point, or where nothing is listed what the model writes by itself."""
    offset = len(run.block.text) + len(point.glue)
    answer = run.answer(run.ask(point))
    chosen, tokens = walk_greedily(run.state, answer.suggestions, point.glue, run.vocabulary)
    run.forwards += len(tokens)
    for token_id in tokens:
        run.feed(token_id)
    if not tokens:
        run.write_drafted(first_token)
    yield called(offset - run.start, point, answer, (), chosen, None)
