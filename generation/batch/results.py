"""What a finished run means for one repository: files with the bodies in place, and what could not be placed.

Start reading at ``outcome_of``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generation.batch import tree
from generation.batch.records import BatchRecord
from generation.batch.run import BatchPlan
from generation.tools.member_index import MemberIndex


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one repository.

    Attributes:
        repository: its name.
        changed: files with the bodies in place.
        misfits: why a record has no place, by its key.
        diffs: the change of each body alone, by its record's key.
    """

    repository: str
    changed: Sequence[tree.ChangedFile]
    misfits: Mapping[tuple[str, ...], str]
    diffs: Mapping[tuple[str, ...], str]


def outcome_of(plan: BatchPlan, name: str, records: Sequence[BatchRecord]) -> Outcome:
    """Put the records of a repository into its files, in memory."""
    root = plan.roots[name]
    theirs = [record for record in records if record.repository == name]
    first_party = MemberIndex.build(root, plan.out / "work" / "index").first_party
    changed, misfits = tree.changed_files(root, theirs, first_party)
    diffs: dict[tuple[str, ...], str] = {}
    for record in theirs:
        alone, _ = tree.changed_files(root, [record], first_party)
        diffs[record.key] = tree.patch(alone, root).decode(errors="replace")
    return Outcome(name, changed, misfits, diffs)
