"""Which names a file could use with one more import, and how the repository would import them.

Three sources: public definitions of the repository, what its other files import, and the standard library. Each vote is
a file that imports the thing; where two things have one name, the one with more votes wins. Reads nothing: it works on
``RepositoryModules``. Start at ``Importables.for_file``.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from generation.tools.file_facts import ImportFact
from generation.tools.repository_files import is_for_import, module_name
from generation.tools.repository_modules import Module, RepositoryModules
from generation.types import ImportNeeded, Suggestion, SuggestionSource

Origin = tuple[str, str]  # defining module, name; the name is empty for a module itself

_DEFINED, _STANDARD = 0.5, 0.25  # weight of a thing that nobody imports yet


class _Candidate(NamedTuple):
    """A thing that can be imported; ``ways`` are packages that re-export it, ``home`` its module in the repository."""

    needed: ImportNeeded
    kind: str
    votes: float
    home: str | None = None
    ways: tuple[str, ...] = ()


class Importables:
    """What the files of a repository could import; nothing is computed for a name before somebody asks for it.

    Args:
        modules: of the repository.
        root: the repository.
    """

    def __init__(self, modules: RepositoryModules, root: Path) -> None:
        self._modules = modules
        self._root = root
        self._candidates: defaultdict[str, list[_Candidate]] = defaultdict(list)
        for one in [*_repository(modules, root), *_elsewhere(modules), *_standard_library()]:
            self._candidates[one.needed.bound_name].append(one)
        self._importers = _importers(modules)
        self._style = _style(modules, modules.by_name.values())

    def for_file(self, path: Path) -> Mapping[str, Suggestion]:
        """Name to suggestion, for every name that one import makes valid in the file at ``path``."""
        here = module_name(self._root, path) if path.is_relative_to(self._root) else ""
        own = _style(self._modules, [self._modules.by_name[here]]) if here in self._modules.by_name else 0
        relative = (own or self._style) > 0  # as the file imports its package; if it does not, as most of them do
        blocked = frozenset({here, *self._importers.get(here, ())})
        return _OfFile(self._candidates, path, here, blocked, relative)


class _OfFile(Mapping[str, Suggestion]):
    """The names of one file, which cannot import from ``blocked`` modules: itself, and those that import it."""

    def __init__(
        self, candidates: Mapping[str, list[_Candidate]], path: Path, here: str, blocked: frozenset[str], relative: bool
    ) -> None:
        self._candidates = candidates
        self._path = path
        self._here = here
        self._blocked = blocked
        self._relative = relative
        self._found: dict[str, Suggestion] = {}

    def __getitem__(self, name: str) -> Suggestion:
        """The most imported thing of this name."""
        if name not in self._found:
            self._found[name] = self._suggestion(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._candidates if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _suggestion(self, name: str) -> Suggestion:
        possible = [one for one in self._candidates.get(name, ()) if one.home not in self._blocked]
        if not possible:
            raise KeyError(name)
        best = max(possible, key=lambda one: one.votes)
        needed = best.needed
        if needed.name and needed.module == best.home:
            needed = ImportNeeded(_shortest(best.ways, best.home, self._here), needed.name)
        needed = _spelled(needed, self._here, self._path) if self._relative else needed
        return Suggestion(name, best.kind, SuggestionSource.IMPORT, needed)


def _repository(modules: RepositoryModules, root: Path) -> Iterator[_Candidate]:
    """Public definitions and modules of the repository."""
    votes = Counter(origin for module in modules.by_name.values() for origin in _imported_origins(modules, module))
    ways = _ways(modules, root)
    for module in modules.by_name.values():
        if not is_for_import(root, module.path):
            continue
        for name, kind in _public_definitions(module):
            origin = (module.name, name)
            count = votes[origin] + _DEFINED
            yield _Candidate(ImportNeeded(module.name, name), kind, count, module.name, tuple(ways.get(origin, ())))
        parent, _, leaf = module.name.rpartition(".")
        if parent and not leaf.startswith("_") and votes[module.name, ""]:
            yield _Candidate(ImportNeeded(parent, leaf), "module", float(votes[module.name, ""]), module.name)


def _elsewhere(modules: RepositoryModules) -> Iterator[_Candidate]:
    """What the repository's files import from outside it."""
    votes: Counter[ImportFact] = Counter()
    for module in modules.by_name.values():
        once = dict.fromkeys(item._replace(top=True) for item in module.facts.imports if not item.level)
        votes.update(list(once))  # in order, which decides between equals
    for item, count in votes.items():
        top = item.module.partition(".")[0]
        if top in modules.packages or top == "__future__" or item.name == "*":
            continue
        if item.name:
            yield _Candidate(ImportNeeded(item.module, item.name, item.alias or None), "", float(count))
        else:
            yield _Candidate(ImportNeeded(item.module, None, item.alias or None), "module", float(count))


def _standard_library() -> Iterator[_Candidate]:
    for name in sys.stdlib_module_names:
        if not name.startswith("_") and name not in ("antigravity", "this"):
            yield _Candidate(ImportNeeded(name), "module", _STANDARD)


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


def _importers(modules: RepositoryModules) -> Mapping[str, set[str]]:
    """The modules that import a module when they are loaded, so that it cannot import them; a package may."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules.by_name.values():
        for item in module.facts.imports:
            if item.top and not module.is_package:
                target = module.absolute(item)
                found[target].add(module.name)
                found[f"{target}.{item.name}"].add(module.name)
    return found


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
