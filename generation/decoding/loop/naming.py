"""Which name is written at a place where the tool was asked: one of its list, or the one the model writes by itself.

The rules of ARCHITECTURE.md ("How a name is chosen") in their order. Knows no loop and no text but the free path; asks
nobody. Start reading at ``decide``.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, replace
from functools import partial

from generation.config import DecodingConfig
from generation.decoding.loop.choice import IdentifierSearch
from generation.decoding.loop.triggers import TriggerPoint, binds, is_decided
from generation.source.lexer import STRING_PREFIXES
from generation.types import ImportNeeded, NameKind, Suggestion, ToolAnswer

NEVER_ASKED = frozenset(keyword.kwlist)
LOOK_AHEAD_TOKENS = 24


@dataclass(frozen=True, slots=True)
class FreePath:
    """What the model writes without the tool: the node where it ends, and the identifier it spells."""

    node: int
    name: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write.

    Attributes:
        node: the node to commit.
        chosen: the suggestion it spells; None where the model writes freely.
        imports: what must be imported for it.
        is_new: the free name is bound here.
        is_invented: the free name is in no list, and the list is one that can be trusted.
    """

    node: int
    chosen: Suggestion | None = None
    imports: tuple[ImportNeeded, ...] = ()
    is_new: bool = False
    is_invented: bool = False

    @property
    def ends_here(self) -> bool:
        """A whole identifier was chosen, which cannot go on."""
        return self.chosen is not None and self.chosen.name.isidentifier()


def is_no_name(search: IdentifierSearch, node: int, name: str, point: TriggerPoint) -> bool:
    """Keywords are not asked for, but behind a dot; nor what turns out to be the prefix of a string, or nothing."""
    if name.lower() in STRING_PREFIXES:
        return search.look_ahead(node, 1)[:1] in {"'", '"'}
    return name in NEVER_ASKED and point.expected.kind is not NameKind.ATTRIBUTE


def decide(
    search: IdentifierSearch, answer: ToolAnswer, point: TriggerPoint, free: FreePath, config: DecodingConfig
) -> Decision:
    """The node to commit, and why (rule 4)."""
    if not answer.suggestions:
        invented = (answer.trusted and point.expected.kind is NameKind.IMPORT) or free.name in answer.excluded
        return replace(_needing_import(search, answer, free, config), is_invented=invented)
    listed = next((suggestion for suggestion in answer.suggestions if suggestion.name == free.name), None)
    if listed is not None and search.settles(listed, point.glue, free.node):
        return Decision(free.node, listed)
    if listed is None and (unlisted := _unlisted(search, answer, point, free, config)):
        return unlisted
    trusted = answer.trusted or answer.trusted_unless_bound  # nothing binds the name here, as was just seen
    search.rank(answer.suggestions, point.glue, least_mass := _least_mass(listed, trusted, point, free, config))
    if search.mass < least_mass:
        return Decision(free.node, is_invented=trusted or free.name in answer.excluded)
    if not search.best(1):
        return Decision(free.node, is_invented=trusted and _is_known_import(point, free))
    node = search.sample()
    return Decision(node, search.suggestion(node))


def _is_known_import(point: TriggerPoint, free: FreePath) -> bool:
    """Whether a trusted list says what can be imported; private names may be missing from stubs."""
    return point.expected.kind is NameKind.IMPORT and not free.name.startswith("_")


def _least_mass(
    listed: Suggestion | None, trusted: bool, point: TriggerPoint, free: FreePath, config: DecodingConfig
) -> float:
    """With less probability the list is declined. An import of what a known module lacks is an error in any case."""
    imports = trusted and _is_known_import(point, free)
    if listed is not None or imports or not config.abstain or free.name in NEVER_ASKED:
        return 0.0
    return config.abstain_below_trusted if trusted else config.abstain_below


def _unlisted(
    search: IdentifierSearch, answer: ToolAnswer, point: TriggerPoint, free: FreePath, config: DecodingConfig
) -> Decision | None:
    """The free name where it is valid though the tool does not list it, however likely the listed ones are."""
    if free.name and _may_be_new(search, answer, point, free):
        return Decision(free.node, is_new=True)
    imported = _needing_import(search, answer, free, config)
    return imported if imported.chosen is not None else None


def _may_be_new(search: IdentifierSearch, answer: ToolAnswer, point: TriggerPoint, free: FreePath) -> bool:
    """Whether a name that the tool does not know is bound here, or taken by a call that takes any argument."""
    if point.expected.kind is NameKind.ARGUMENT:
        return not answer.trusted and free.name not in answer.excluded
    if not point.expected.may_bind:
        return False
    decided = partial(is_decided, point.expected)
    return binds(free.name, point.expected, search.look_ahead(free.node, LOOK_AHEAD_TOKENS, decided))


def _needing_import(search: IdentifierSearch, answer: ToolAnswer, free: FreePath, config: DecodingConfig) -> Decision:
    """The free name, where an import makes it valid and it is used as what it is: a module by its members."""
    found = answer.importable.get(free.name) if free.name and config.import_names else None  # a client may be asked
    if found is None or found.import_needed is None:
        return Decision(free.node)
    following = search.look_ahead(free.node, 1)
    used_as = "." if found.kind == "module" else "(.["
    if not following or following[0] not in used_as:
        return Decision(free.node)
    return Decision(free.node, found, (found.import_needed,))
