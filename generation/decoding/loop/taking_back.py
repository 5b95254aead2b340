"""When written text is taken back: where it repeats itself, and at a dot that nothing can stand behind.

What is taken back is refused there, three times at most for each reason; an argument that a call has got already, which
is an error in any case, as often as there is another. Start reading at ``rewind``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generation.decoding.loop.triggers import TriggerPoint
from generation.source.repetition import repetition_start
from generation.types import NameKind

if TYPE_CHECKING:
    from generation.decoding.loop.run import Run

_MOST_REWINDS = 3
_MOST_RETREATS = 3
_MOST_REFUSED = 8  # arguments at one place


def rewind(run: Run) -> bool:
    """Go back to where the text began to repeat itself, and refuse the token that began it; False if that fails.

    Raises:
        StoppedError: the caller wants the generation to end, and what is kept was not read again to its end.
    """
    start = repetition_start(run.block.text)
    if start is None or run.history.rewinds == _MOST_REWINDS:
        return False
    run.history.rewinds += 1
    if run.block.in_docstring:  # one that repeats itself is done without: nothing of it was shown
        start = len(run.block.text) - len(run.block.text.lstrip())
    return run.go_back(run.history.up_to(start, run.shown))


def retreat(run: Run, point: TriggerPoint, first_token: int, *, is_repeated: bool) -> bool:
    """Do without what the model wants and cannot be: a dot with nothing behind it, an argument, a name of a module.

    False if that fails. ``is_repeated``: it is an argument that the call has got already.

    Raises:
        StoppedError: as for ``rewind``.
    """
    has_dot = f"{run.block.text}{point.glue}".rstrip().endswith(".")
    known_place = has_dot or point.expected.kind in (NameKind.ARGUMENT, NameKind.IMPORT)
    is_typed = bool(run.missing and run.request.prefix)  # and must be spelled, whatever is refused
    place = len(run.state.token_ids)
    is_free = is_repeated and len(run.history.refused_at(place)) < _MOST_REFUSED
    if not known_place or is_typed or (run.history.retreats == _MOST_RETREATS and not is_free):
        return False
    run.history.retreats += not is_free
    if not has_dot or "." in point.glue:
        run.history.refuse(place, first_token)
        return True
    if not run.go_back(run.history.before(len(run.block.text.rstrip()) - 1)):
        return False
    run.at_boundary = run.config.boundary
    return True
