"""The order in which functions are filled: callees before callers, so that each is written with what it uses in sight.

An empty function does not say what it calls. What its header and its docstring mention is taken for it, and a method is
written after ``__init__``, which says what ``self`` has. Functions of one *wave* depend on none of each other and are
written from the same state of the repository, so neither their order nor the number of processes changes a result.
Start reading at ``waves``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generation.batch.targets import Target


def waves(targets: Sequence[Target]) -> list[list[Target]]:
    """The targets of one repository in waves; of those that mention each other in a circle, the first comes first."""
    by_name: dict[str, list[Target]] = {}
    for target in targets:
        by_name.setdefault(target.name, []).append(target)
    levels: dict[Target, int] = {}
    for target in targets:
        _level(target, by_name, levels)
    found: list[list[Target]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for target in targets:
        found[levels[target]].append(target)
    return [wave for wave in found if wave]


def _level(first: Target, by_name: Mapping[str, list[Target]], levels: dict[Target, int]) -> None:
    """Put the level of a target, and of all it depends on, into ``levels``; without recursion, for chains are long."""
    path = [first]
    entered = {first}
    while path:
        target = path[-1]
        before = _callees(target, by_name)
        missing = [callee for callee in before if callee not in levels and callee not in entered]
        if missing and target not in levels:
            path.append(missing[0])
            entered.add(missing[0])
            continue
        path.pop()
        levels.setdefault(target, 1 + max((levels[callee] for callee in before if callee in levels), default=-1))


def _callees(target: Target, by_name: Mapping[str, list[Target]]) -> list[Target]:
    found = [other for name in sorted(target.mentions) for other in by_name.get(name, ()) if other is not target]
    owner = target.function.rpartition(".")[0]
    if owner and target.name != "__init__":
        found += [
            other
            for other in by_name.get("__init__", ())
            if other.path == target.path and other.function.partition("#")[0] == f"{owner}.__init__"
        ]
    return found
