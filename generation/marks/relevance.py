"""Which definitions of a repository a function is likely to need, judged by names alone.

Asks nothing and resolves nothing: the index supplies candidates for what is ``wanted``, and ``rank`` puts it
into order. Start reading at ``rank``; ``_score`` holds the judgement.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass

from generation.marks.context import PromptContext, Surroundings, look_around
from generation.marks.outline import imports_of
from generation.types import Definition, ImportNeeded

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CALLED = re.compile(r"([^\W\d]\w*)\(")
_CODE_WORD = re.compile(r"`+([\w.]+)|([^\W\d]\w*)\(|(\w*[a-z0-9]_\w+|\w*[a-z][A-Z]\w*)")
_SUBWORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_UNTOLD = frozenset({*keyword.kwlist, *dir(builtins), "self", "cls", "args", "kwargs"})
_SHORTEST_WORD = 4  # letters of a word in prose that may be a name
_NEARBY_LINES = 150


@dataclass(frozen=True, slots=True)
class _Clues:
    """Names that stand around a hole, by where they stand."""

    types: frozenset[str]
    imported: frozenset[str]
    modules: tuple[str, ...]
    documented: frozenset[str]
    called: frozenset[str]
    prose: frozenset[str]
    subwords: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look up in the index of a repository, likeliest first.

    Attributes:
        names: of functions, classes, variables and methods.
        classes: whose members are of use: those the signature names.
        modules: dotted, the file's own first, then those it imports.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    modules: tuple[str, ...]


def wanted(context: PromptContext) -> Wanted:
    """What the prompt for ``context`` could use of the repository."""
    clues = _clues(look_around(context), context)
    groups = (clues.types, clues.documented, clues.imported, clues.called, clues.prose)
    names = dict.fromkeys(name for group in groups for name in sorted(group) if name not in _UNTOLD)
    classes = sorted(name for name in clues.types if name[:1].isupper())
    return Wanted(tuple(names), tuple(classes), clues.modules)


def rank(definitions: Iterable[Definition], around: Surroundings, context: PromptContext) -> list[Definition]:
    """The definitions that seem relevant, best first; ties in the order of module and line."""
    clues = _clues(around, context)
    scored = [(_score(definition, clues), definition) for definition in definitions]
    likely = [(score, definition) for score, definition in scored if score >= _LEAST_SCORE]
    likely.sort(key=lambda pair: (-pair[0], pair[1].module, pair[1].line, pair[1].qualname))
    return list({(d.module, d.qualname): d for _, d in reversed(likely)}.values())[::-1]


_LEAST_SCORE = 2.0


def _score(definition: Definition, clues: _Clues) -> float:
    """How likely the function needs ``definition``. The weights were set by hand on repositories of the corpus."""
    name = definition.name
    owner = definition.qualname.rpartition(".")[0]
    score = 4.0 * (name in clues.documented) + 3.0 * (name in clues.called) + 0.5 * (name in clues.prose)
    if owner:
        score += 3.0 * (owner in clues.types) - 2.0 * (owner not in clues.types)
    else:
        score += 6.0 * (name in clues.types) + 2.0 * (name in clues.imported)
    if score <= 0 and definition.module not in clues.modules:
        return 0.0
    score += 1.0 * (definition.module in clues.modules) + 1.0 * (definition.module == clues.modules[0])
    score += 0.75 * len(clues.subwords.intersection(subwords(name)))
    return score - 3.0 * (name.startswith("_") and definition.module != clues.modules[0]) - 4.0 * name.startswith("__")


def _clues(around: Surroundings, context: PromptContext) -> _Clues:
    imports = imports_of(around.tree)
    signature = _IDENTIFIER.findall(_types_of(around.target)) if around.target else []
    bases = around.owner.bases if around.owner else ()
    docstring, name = around.docstring, around.target.name if around.target else ""
    nearby = around.lines[: around.head_line][-_NEARBY_LINES:] + tuple(context.after.splitlines()[:_NEARBY_LINES])
    prose = _IDENTIFIER.findall(docstring)
    return _Clues(
        types=frozenset({*signature, *bases} - _UNTOLD),
        imported=frozenset(needed.name for needed in imports if needed.name),
        modules=(context.module_name, *sorted({_absolute(needed, context) for needed in imports})),
        documented=frozenset(_code_words(docstring)),
        called=frozenset(_CALLED.findall("\n".join(nearby))) - _UNTOLD,
        prose=frozenset(word for word in prose if len(word) >= _SHORTEST_WORD) - _UNTOLD,
        subwords=frozenset(word for text in (name, *prose) for word in subwords(text)),
    )


def _types_of(target: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The annotations of a signature, as text."""
    parameters = [*target.args.posonlyargs, *target.args.args, *target.args.kwonlyargs]
    annotations = [parameter.annotation for parameter in parameters] + [target.returns]
    return " ".join(ast.unparse(annotation) for annotation in annotations if annotation)


def _code_words(docstring: str) -> list[str]:
    """Words of a docstring that are spelled like code: in backticks, called, with an underscore or a hump."""
    found = [quoted or called or spelled for quoted, called, spelled in _CODE_WORD.findall(docstring)]
    return [part for word in found for part in word.split(".") if part and part not in _UNTOLD]


def subwords(text: str) -> list[str]:
    """``get_authHeader`` -> auth, header; short words say little and are left out."""
    return [word.lower() for word in _SUBWORD.findall(text) if len(word) >= _SHORTEST_WORD]


def _absolute(needed: ImportNeeded, context: PromptContext) -> str:
    """The module of an import with its leading dots resolved against the importing file."""
    bare = needed.module.lstrip(".")
    level = len(needed.module) - len(bare)
    if not level:
        return bare
    package = context.module_name.split(".")
    ups = level - context.path.endswith("/__init__.py")
    parts = package[: max(len(package) - ups, 0)]
    return ".".join([*parts, *([bare] if bare else [])])
