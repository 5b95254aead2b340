"""What Jedi knows at a position: the names and facts that answer one question, and the state shared between questions.

It sees every buffer under a sibling path that does not exist: under the real one parso would keep the unfinished tree,
and other files that import the module would see it truncated. Inference is shared: one ``InferenceState`` serves the
scripts that import from the same folders, because a new one would infer every imported module again. All are dropped
when the client says that a file changed (``epoch``) and after ``STATE_QUESTIONS``.

Runs in Jedi's process only (``worker``). Knows nothing of processes and messages. Start reading at ``answer``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jedi
import jedi.api
from jedi.api.completion import complete_trailer, filter_names, get_user_context
from jedi.inference import InferenceState
from jedi.inference.context import get_global_filters
from jedi.inference.helpers import infer_call_of_leaf
from jedi.inference.value.iterable import FakeDict, FakeTuple
from jedi.inference.value.klass import ClassName

STATE_QUESTIONS = 1000  # memory grows with every question a state has answered

_STANDARD = os.path.join(jedi.__path__[0], "third_party", "typeshed", "stdlib") + os.sep  # noqa: PTH118
_METACLASS = re.compile(r"\bmetaclass\s*=(?!\s*(?:abc\.)?ABCMeta\b)")
_SETS_ANY = re.compile(
    r"\bsetattr\(\s*self\s*,|\bself\.__dict__\s*(?:\.\s*update\(|\[[^]\n]*\]\s*=(?!=))|\bvars\(self\)\.update\("
)
_NO_EXPRESSION = frozenset(
    {"import_name", "import_from", "import_as_name", "import_as_names", "dotted_name", "dotted_as_name",
     "dotted_as_names", "funcdef", "classdef", "param", "global_stmt", "nonlocal_stmt", "parameters"}
)  # fmt: skip

Question = dict[str, Any]
Answer = dict[str, Any]
Members = tuple[list[tuple[str, str]], dict[str, Any]]


class _Known(NamedTuple):
    """What is inferred of the modules that some folders offer: with others, a name can be another module.

    Attributes:
        state: modules and types.
        lists: members by type (``JediState.remembered``).
    """

    state: Any
    lists: dict[str, Members]


class JediState:
    """Jedi's state for one repository.

    Args:
        root: the repository.
        environment: whose packages Jedi knows.
        kept: members of standard types, from process to process (``kept_lists``).
    """

    def __init__(self, root: Path, environment: Any, kept: Any) -> None:
        self._root = root
        self._environment = environment
        self._kept = kept
        self._known: dict[tuple[str, ...], _Known] = {}  # by the folders of the repository that imports resolve from
        self._questions_left = 0
        self._epoch = -1
        self._script: tuple[tuple[str, str], jedi.Script] | None = None
        self._own_folders: tuple[str, ...] = ()  # of the last script
        jedi.api.InferenceState = self._shared_state

    def _shared_state(self, project: Any, environment: Any = None, script_path: Path | None = None) -> Any:
        if self._questions_left <= 0:
            self._known.clear()
            self._questions_left = STATE_QUESTIONS
        self._questions_left -= 1
        if self._own_folders not in self._known:
            state = InferenceState(project, environment=environment, script_path=script_path)
            self._known[self._own_folders] = _Known(state, {})
        state = self._known[self._own_folders].state
        state.project, state.script_path = project, script_path
        state.inferred_element_counts.clear()
        return state

    def script(self, path: Path, text: str, epoch: int) -> jedi.Script:
        """A script for a buffer; the last one again when nothing changed."""
        if epoch != self._epoch:
            self._epoch, self._questions_left, self._script = epoch, 0, None
        key = (str(path), text)
        if self._script is None or self._script[0] != key:
            sibling = path.with_name(f"_memberwise_{path.stem}.py")
            script = jedi.Script(text, path=sibling, project=self._project(path), environment=self._environment)
            self._script = (key, script)
        self._script[1]._inference_state.inferred_element_counts.clear()
        return self._script[1]

    def remembered(self, key: str | None, values: Iterable[Any], look: Callable[[], Members]) -> Members:
        """The members of values that other files define (a key says so), looked for where nobody listed them yet."""
        if key is None:
            return look()
        lists = self._known[self._own_folders].lists
        if key not in lists:
            kept = self._kept if self._are_standard(values) else None
            found = kept.get(key) if kept else None
            lists[key] = found or look()
            if kept and not found:
                kept.keep(key, lists[key])
        return lists[key]

    def _are_standard(self, values: Iterable[Any]) -> bool:
        """Only the standard library defines them, and no module of the repository has the name of theirs."""
        modules = [value.get_root_context() for value in values]
        names = {module.py__name__().partition(".")[0] for module in modules}
        return all(str(module.py__file__()).startswith(_STANDARD) for module in modules) and not any(
            os.path.lexists(f"{folder}{os.sep}{name}{ending}")
            for folder in self._own_folders
            for name in names
            for ending in ("", ".py", ".pyi")
        )

    def forget(self) -> None:
        """Start afresh with the next question; after an error inside Jedi its half-filled caches are not trusted."""
        self._questions_left, self._script = 0, None

    def _project(self, path: Path) -> jedi.Project:
        """Absolute imports resolve from the root, from ``src`` and from the folder above the file's package."""
        package = path.parent
        while (package / "__init__.py").is_file() and package != self._root and self._root in package.parents:
            package = package.parent
        own = dict.fromkeys(map(str, (self._root, self._root / "src", package)))
        self._own_folders = tuple(own)
        sys_path = [*own, *(entry for entry in self._environment.get_sys_path() if entry and entry not in own)]
        return jedi.Project(self._root, sys_path=sys_path, smart_sys_path=False, load_unsafe_extensions=False)

    def repository_files(self) -> list[str]:
        """Files of the repository that the answers so far depend on."""
        state = self._known[self._own_folders].state
        modules = [value for values in state.module_cache._name_cache.values() for value in values]
        files = {str(value.py__file__()) for value in modules}
        return sorted(file for file in files if file.startswith(f"{self._root}{os.sep}"))


def answer(state: JediState, question: Question) -> Answer:
    """The names at a position.

    A question holds ``path``, ``text``, ``line`` (1-based), ``column``, ``kind`` and ``epoch``. The answer holds
    ``names`` (pairs of name and kind), ``facts`` (see ``filtering.Facts``) and ``files``; that of a question of the
    kind ``references``, which also holds ``end_line`` and ``end_column``, holds ``references``.
    """
    script = state.script(Path(question["path"]), question["text"], question["epoch"])
    position = (question["line"], question["column"])
    if question["kind"] == "references":
        return {"references": references(script, position, (question["end_line"], question["end_column"]))}
    if question["kind"] == "attribute":
        names, facts = members(state, script, position)
    elif question["kind"] == "argument":
        names, facts = arguments(script, position)
    elif question["kind"] == "import":
        names, facts = imports(script, position)
    elif question["kind"] == "file":
        names, facts = file_names(script, position), module_facts(script)
    else:
        names, facts = _names(_visible(script, position, script.complete(*position))), module_facts(script)
    return {"names": names, "facts": facts, "files": state.repository_files()}


def attempt(state: JediState, question: Question) -> Answer:
    """The answer, or what Jedi raised."""
    try:
        return answer(state, question)
    except Exception as problem:  # noqa: BLE001 - Jedi raises anything, and the next question must still be answered
        state.forget()
        return {"error": f"{type(problem).__name__}: {problem}"[:200]}


def members(state: JediState, script: jedi.Script, position: tuple[int, int]) -> Members:
    """The members of the expression before the dot, and facts about it.

    Listing the members of a class takes Jedi up to a tenth of a second; so the list is kept for receivers whose type
    another file defines.
    """
    leaf = _before_dot(script, position)
    if leaf is None or leaf.search_ancestor("import_name", "import_from") is not None:
        completions = script.complete(*position)
        return _names(completions), receiver_facts([], completions)
    script._inference_state.reset_recursion_limitations()
    context = script._get_module_context()
    values = infer_call_of_leaf(context.create_context(leaf), leaf)
    keys = {_type_key(value, script) for value in values}
    key = None if not keys or None in keys else repr(sorted(map(repr, keys)))

    def look() -> Members:
        completions = _listed(script, complete_trailer(get_user_context(context, position), values))
        return _names(completions), receiver_facts(list(values), completions)

    return state.remembered(key, values, look)


def arguments(script: jedi.Script, position: tuple[int, int]) -> Members:
    """The arguments that the call around the position takes by name, each with its ``=``, and as its kind its place.

    The place is "" for what cannot be given by place. ``dynamic`` says that the call takes any other name as well,
    which holds also where no signature was found.
    """
    parameters = [list(signature.params) for signature in script.get_signatures(*position)]
    any_name = not parameters or any(one.kind.name == "VAR_KEYWORD" for listed in parameters for one in listed)
    places = ((str(place), one) for listed in parameters for place, one in enumerate(listed))
    names = [
        (f"{one.name}=", place if one.kind.name == "POSITIONAL_OR_KEYWORD" else "")
        for place, one in places
        if one.kind.name in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")
    ]
    return names, {"kinds": [], "dynamic": any_name, "unresolved": False}


def imports(script: jedi.Script, position: tuple[int, int]) -> Members:
    """Modules, or what the module of a ``from`` has, where an import statement names them.

    The kinds are those of what stands before a dot: only a ``package`` has modules.
    """
    completions = script.complete(*position)
    leaf = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    statement = leaf and leaf.search_ancestor("import_from")
    module = statement.get_from_names()[-1:] if statement else []
    after_dot = script._code_lines[position[0] - 1][: position[1]].endswith(".")
    outer = _before_dot(script, position) if after_dot else None
    inside = [outer] if outer is not None and outer.type == "name" else []
    values, packages = _meant(script, module), _meant(script, inside)
    unknown = not packages if inside else bool(module) and not after_dot and not values  # or a namespace
    return _names(completions), {
        "kinds": ["package" if value.is_package() else "module" for value in packages],
        "dynamic": any(_is_dynamic(completion) for completion in completions),
        "unresolved": unknown or any(map(_is_incomplete, values)),
    }


def _meant(script: jedi.Script, names: Iterable[Any]) -> list[Any]:
    """The modules that names of an import statement stand for."""
    values = (value for name in names for found in script.infer(*name.start_pos) for value in found._name.infer())
    return [value for value in values if value.is_module()]


def _is_incomplete(module: Any) -> bool:
    """A module has names that its text does not bind, as those that protobuf generates have."""
    return _unresolved_stars(module) or any("globals()" in line for line in module.code_lines or ())


def file_names(script: jedi.Script, position: tuple[int, int]) -> list[tuple[str, str]]:
    """What the outermost function around the position can use by its bare name, apart from what itself binds."""
    outermost, outer = None, script._module_node.get_leaf_for_position(position, include_prefixes=True)
    while outer is not None:
        outermost, outer = outer, outer.search_ancestor("funcdef")
    filters = get_global_filters(script._get_module_context(), None, outermost)
    return _names(_listed(script, (name for one in filters for name in one.values())))


def _listed(script: jedi.Script, names: Iterable[Any]) -> list[Any]:
    """Jedi's completions for names it has found, in its order."""
    found = filter_names(script._inference_state, names, None, "", False, [], cached_name=None)
    return sorted(found, key=lambda one: (one.name.startswith("__"), one.name.startswith("_"), one.name.lower()))


def _visible(script: jedi.Script, position: tuple[int, int], completions: list[Any]) -> list[Any]:
    """Without what classes define: a function does not see it by its bare name, though Jedi lists what is inherited."""
    leaf = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    scope = leaf and leaf.search_ancestor("funcdef", "lambdef", "classdef")
    if scope is None or scope.type == "classdef":
        return completions
    return [completion for completion in completions if not isinstance(completion._name, ClassName)]


def _before_dot(script: jedi.Script, position: tuple[int, int]) -> Any | None:
    """The last leaf of the expression before the dot."""
    dot = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    while dot is not None and dot != ".":
        dot = dot.get_previous_leaf()
    return dot and dot.get_previous_leaf()


def _type_key(value: Any, script: jedi.Script) -> tuple[Any, ...] | None:
    """What the members of a value depend on, or None when that is not only a definition in another file."""
    if value.is_module():
        names = value.string_names
        return None if value.tree_node is script._module_node or not names else ("module", *names)
    if not (value.is_class() or value.is_instance()):
        return None
    cls = value if value.is_class() else value.py__class__()
    names, module = cls.get_qualified_names(), cls.get_root_context()
    if names is None or module.tree_node is script._module_node or module.py__name__() is None:
        return None
    node = getattr(cls, "tree_node", None)
    place = node.start_pos if node is not None else None
    return (value.api_type, _is_starred(value), module.py__name__(), *names, place)


def _names(completions: list[Any]) -> list[tuple[str, str]]:
    return [(completion.name, _kind(completion)) for completion in completions if not completion.name.endswith("=")]


def _kind(completion: Any) -> str:
    try:
        return str(completion._name.api_type)  # the public ``type`` follows every import
    except Exception:  # noqa: BLE001 - Jedi raises anything, and a kind is worth less than the name
        return ""


def references(script: jedi.Script, start: tuple[int, int], end: tuple[int, int]) -> list[dict[str, Any]]:
    """Every dotted expression of a span, prefixes of longer ones included, and where its last name is defined.

    A definition is its file (None for what has none), 1-based line, column and kind.
    """
    found = []
    leaf = script._module_node.get_leaf_for_position(start, include_prefixes=True)
    while leaf is not None and leaf.start_pos < end:
        chain = _dotted(leaf) if leaf.type == "name" and leaf.start_pos >= start else None
        if chain is not None:
            line, column = leaf.start_pos
            found.append({"chain": chain, "line": line, "column": column, "definitions": _definitions(script, leaf)})
        leaf = leaf.get_next_leaf()
    return found


def _dotted(leaf: Any) -> str | None:
    """``a.b.c`` where ``leaf`` is ``c``; None where it is no expression, or more than names and dots."""
    parent = leaf.parent
    if parent.type != "trailer":
        is_keyword = parent.type == "argument" and parent.children[0] is leaf and parent.children[1] == "="
        return None if is_keyword or parent.type in _NO_EXPRESSION else str(leaf.value)
    whole = parent.parent.children
    before = whole[: whole.index(parent) + 1]
    names = [before[0], *(trailer.children[-1] for trailer in before[1:])]
    dots = all(trailer.type == "trailer" and trailer.children[0] == "." for trailer in before[1:])
    return ".".join(name.value for name in names) if dots and names[0].type == "name" else None


def _definitions(script: jedi.Script, leaf: Any) -> list[list[Any]]:
    try:
        names = script.goto(*leaf.start_pos, follow_imports=True)
        return [[one.module_path and str(one.module_path), one.line or 1, one.column or 0, one.type] for one in names]
    except Exception:  # noqa: BLE001 - Jedi raises anything, and the other names of the span must still be answered
        return []


def receiver_facts(values: list[Any], completions: list[Any]) -> dict[str, Any]:
    """What Jedi found the expression before the dot to be, and what could make its list incomplete."""
    return {
        "kinds": sorted({str(value.api_type) for value in values}),
        "dynamic": any(map(_is_dynamic, completions)),
        "open": any(map(_is_open, values)),
        "unresolved": any(_has_unresolved_base(value) for value in values),
        "starred": bool(values) and all(map(_is_starred, values)),
    }


def _is_starred(value: Any) -> bool:
    return isinstance(value, FakeDict | FakeTuple)


def _is_dynamic(completion: Any) -> bool:
    """The completion shows that any name may be valid on its receiver."""
    if completion.name == "__getattribute__":
        return bool(completion._name.get_root_context().py__name__() != "builtins")
    return bool(completion.name == "__getattr__")


def _has_unresolved_base(value: Any) -> bool:
    """Some base of the class (of the instance) could not be inferred, or the module has a star import of that sort."""
    if value.is_module():
        return not value.is_compiled() and _unresolved_stars(value)
    return any(not lazy.infer() for cls in _classes(value) for lazy in cls.py__bases__())


def _classes(value: Any) -> list[Any]:
    """The class of a value and its bases, those of which there is source."""
    cls = value if value.is_class() else value.py__class__() if value.is_instance() else None
    bases = cls.py__mro__() if cls is not None else ()
    return [one for one in bases if not one.is_compiled() and hasattr(one, "tree_node") and hasattr(one, "py__bases__")]


def _is_open(value: Any) -> bool:
    """A value has members that no class names: those of a metaclass, or what methods set by a variable."""
    for cls in _classes(value):
        node, module = cls.tree_node, cls.get_root_context()
        if node is None or node.type != "classdef" or str(module.py__file__()).startswith(_STANDARD):
            continue
        arguments = node.get_super_arglist()
        if value.is_class() and arguments is not None and _METACLASS.search(arguments.get_code()):
            return True
        if _SETS_ANY.search("".join(module.code_lines[node.start_pos[0] - 1 : node.end_pos[0]])):
            return True
    return False


def module_facts(script: jedi.Script) -> dict[str, Any]:
    """What could make the list of the buffer's own names incomplete."""
    return {"kinds": [], "dynamic": False, "unresolved": _unresolved_stars(script._get_module())}


def _unresolved_stars(module: Any) -> bool:
    node = getattr(module, "tree_node", None)
    if node is None or not hasattr(node, "iter_imports"):
        return False
    stars = sum(1 for statement in node.iter_imports() if statement.is_star_import())
    return stars > 0 and len(module.star_imports()) < stars
