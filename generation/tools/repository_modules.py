"""The files of a repository seen as modules: who defines a name, who re-exports it, what a base class is.

Pure lookups over the facts of all files; built anew when a file changes. Knows nothing of attribute uses, buffers or
what is worth importing. Start at ``RepositoryModules.origin`` and ``class_chain``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from generation.tools.file_facts import DefinitionFact, FileFacts, ImportFact
from generation.types import Definition

_LONGEST_CHAIN = 20  # re-exports or base classes followed


@dataclass(frozen=True, slots=True)
class Module:
    """One file under its dotted name."""

    name: str
    path: Path
    facts: FileFacts

    @property
    def is_package(self) -> bool:
        """It is the ``__init__`` of a package."""
        return self.path.stem == "__init__"

    def absolute(self, item: ImportFact) -> str:
        """The absolute module that ``item``, an import of this module, names."""
        if not item.level:
            return item.module
        parts = self.name.split(".")
        kept = len(parts) - item.level + self.is_package
        return ".".join([*parts[: max(kept, 0)], *([item.module] if item.module else [])])

    def definitions(self) -> Iterator[Definition]:
        """Everything the module defines, as data for others."""
        return (to_definition(self, fact) for fact in self.facts.definitions)


def to_definition(module: Module, fact: DefinitionFact) -> Definition:
    """``fact`` with the module and file it stands in."""
    return Definition(fact.name, fact.qualname, module.name, fact.kind, fact.signature, module.path, fact.line)


class RepositoryModules:
    """All modules of a repository by dotted name. Immutable; tables are computed when first asked for.

    Args:
        modules: the modules; of several with one name the first counts.
    """

    def __init__(self, modules: list[Module]) -> None:
        self.by_name: dict[str, Module] = {}
        for module in modules:
            self.by_name.setdefault(module.name, module)
        self._exports: dict[str, Mapping[str, tuple[str, str]]] = {}

    @cached_property
    def packages(self) -> frozenset[str]:
        """The names of the outermost packages and modules."""
        return frozenset(name.partition(".")[0] for name in self.by_name)

    @cached_property
    def _by_simple_name(self) -> Mapping[str, list[tuple[Module, DefinitionFact]]]:
        table: dict[str, list[tuple[Module, DefinitionFact]]] = defaultdict(list)
        for module in self.by_name.values():
            for fact in module.facts.definitions:
                table[fact.name].append((module, fact))
        return table

    def named(self, name: str) -> list[Definition]:
        """Every definition with the simple name ``name``, methods and attributes too."""
        return [to_definition(module, fact) for module, fact in self._by_simple_name.get(name, ())]

    def exports(self, module_name: str) -> Mapping[str, tuple[str, str]]:
        """What ``from module_name import *`` could reach: name to the module and name it is defined under."""
        if module_name not in self._exports:
            self._exports[module_name] = {}  # what a module in a circle sees of itself
            self._exports[module_name] = self._find_exports(module_name)
        return self._exports[module_name]

    def origin(self, module_name: str, name: str) -> tuple[str, str] | None:
        """Where ``from module_name import name`` leads inside the repository: a definition, or a module and ''."""
        submodule = f"{module_name}.{name}"
        found = self.exports(module_name).get(name) if module_name in self.by_name else None
        return found or ((submodule, "") if submodule in self.by_name else None)

    def class_chain(self, module_name: str, qualname: str) -> Iterator[tuple[Module, str]]:
        """A class and its bases inside the repository, nearest first, as module and qualified name."""
        waiting, seen = [(module_name, qualname)], set[tuple[str, str]]()
        while waiting and len(seen) < _LONGEST_CHAIN:
            here = waiting.pop(0)
            module = self.by_name.get(here[0])
            if module is None or here in seen or here[1] not in module.facts.bases:
                continue
            seen.add(here)
            yield module, here[1]
            waiting += filter(None, (self.resolve(module, base) for base in module.facts.bases[here[1]]))

    def resolve(self, module: Module, dotted: str) -> tuple[str, str] | None:
        """The repository class or function that the expression ``dotted`` means at the top level of ``module``."""
        head, _, rest = dotted.partition("[")[0].partition(".")
        if any(fact.qualname == head for fact in module.facts.definitions):
            return module.name, dotted.partition("[")[0]
        imported = self._imported(module, head)
        if imported is None:
            return None
        target, name = imported
        if name or not rest:
            return target, f"{name}.{rest}" if rest else name
        owner, _, last = f"{target}.{rest}".rpartition(".")
        return self.origin(owner, last)

    def _imported(self, module: Module, name: str) -> tuple[str, str] | None:
        for item in module.facts.imports:
            if not item.top or item.bound_name != name or item.name == "*":
                continue
            if item.name:
                return self.origin(module.absolute(item), item.name)
            return (item.module if item.alias else name), ""
        return None

    def _find_exports(self, module_name: str) -> Mapping[str, tuple[str, str]]:
        module = self.by_name[module_name]
        found: dict[str, tuple[str, str]] = {}
        for item in module.facts.imports:
            if item.top:
                found.update(self._exported_by(module, item))
        for fact in module.facts.definitions:
            if "." not in fact.qualname:
                found[fact.name] = (module_name, fact.name)
        return found

    def _exported_by(self, module: Module, item: ImportFact) -> Mapping[str, tuple[str, str]]:
        target = module.absolute(item)
        if item.name == "*":
            return self._starred(target)
        origin = self.origin(target, item.name) if item.name and target != module.name else None
        return {item.bound_name: origin} if origin else {}

    def _starred(self, module_name: str) -> Mapping[str, tuple[str, str]]:
        if module_name not in self.by_name:
            return {}
        listed = self.by_name[module_name].facts.exported
        exports = self.exports(module_name)
        public = {name for name in exports if not name.startswith("_")} if listed is None else set(listed)
        return {name: origin for name, origin in exports.items() if name in public}
