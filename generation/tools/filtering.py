"""Which of the names found are offered, in which order, and whether the list is believed to be complete.

Pure functions over names; knows nothing of Jedi, caches and processes. Start reading at ``attribute_suggestions``,
``name_suggestions`` and ``attributes_trusted``.
"""

from __future__ import annotations

import builtins
import io
import keyword
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from generation.tools.repair import DUMMY
from generation.types import Suggestion, SuggestionSource

EXPRESSION_KEYWORDS = ("None", "True", "False", "not", "lambda", "await", "yield")
USUAL_DUNDERS = frozenset(
    {"__class__", "__dict__", "__doc__", "__file__", "__module__", "__name__", "__qualname__", "__version__"}
)
MOST_INDEX_NAMES = 200  # in large repositories the names used on one receiver are many
_TOP_MODULE = re.compile(r"^(?:from[ \t]+|import\b(?:[^#]*,)?\s*)$")
_MODULE_DUNDERS = ("__name__", "__file__", "__doc__", "__all__", "__version__", "__import__", "__debug__")
_USUAL_TYPES = (str, dict, list, set, io.TextIOWrapper)
_USUAL_METHODS = tuple(dict.fromkeys(name for kind in _USUAL_TYPES for name in vars(kind) if not name.startswith("_")))
_BUILTINS = (*(name for name in dir(builtins) if not name.startswith("_")), *_MODULE_DUNDERS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What Jedi found a receiver to be.

    Attributes:
        kinds: its words for the values found: module, class, instance, function; empty when it found none.
        dynamic: a value defines ``__getattr__`` or ``__getattribute__``.
        open: methods set members by a variable, or a metaclass has some.
        unresolved: a base class or a star import of a value could not be followed.
        starred: it is what ``*args`` or ``**kwargs`` holds, so that nothing that Jedi does not list is a member.
    """

    kinds: tuple[str, ...] = ()
    dynamic: bool = False
    open: bool = False
    unresolved: bool = False
    starred: bool = False


Found = tuple[tuple[str, str], ...]  # name and kind, in Jedi's order


def attributes_trusted(facts: Facts, found: Found, receiver: str) -> bool:
    """Whether a name outside Jedi's list can be taken not to exist.

    Not when nothing was found; not when any name may be valid (``__getattr__``), or part of the members is in a
    class or module that could not be read. A function object is not trusted either: what Jedi takes for a function is
    often one that a decorator has replaced. Of ``super()`` Jedi follows the first base only.
    """
    public = any(not name.startswith("__") for name, _ in found)
    known = bool(facts.kinds) and "function" not in facts.kinds
    return public and known and not facts.dynamic and not facts.unresolved and not receiver.startswith("super(")


def names_trusted(facts: Facts, found: Found) -> bool:
    """The same for the names of a file: it was read, and no star import in it stayed unresolved."""
    return bool(found) and not facts.unresolved


def attribute_suggestions(
    found: Found, assigned: Iterable[str], indexed: Iterable[str], receiver: str, code: str
) -> tuple[Suggestion, ...]:
    """Members of a receiver: Jedi's, then those this function assigns, then those used on this name elsewhere.

    Args:
        found: Jedi's names.
        assigned: attributes that the function so far assigns on the receiver.
        indexed: names from the member index, most frequent first.
        receiver: the expression before the dot.
        code: the file; a special or private name that it uses as an attribute is offered.
    """
    jedi = [Suggestion(name, kind) for name, kind in found if is_offered(name, receiver, code)]
    scope = [Suggestion(name, "statement", SuggestionSource.SCOPE) for name in assigned]
    index = [Suggestion(name, "", SuggestionSource.INDEX) for name in indexed if is_offered(name, receiver, code)]
    return unique([*jedi, *scope, *index[:MOST_INDEX_NAMES]])


def with_usual_methods(suggestions: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    """Behind the others, methods of builtin types: what a receiver most often is that nothing is known of."""
    usual = (Suggestion(name, "function", SuggestionSource.BUILTIN) for name in _USUAL_METHODS)
    return unique([*suggestions, *usual])


def argument_suggestions(found: Found, by_place: int, names: Collection[str]) -> tuple[Suggestion, ...]:
    """Keyword arguments that a call still takes, each with its ``=``.

    Args:
        found: those that it takes at all, each with its place, or "" where it can only be named.
        by_place: how many were given by place.
        names: what was given by name.
    """
    left = (
        name for name, place in found if name.removesuffix("=") not in names and not (place and int(place) < by_place)
    )
    return tuple(Suggestion(name, "param") for name in dict.fromkeys(left))


def import_suggestions(found: Found) -> tuple[Suggestion, ...]:
    """Modules, or what a module has; nobody imports special names."""
    return unique(
        Suggestion(name, kind) for name, kind in found if not name.startswith("__") and not keyword.iskeyword(name)
    )


def names_top_module(statement: str) -> bool:
    """Whether an import statement names an outermost module at its end, which may be one that is not installed."""
    return _TOP_MODULE.search(statement) is not None


@lru_cache(maxsize=16)  # while a function is written they mostly stay
def name_suggestions(visible: tuple[str, ...], found: Found, at_statement_start: bool) -> tuple[Suggestion, ...]:
    """Names an expression can start with: bound in this function, then in the file, then builtins and keywords."""
    scope = [Suggestion(name, "statement", SuggestionSource.SCOPE) for name in visible]
    jedi = [Suggestion(name, kind) for name, kind in found if not keyword.iskeyword(name) and not _is_special(name)]
    usual = [Suggestion(name, "builtin") for name in _BUILTINS]
    words = [*EXPRESSION_KEYWORDS, *(keyword.kwlist if at_statement_start else ())]
    return unique([*scope, *jedi, *usual, *(Suggestion(word, "keyword") for word in words)])


def unique(suggestions: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    """The first suggestion of each name, without what is no identifier or comes from the repaired buffer."""
    first: dict[str, Suggestion] = {}
    for suggestion in suggestions:
        if suggestion.name.isidentifier() and not suggestion.name.startswith(DUMMY):
            first.setdefault(suggestion.name, suggestion)
    return tuple(first.values())


def is_offered(name: str, receiver: str, code: str) -> bool:
    """Special names and names that Python mangles are noise, except where the code shows that they are not."""
    if not name.startswith("__"):
        return True
    if name in USUAL_DUNDERS or f".{name}" in code:
        return True
    return name.endswith("__") and _is_explicit(receiver)


def _is_explicit(receiver: str) -> bool:
    """Special methods are called by name on ``super()`` and on classes."""
    return receiver.startswith("super(") or receiver.rpartition(".")[2][:1].isupper()


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in _MODULE_DUNDERS
