"""Which names a file could use with one more import, and how the repository would import them.

Three sources: public definitions of the repository, what its other files import, and the standard library. Each vote is
a file that imports the thing; where two things have one name, the one with more votes wins. Reads nothing: it works on
``RepositoryModules``. Start at ``importable_names``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from generation.tools.file_facts import ImportFact
from generation.tools.repository_files import is_for_import, module_name
from generation.tools.repository_modules import Module, RepositoryModules
from generation.types import ImportNeeded, Suggestion, SuggestionSource

Origin = tuple[str, str]  # defining module, name; the name is empty for a module itself
_Vote = tuple[ImportNeeded, str]  # what to import, kind

_DEFINED, _STANDARD = 0.5, 0.25  # weight of a thing that nobody imports yet


def importable_names(modules: RepositoryModules, root: Path, path: Path) -> Mapping[str, Suggestion]:
    """Name to suggestion, for every name that one import makes valid in the file at ``path``."""
    here = module_name(root, path) if path.is_relative_to(root) else ""
    relative = _prefers_relative(modules, here)
    best: dict[str, tuple[float, _Vote]] = {}
    for needed, kind, votes in [*_repository(modules, root, here), *_elsewhere(modules), *_standard_library()]:
        if votes > best.get(needed.bound_name, (0.0, None))[0]:
            best[needed.bound_name] = (votes, (needed, kind))
    return {
        name: Suggestion(name, kind, SuggestionSource.IMPORT, _spelled(needed, here, path) if relative else needed)
        for name, (_, (needed, kind)) in best.items()
    }


def _repository(modules: RepositoryModules, root: Path, here: str) -> Iterator[tuple[ImportNeeded, str, float]]:
    """Public definitions and modules of the repository that ``here`` could import without a circle."""
    votes = Counter(origin for module in modules.by_name.values() for origin in _imported_origins(modules, module))
    ways = _ways(modules, root)
    blocked = _blocked(modules, here)
    for module in modules.by_name.values():
        if module.name in blocked or not is_for_import(root, module.path):
            continue
        for name, kind in _public_definitions(module):
            origin = (module.name, name)
            way = _shortest(ways.get(origin, ()), module.name, here)
            yield ImportNeeded(way, name), kind, votes[origin] + _DEFINED
        parent, _, leaf = module.name.rpartition(".")
        if parent and not leaf.startswith("_") and votes[module.name, ""]:
            yield ImportNeeded(parent, leaf), "module", float(votes[module.name, ""])


def _elsewhere(modules: RepositoryModules) -> Iterator[tuple[ImportNeeded, str, float]]:
    """What the repository's files import from outside it."""
    votes: Counter[ImportFact] = Counter()
    for module in modules.by_name.values():
        votes.update({item._replace(top=True) for item in module.facts.imports if not item.level})
    for item, count in votes.items():
        top = item.module.partition(".")[0]
        if top in modules.packages or top == "__future__" or item.name == "*":
            continue
        if item.name:
            yield ImportNeeded(item.module, item.name, item.alias or None), "", float(count)
        else:
            yield ImportNeeded(item.module, None, item.alias or None), "module", float(count)


def _standard_library() -> Iterator[tuple[ImportNeeded, str, float]]:
    for name in sys.stdlib_module_names:
        if not name.startswith("_") and name not in ("antigravity", "this"):
            yield ImportNeeded(name), "module", _STANDARD


def _imported_origins(modules: RepositoryModules, module: Module) -> set[Origin]:
    found = set()
    for item in module.facts.imports:
        origin = modules.origin(module.absolute(item), item.name) if item.name and not item.alias else None
        if origin:
            found.add(origin)
    return found


def _public_definitions(module: Module) -> Iterator[tuple[str, str]]:
    for fact in module.facts.definitions:
        if "." not in fact.qualname and not fact.name.startswith("_"):
            yield fact.name, {"variable": "statement"}.get(fact.kind, fact.kind)


def _ways(modules: RepositoryModules, root: Path) -> Mapping[Origin, list[str]]:
    """The packages that re-export a definition under its own name."""
    ways: dict[Origin, list[str]] = {}
    for module in modules.by_name.values():
        if module.is_package and is_for_import(root, module.path):
            for name, origin in modules.exports(module.name).items():
                if origin[1] == name and origin[0] != module.name:
                    ways.setdefault(origin, []).append(module.name)
    return ways


def _shortest(ways: Iterable[str], defining: str, here: str) -> str:
    """The module to import from: the shortest public way, but no package that ``here`` is part of (a circle)."""
    public = [way for way in ways if not _is_private(way) and not f"{here}.".startswith(f"{way}.")]
    if not public:
        return defining
    best = min(public, key=lambda way: (way.count("."), len(way), way))
    return best if _is_private(defining) or best.count(".") < defining.count(".") else defining


def _is_private(module: str) -> bool:
    return any(part.startswith("_") for part in module.split("."))


def _blocked(modules: RepositoryModules, here: str) -> set[str]:
    """Modules that ``here`` cannot import from: itself, and those that import it when they are loaded."""
    blocked = {here}
    for module in modules.by_name.values():
        for item in module.facts.imports:
            target = module.absolute(item)
            if item.top and here and here in (target, f"{target}.{item.name}") and not module.is_package:
                blocked.add(module.name)
    return blocked


def _prefers_relative(modules: RepositoryModules, here: str) -> bool:
    """The file imports its own package relatively; where it imports nothing of it, what the repository mostly does."""
    own = _style(modules, [modules.by_name[here]]) if here in modules.by_name else 0
    return (own or _style(modules, modules.by_name.values())) > 0


def _style(modules: RepositoryModules, some: Iterable[Module]) -> int:
    """How many more imports in ``some`` modules are relative than absolute, of those inside the repository."""
    balance = 0
    for module in some:
        for item in module.facts.imports:
            if item.level:
                balance += 1
            elif item.module.partition(".")[0] in modules.packages:
                balance -= 1
    return balance


def _spelled(needed: ImportNeeded, here: str, path: Path) -> ImportNeeded:
    """``needed`` as a relative import, where it is from the package that ``here`` lies in."""
    package = here.split(".") if path.stem == "__init__" else here.split(".")[:-1]
    target = needed.module.split(".")
    if not package or not needed.name or package[0] != target[0]:
        return needed
    common = 0
    while common < min(len(package), len(target)) and package[common] == target[common]:
        common += 1
    dots = "." * (len(package) - common + 1)
    return ImportNeeded(dots + ".".join(target[common:]), needed.name, needed.alias)
