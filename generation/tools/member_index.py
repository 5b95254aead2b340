"""What a repository says about itself without type inference: members used, things defined, imports made.

The index is a soft prior beside Jedi: names that are used on a receiver of the same name elsewhere in the repository.
It never raises over a file it cannot read. How uses are found is in ``attribute_uses``, definitions in ``file_facts``,
imports in ``importable``; what is kept on disk in ``index_cache``. Several threads may read an index that nobody
refreshes; ``reread`` makes another one. Start at ``MemberIndex``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from generation.interfaces import ReportShare, silent
from generation.tools import index_cache
from generation.tools.attribute_uses import Scanned, Uses, receiver_key, scan, scan_around
from generation.tools.file_facts import FileFacts, read_facts
from generation.tools.importable import Importables
from generation.tools.repository_files import (
    MAX_FILE_BYTES,
    FileStamp,
    file_stamp,
    is_for_import,
    module_name,
    python_files,
    read_source,
)
from generation.tools.repository_modules import Module, RepositoryModules
from generation.types import Definition, Suggestion

_MOST_BASES = 12
_MOST_NAMESAKES = 4  # a name that more classes have says little
_DERIVED = ("modules", "_bases", "_class_facts", "_classes_by_word", "_importables")  # from the entries, when asked for


class MemberIndex:
    """Attribute uses, definitions and imports of all Python files of one repository.

    Args:
        root: the repository.
        entries: stamp and facts of every file; ``build`` finds them.
    """

    def __init__(self, root: Path, entries: Mapping[Path, tuple[FileStamp, FileFacts]]) -> None:
        self.root = root
        self._entries = dict(entries)
        self._totals: dict[str, Counter[str]] = {}
        for _, facts in self._entries.values():
            self._count(facts.uses, 1)
        self._importable: dict[Path, Mapping[str, Suggestion]] = {}

    @classmethod
    def build(cls, root: Path, cache_dir: Path | None = None, report: ReportShare = silent) -> MemberIndex:
        """The index of ``root``. Files that have not changed since the last time are taken from ``cache_dir``."""
        root = root.resolve()
        known = index_cache.load_entries(cache_dir, root) if cache_dir else {}
        stamps = list(python_files(root))
        entries = {}
        for number, stamp in enumerate(stamps, 1):
            entries[stamp.path] = _entry(root, stamp, known)
            report(number / len(stamps))
        if cache_dir and entries != known:
            index_cache.save_entries(cache_dir, root, entries)
        return cls(root, entries)

    def members(self, receiver: str, path: Path, text: str, offset: int | None = None) -> list[str]:
        """Names used on ``receiver`` in the repository, most frequent first.

        Args:
            receiver: source of the expression before the dot.
            path: the file being edited; its uses on disk are replaced by those in ``text``.
            text: the buffer, which may be broken.
            offset: where the receiver stands in ``text``, which tells the class of ``self``; None is the end.
        """
        path = self._absolute(path)
        parts = scan_around(text, len(text) if offset is None else offset)
        keys, classes = self._keys(receiver, path, parts)
        counts: Counter[str] = Counter()
        for key in keys:
            counts.update(self._totals.get(key, {}))
        on_disk = self._uses_on_disk(path)
        for key in keys:
            counts.subtract(on_disk.get(key, {}))
        for part in parts:
            for key in keys:
                counts.update(part.uses.get(key, {}))
        used = [name for name, count in counts.most_common() if count > 0]
        others = [*sorted(classes), *(name for key in keys for name in self._namesake_members(key))]
        return list(dict.fromkeys([*used, *others]))

    def _namesake_members(self, key: str) -> Iterator[str]:
        """Members of the classes that a receiver is called after: ``project`` may be a ``Project``."""
        for definition in self._classes_by_word.get(_word(key), ()):
            yield from (member.name for member in self.class_members(definition.module, definition.qualname))

    @cached_property
    def _classes_by_word(self) -> Mapping[str, list[Definition]]:
        found: dict[str, list[Definition]] = {}
        for module in self.modules.by_name.values():
            for definition in module.definitions():
                if definition.kind == "class":
                    found.setdefault(_word(definition.name), []).append(definition)
        return {word: classes for word, classes in found.items() if len(classes) <= _MOST_NAMESAKES}

    def _keys(self, receiver: str, path: Path, parts: tuple[Scanned, Scanned, Scanned]) -> tuple[list[str], set[str]]:
        """The keys to count under, nearest first, and names that are members although nobody may use them."""
        if receiver.strip() not in ("self", "cls") and receiver.replace(" ", "") != "super()":
            return [receiver_key(receiver)], set()
        place = parts[1].end
        own = [] if receiver.lstrip().startswith("super") else [place.owner]
        owners = [owner for owner in dict.fromkeys([*own, *self._all_bases(place.bases)]) if owner]
        defined = (item for owner in owners for item in self._class_facts.get(owner, ()))
        members = {item.name for item in defined if item.path != path}
        members.update(name for part in parts for owner in owners for name in part.methods.get(owner, ()))
        return [f"self@{owner}" for owner in owners], members

    def _all_bases(self, names: Iterable[str]) -> list[str]:
        """Class names that ``names`` inherit from in the repository, by simple name, themselves first."""
        found = list(names)
        for name in found:
            bases = (base.partition("[")[0].rpartition(".")[2] for base in self._bases.get(name, ()) if "=" not in base)
            found += [base for base in dict.fromkeys(bases) if base not in found]
            if len(found) > _MOST_BASES:
                break
        return found

    @cached_property
    def _bases(self) -> Mapping[str, list[str]]:
        return {name: bases for facts in self._all_facts() for name, bases in facts.bases.items()}

    @cached_property
    def _class_facts(self) -> Mapping[str, list[Definition]]:
        members: dict[str, list[Definition]] = {}
        for module in self.modules.by_name.values():
            for definition in module.definitions():
                owner = definition.qualname.rpartition(".")[0]
                if owner:
                    members.setdefault(owner, []).append(definition)
        return members

    def importable(self, path: Path) -> Mapping[str, Suggestion]:
        """Every name that becomes valid in ``path`` with one import, with that import."""
        path = self._absolute(path)
        if path not in self._importable:
            self._importable[path] = self._importables.for_file(path)
        return self._importable[path]

    @cached_property
    def _importables(self) -> Importables:
        return Importables(self.modules, self.root)

    @property
    def first_party(self) -> frozenset[str]:
        """Outermost packages and modules of the repository, for sorting imports."""
        return self.modules.packages

    @cached_property
    def modules(self) -> RepositoryModules:
        """The files as modules."""
        ordered = sorted(self._entries.items(), key=lambda item: (item[0].suffix, str(item[0])))
        named = ((module_name(self.root, path), path, facts) for path, (_, facts) in ordered)
        return RepositoryModules([Module(name, path, facts) for name, path, facts in named if name])

    def definitions(self, names: Iterable[str]) -> list[Definition]:
        """Definitions with one of these simple names, methods and attributes too; those in tests do not count."""
        return [definition for name in names for definition in self.modules.named(name)]

    def module_definitions(self, module: str) -> list[Definition]:
        """What ``module`` defines at its top level, in order; empty when there is no such module."""
        known = self.modules.by_name.get(module)
        return [item for item in known.definitions() if "." not in item.qualname] if known else []

    def class_members(self, module: str, qualname: str) -> list[Definition]:
        """Attributes and methods of a class and of its bases in the repository; the nearest of a name counts."""
        members: dict[str, Definition] = {}
        for owner, name in self.modules.class_chain(module, qualname):
            for definition in owner.definitions():
                if definition.qualname.rpartition(".")[0] == name:
                    members.setdefault(definition.name, definition)
        return list(members.values())

    def module_of(self, path: Path) -> str:
        """The dotted name of ``path``, which need not exist; empty when it cannot be imported."""
        path = self._absolute(path)
        return module_name(self.root, path) if path.is_relative_to(self.root) else ""

    @property
    def unreadable_files(self) -> int:
        """How many files were skipped: no valid Python, not decodable, or too large."""
        return sum(not facts.parsed for facts in self._all_facts())

    def refresh(self, path: Path) -> None:
        """Read one file again, after it was changed, created or deleted."""
        path = self._absolute(path)
        _, old = self._entries.pop(path, (None, None))
        if old:
            self._count(old.uses, -1)
        stamp = file_stamp(path)
        if stamp and path.suffix in (".py", ".pyi") and path.is_relative_to(self.root):
            self._entries[path] = _entry(self.root, stamp, {})
            self._count(self._entries[path][1].uses, 1)
        self._forget()

    def refresh_changed(self) -> int:
        """Read again whatever changed on disk; returns how many files that were."""
        return self._refresh_all(self._changed())

    def reread(self) -> MemberIndex:
        """An index of what is on disk now, with all that is derived; this one where nothing has changed."""
        changed = self._changed()
        if not changed:
            return self
        fresh = MemberIndex(self.root, self._entries)
        fresh._refresh_all(changed)
        for name in _DERIVED:
            getattr(fresh, name)
        for path in tuple(self._importable):
            fresh.importable(path)
        return fresh

    def _refresh_all(self, changed: list[Path]) -> int:
        for path in changed:
            self.refresh(path)
        return len(changed)

    def _changed(self) -> list[Path]:
        now = {stamp.path: stamp for stamp in python_files(self.root)}
        before = {path: stamp for path, (stamp, _) in self._entries.items()}
        return [path for path in now.keys() | before.keys() if now.get(path) != before.get(path)]

    def _absolute(self, path: Path) -> Path:
        return path if path.is_absolute() and path.is_relative_to(self.root) else (self.root / path).resolve()

    def _all_facts(self) -> Iterator[FileFacts]:
        return (facts for _, facts in self._entries.values())

    def _uses_on_disk(self, path: Path) -> Uses:
        _, facts = self._entries.get(path, (None, None))
        return facts.uses if facts else {}

    def _count(self, uses: Uses, sign: int) -> None:
        for key, attributes in uses.items():
            total = self._totals.setdefault(key, Counter())
            for name, count in attributes.items():
                total[name] += sign * count

    def _forget(self) -> None:
        self._importable.clear()
        for name in _DERIVED:
            self.__dict__.pop(name, None)


def _entry(root: Path, stamp: FileStamp, known: index_cache.Entries) -> tuple[FileStamp, FileFacts]:
    if stamp.path in known and known[stamp.path][0] == stamp:
        return known[stamp.path]
    text = read_source(stamp.path) if stamp.size_bytes <= MAX_FILE_BYTES else None
    if text is None:
        return stamp, FileFacts(False)
    if not is_for_import(root, stamp.path):
        return stamp, FileFacts(True, scan(text))  # half of a large repository is tests; parsing is what takes long
    return stamp, read_facts(text, uses=stamp.path.suffix == ".py")


def _word(name: str) -> str:
    """``HTTPConnection``, ``http_connection`` and ``_http_connection2`` are one word; so is an element of ``rows``."""
    word = name.replace("_", "").lower()
    word = word.removesuffix("[]").removesuffix("s") if word.endswith("s[]") else word
    return word.rstrip("0123456789")
