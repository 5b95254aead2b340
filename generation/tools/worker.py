"""The process that runs Jedi: one question per line of JSON on stdin, one answer per line of JSON on stdout.

Jedi is not thread-safe, can take seconds and can crash, so it lives alone in here. It sees every buffer under a
sibling path that does not exist: under the real one parso would keep the unfinished tree, and other files that import
the module would see it truncated. It stands on its own, so that it can be started by its path in an isolated
interpreter that looks at neither the working directory nor ``PYTHONPATH``; where Jedi is, it is told.

Inference is shared between questions: one ``InferenceState`` serves many scripts, because a new one would infer every
imported module again. It is dropped when the client says that a file changed (``epoch``) and after ``STATE_QUESTIONS``.

Start reading at ``main``; a question is what ``answer`` reads.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import queue
import sys
import threading
import weakref
from bisect import bisect_left
from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the client's folders of Jedi: behind the standard library, before other versions
    _at = next((at for at, entry in enumerate(sys.path) if entry.endswith("-packages")), len(sys.path))
    sys.path[_at:_at] = [folder for folder in sys.argv[5:] if folder not in sys.path]

import jedi
import jedi.api
import jedi.settings
import parso.cache
from jedi.api.environment import InterpreterEnvironment, InvalidPythonEnvironment
from jedi.inference import InferenceState
from jedi.inference.filters import _AbstractUsedNamesFilter, _get_definition_names
from jedi.inference.helpers import infer_call_of_leaf
from jedi.inference.value.iterable import FakeDict, FakeTuple
from jedi.inference.value.klass import ClassName

STATE_QUESTIONS = 1000  # memory grows with every question a state has answered
IDLE_S = 5.0  # without a question; then rubbish is collected, which takes some tenths of a second
COLLECTED_QUESTIONS = 300  # after so many it is collected in any case
MINIMUM_JEDI = (0, 20, 1)  # older versions run an interpreter that the repository names

_NO_EXPRESSION = frozenset(
    {"import_name", "import_from", "import_as_name", "import_as_names", "dotted_name", "dotted_as_name",
     "dotted_as_names", "funcdef", "classdef", "param", "global_stmt", "nonlocal_stmt", "parameters"}
)  # fmt: skip

Question = dict[str, Any]
Answer = dict[str, Any]
Members = tuple[list[tuple[str, str]], dict[str, Any]]


class Session:
    """Jedi's state for one repository. ``lists`` keeps the members of types that other files define."""

    def __init__(self, root: Path, environment: Any) -> None:
        self._root = root
        self._environment = environment
        self._state: Any = None
        self._questions_left = 0
        self._epoch = -1
        self._script: tuple[tuple[str, str], jedi.Script] | None = None
        self.lists: dict[Hashable, Members] = {}
        jedi.api.InferenceState = self._shared_state

    def _shared_state(self, project: Any, environment: Any = None, script_path: Path | None = None) -> Any:
        if self._questions_left <= 0:
            self._state = InferenceState(project, environment=environment, script_path=script_path)
            self._questions_left = STATE_QUESTIONS
        self._questions_left -= 1
        self._state.project, self._state.script_path = project, script_path
        self._state.inferred_element_counts.clear()
        return self._state

    def script(self, path: Path, text: str, epoch: int) -> jedi.Script:
        """A script for a buffer; the last one again when nothing changed."""
        if epoch != self._epoch:
            self._epoch, self._questions_left, self._script = epoch, 0, None
            self.lists.clear()
        key = (str(path), text)
        if self._script is None or self._script[0] != key:
            sibling = path.with_name(f"_memberwise_{path.stem}.py")
            script = jedi.Script(text, path=sibling, project=self._project(path), environment=self._environment)
            self._script = (key, script)
        self._script[1]._inference_state.inferred_element_counts.clear()
        return self._script[1]

    def forget(self) -> None:
        """Start afresh with the next question; after an error inside Jedi its half-filled caches are not trusted."""
        self._questions_left, self._script = 0, None

    def _project(self, path: Path) -> jedi.Project:
        """Absolute imports resolve from the root, from ``src`` and from the folder above the file's package."""
        package = path.parent
        while (package / "__init__.py").is_file() and package != self._root and self._root in package.parents:
            package = package.parent
        own = dict.fromkeys(map(str, (self._root, self._root / "src", package)))
        sys_path = [*own, *(entry for entry in self._environment.get_sys_path() if entry and entry not in own)]
        return jedi.Project(self._root, sys_path=sys_path, smart_sys_path=False, load_unsafe_extensions=False)

    def repository_files(self) -> list[str]:
        """Files of the repository that the answers so far depend on."""
        modules = [value for values in self._state.module_cache._name_cache.values() for value in values]
        files = {str(value.py__file__()) for value in modules}
        return sorted(file for file in files if file.startswith(f"{self._root}{os.sep}"))


def answer(session: Session, question: Question) -> Answer:
    """The names at a position.

    A question holds ``path``, ``text``, ``line`` (1-based), ``column``, ``kind`` and ``epoch``. The answer holds
    ``names`` (pairs of name and kind), ``facts`` (see ``filtering.Facts``) and ``files``; that of a question of the
    kind ``references``, which also holds ``end_line`` and ``end_column``, holds ``references``.
    """
    script = session.script(Path(question["path"]), question["text"], question["epoch"])
    position = (question["line"], question["column"])
    if question["kind"] == "references":
        return {"references": references(script, position, (question["end_line"], question["end_column"]))}
    if question["kind"] == "attribute":
        names, facts = members(session, script, position)
    elif question["kind"] == "argument":
        names, facts = arguments(script, position)
    elif question["kind"] == "import":
        names, facts = imports(script, position)
    else:
        names, facts = _names(_visible(script, position, script.complete(*position))), module_facts(script)
    return {"names": names, "facts": facts, "files": session.repository_files()}


def members(session: Session, script: jedi.Script, position: tuple[int, int]) -> Members:
    """The members of the expression before the dot, and facts about it.

    Listing the members of a class walks every name of its module, which takes Jedi a tenth of a second for ``str``; so
    the list is kept for receivers whose type another file defines.
    """
    values = receiver_values(script, position)
    keys = {_type_key(value, script) for value in values}
    key = None if not keys or None in keys else frozenset(keys)
    known = session.lists.get(key) if key is not None else None
    if known is None:
        completions = script.complete(*position)
        known = (_names(completions), receiver_facts(values, completions))
        if key is not None:
            session.lists[key] = known
    return known


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
    """Modules, or what the module of a ``from`` has, where an import statement names them."""
    completions = script.complete(*position)
    leaf = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    statement = leaf and leaf.search_ancestor("import_from")
    module = statement.get_from_names()[-1:] if statement else []
    values = [value for name in module for found in script.infer(*name.start_pos) for value in found._name.infer()]
    return _names(completions), {
        "kinds": [],
        "dynamic": any(_is_dynamic(completion) for completion in completions),
        "unresolved": any(value.is_module() and _unresolved_stars(value) for value in values),
    }


def _visible(script: jedi.Script, position: tuple[int, int], completions: list[Any]) -> list[Any]:
    """Without what classes define: a function does not see it by its bare name, though Jedi lists what is inherited."""
    leaf = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    scope = leaf and leaf.search_ancestor("funcdef", "lambdef", "classdef")
    if scope is None or scope.type == "classdef":
        return completions
    return [completion for completion in completions if not isinstance(completion._name, ClassName)]


def receiver_values(script: jedi.Script, position: tuple[int, int]) -> list[Any]:
    """What Jedi infers for the expression before the dot."""
    dot = script._module_node.get_leaf_for_position(position, include_prefixes=True)
    while dot is not None and dot != ".":
        dot = dot.get_previous_leaf()
    leaf = dot and dot.get_previous_leaf()
    if leaf is None or leaf.search_ancestor("import_name", "import_from") is not None:
        return []
    script._inference_state.reset_recursion_limitations()
    return list(infer_call_of_leaf(script._get_module_context().create_context(leaf), leaf))


def _type_key(value: Any, script: jedi.Script) -> Hashable | None:
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
    return (value.api_type, module.py__name__(), *names, node.start_pos if node is not None else None)


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
        "dynamic": any(_is_dynamic(completion) for completion in completions),
        "unresolved": any(_has_unresolved_base(value) for value in values),
        "starred": bool(values) and all(isinstance(value, FakeDict | FakeTuple) for value in values),
    }


def _is_dynamic(completion: Any) -> bool:
    """The completion shows that any name may be valid on its receiver."""
    if completion.name == "__getattribute__":
        return bool(completion._name.get_root_context().py__name__() != "builtins")
    return bool(completion.name == "__getattr__")


def _has_unresolved_base(value: Any) -> bool:
    """Some base of the class (of the instance) could not be inferred, or the module has a star import of that sort."""
    if value.is_module():
        return not value.is_compiled() and _unresolved_stars(value)
    cls = value if value.is_class() else value.py__class__() if value.is_instance() else None
    if cls is None:
        return False
    return any(
        not lazy.infer()
        for base in cls.py__mro__()
        if not base.is_compiled() and hasattr(base, "tree_node") and hasattr(base, "py__bases__")
        for lazy in base.py__bases__()
    )


def module_facts(script: jedi.Script) -> dict[str, Any]:
    """What could make the list of the buffer's own names incomplete."""
    return {"kinds": [], "dynamic": False, "unresolved": _unresolved_stars(script._get_module())}


def _unresolved_stars(module: Any) -> bool:
    node = getattr(module, "tree_node", None)
    if node is None or not hasattr(node, "iter_imports"):
        return False
    stars = sum(1 for statement in node.iter_imports() if statement.is_star_import())
    return stars > 0 and len(module.star_imports()) < stars


def open_environment(python: str | None) -> Any:
    """The environment whose packages Jedi knows: another interpreter, which is executed, or this process's own."""
    if python is None:
        return InterpreterEnvironment()
    try:
        return jedi.create_environment(python, safe=False)
    except InvalidPythonEnvironment as problem:
        print(f"cannot use {python}: {problem}", file=sys.stderr)
        return InterpreterEnvironment()


def read_questions(stream: Any) -> queue.Queue[Question]:
    """Read on in a thread; when the client closes the stream or dies, so does this process, even inside Jedi."""
    questions: queue.Queue[Question] = queue.Queue()

    def read() -> None:
        for line in stream:
            questions.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return questions


def attempt(session: Session, question: Question) -> Answer:
    """The answer, or what Jedi raised."""
    try:
        return answer(session, question)
    except Exception as problem:  # noqa: BLE001 - Jedi raises anything, and the next question must still be answered
        session.forget()
        return {"error": f"{type(problem).__name__}: {problem}"[:200]}


def serve(session: Session, questions: queue.Queue[Question], out: Any) -> None:
    """Answer until the process ends.

    Rubbish is collected between questions: by itself Python would do it within answers, for a third of their time.
    """
    gc.set_threshold(0)  # parso enables collection again whenever it has read a file
    answered = 0  # since rubbish was collected
    while True:
        try:
            question = questions.get(timeout=IDLE_S if answered else None)
        except queue.Empty:
            gc.collect()
            answered = 0
            continue
        reply = attempt(session, question)
        if "error" in reply:  # another worker may have been writing the cache file that parso was reading
            reply = attempt(session, question)
        reply["id"] = question["id"]
        out.write(json.dumps(reply).encode() + b"\n")
        out.flush()
        answered += 1
        if answered >= COLLECTED_QUESTIONS:
            gc.collect()
            answered = 0


def forgive_broken_cache_files() -> None:
    """A process that was killed while it wrote one leaves a file that parso would fail on for ever."""
    load: Any = parso.cache._load_from_file_system

    def load_or_parse(*args: Any, **kwargs: Any) -> Any:
        try:
            return load(*args, **kwargs)
        except (EOFError, pickle.UnpicklingError, AttributeError, ImportError, IndexError, ValueError):
            return None  # is parsed again, and written again

    parso.cache._load_from_file_system = load_or_parse


def list_by_position() -> None:
    """Let Jedi look for the members of a class among the names inside of it, and not among all of its module.

    What it lists stays the same: nothing outside of a scope's span is ever kept. For ``str``, whose bases are in
    modules of thousands of names, this is most of the time.
    """
    places: weakref.WeakKeyDictionary[Any, list[tuple[tuple[int, int], int]]] = weakref.WeakKeyDictionary()

    def values(self: Any) -> Any:
        scope, module = self._parser_scope, self._parso_cache_node
        keys = list(self._used_names)
        names = partial(_get_definition_names, module, self._used_names)
        if module is not None and scope.type != "file_input":
            if module not in places:
                places[module] = sorted((name.start_pos, at) for at, key in enumerate(keys) for name in names(key))
            first, last = (bisect_left(places[module], (end,)) for end in (scope.start_pos, scope.end_pos))
            keys = [keys[at] for at in sorted({at for _, at in places[module][first:last]})]
        return self._convert_names(name for key in keys for name in self._filter(names(key)))

    _AbstractUsedNamesFilter.values = values


def confine(root: str) -> None:
    """Let source be read from the repository and from this interpreter's own folders alone, whatever links lead out."""
    own = (root, sys.prefix, sys.base_prefix, jedi.__path__[0], parso.__path__[0], *filter(None, sys.path))
    allowed = tuple(os.path.realpath(folder) + os.sep for folder in own)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith((".py", ".pyi")):
            path = os.path.realpath(arguments[0])
            if not path.startswith(allowed):
                raise PermissionError(f"{path} is outside of {root}, which is not trusted")

    sys.addaudithook(check)


def main() -> None:
    """Serve one repository: ``worker.py ROOT [PYTHON [CACHE [confined [FOLDER...]]]]``.

    An empty word stands for what Jedi uses by itself; with ``confined``, nothing outside of the repository is read.
    In the folders are Jedi and parso.
    """
    version = tuple(int(part) for part in jedi.__version__.split(".")[:3])
    if version < MINIMUM_JEDI:
        sys.exit(f"jedi {jedi.__version__} is not safe; install jedi>=0.20.1")
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the protocol
    questions = read_questions(sys.stdin.buffer)
    # A call in another file refers to the function on disk, never to the buffer's: the search would only cost time.
    jedi.settings.dynamic_params_for_other_modules = False
    jedi.settings.auto_import_modules = []  # would be imported, that is executed
    forgive_broken_cache_files()
    list_by_position()
    sys.setrecursionlimit(3000)
    root, python, cache, confined = [*sys.argv[1:], "", "", ""][:4]
    if cache:
        jedi.settings.cache_directory = cache
    if confined:
        confine(root)
    serve(Session(Path(root), open_environment(python or None)), questions, out)


if __name__ == "__main__":
    main()
