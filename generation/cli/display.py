"""What a generation looks like: diffs, tables, JSON. Pure: takes data and returns text; prints nothing.

Start reading at ``explain_table``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from generation.source.text_diff import git_lines
from generation.types import Candidate, Finished, SuggestionSource, ToolCalled

_SHOWN_CANDIDATES = 5
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``[start:end]`` (code points) of the old text by ``text``."""

    start: int
    end: int
    text: str


def edits(old: str, new: str) -> list[Edit]:
    """What turns ``old`` into ``new``: whole lines, in order, not overlapping, all offsets into ``old``."""
    before, after = git_lines(old), git_lines(new)
    starts = [0]
    for line in before:
        starts.append(starts[-1] + len(line))
    changes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [Edit(starts[a], starts[b], "".join(after[c:d])) for tag, a, b, c, d in changes if tag != "equal"]


def styled_diff(diff: str) -> Text:
    """A diff in colours."""
    text = Text()
    for line in git_lines(diff):
        style = "bold" if line.startswith(("+++", "---")) else _DIFF_STYLES.get(line[:1], "")
        text.append(visible(line), style)
    return text


def visible(text: str) -> str:
    """``text`` with control characters spelled out, so that generated text cannot steer the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def explain_table(calls: Sequence[ToolCalled], text: str, first_line: int) -> Table:
    """One row for each question to the tool.

    Args:
        calls: the questions.
        text: what was generated.
        first_line: 1-based line of the file that ``text`` starts in.
    """
    table = Table("line", "receiver", "names", "best", "chosen", "source", "model", "ms", box=None)
    for call in calls:
        table.add_row(*(Text(visible(cell)) for cell in _explained(call, text, first_line)))
    return table


def _explained(call: ToolCalled, text: str, first_line: int) -> Iterator[str]:
    yield str(first_line + text.count("\n", 0, call.offset))
    yield call.receiver or "-"
    yield str(call.suggestions) + ("" if call.trusted else "?")
    best = [*map(_candidate, call.best[:_SHOWN_CANDIDATES]), *([call.error] if call.error else [])]
    yield ", ".join(best) or "-"  # without Jedi there are still builtins and what the function binds
    yield call.chosen.name if call.chosen else "-"
    yield str(call.chosen.source) if call.chosen else "-"
    yield call.model_choice or "-"
    yield f"{call.elapsed_ms:.0f}" + (" cached" if call.cached else "")


def _candidate(candidate: Candidate) -> str:
    source = "" if candidate.source is SuggestionSource.JEDI else f" ({candidate.source})"
    return f"{candidate.name} {candidate.probability:.2f}{source}"


def summary(finished: Finished) -> str:
    """One line: how it ended and what it cost."""
    stats = finished.stats
    return (
        f"{finished.reason}: {stats.generated_tokens} tokens in {stats.total_ms / 1000:.1f} s, "
        f"{stats.tool_calls} questions to the tool ({stats.tool_ms:.0f} ms)"
    )


def as_json(finished: Finished, calls: Sequence[ToolCalled]) -> dict[str, object]:
    """The part of the JSON answer that the result itself tells."""
    return {
        "text": finished.text,
        "reason": finished.reason,
        "imports": [asdict(needed) for needed in finished.imports],
        "events": [asdict(call) for call in calls],
        "statistics": asdict(finished.stats),
    }
