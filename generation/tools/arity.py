"""Calls whose arguments cannot fit the function they call, as far as the repository's own definitions tell.

Only calls that name their callee beyond doubt are judged: a function or class of the module or imported into it and
bound once, or a method called on ``self``. Anything decorated, conditional, shadowed or inherited from outside the
repository is left alone. Start at ``misfit``.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generation.source import parsing
from generation.source.parsing import reaches_into, unguarded
from generation.tools.file_facts import DefinitionFact
from generation.tools.repository_modules import Module, RepositoryModules
from generation.tools.scope import bound_names, dotted_path

_KINDS = inspect.Parameter
_LONGEST_CHAIN = 20
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call, the functions around it (outermost first) and the class that the outermost one is a method of."""

    call: ast.Call
    functions: tuple[_Function, ...]
    owner: str


def call_sites(tree: ast.Module, lines: range) -> Iterator[CallSite]:
    """Every call that stands in a function, in statements that reach into these 1-based lines.

    Where somebody is ready to catch a ``TypeError``, it may be meant.
    """
    yield from _sites(tree, lines, (), "")


def misfit(site: CallSite, module: Module, modules: RepositoryModules) -> str | None:
    """Why the arguments of a call do not fit; None when they do, or when it is not certain what is called."""
    signature = _callee(site, module, modules)
    if signature is None:
        return None
    call = site.call
    positional = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    complete = len(positional) == len(call.args) and len(named) == len(call.keywords)
    try:
        (signature.bind if complete else signature.bind_partial)(*positional, **named)
    except TypeError as error:
        return str(error)
    return None


def _sites(node: ast.AST, lines: range, functions: tuple[_Function, ...], owner: str) -> Iterator[CallSite]:
    if isinstance(node, ast.Call) and functions:
        yield CallSite(node, functions, owner)
    if isinstance(node, _Function):
        functions = (*functions, node)
    elif isinstance(node, ast.ClassDef):
        owner = f"{owner}.{node.name}" if owner else node.name
        owner = "?" if functions else owner  # a class in a function is nobody's business
    for child in unguarded(node, "TypeError"):
        if not isinstance(child, ast.stmt) or reaches_into(child, lines):
            yield from _sites(child, lines, functions, owner)


def _callee(site: CallSite, module: Module, modules: RepositoryModules) -> inspect.Signature | None:
    dotted = dotted_path(site.call.func)
    head, _, name = dotted.partition(".")
    if head == "self":
        return _method(site, name, module, modules) if name and "." not in name else None
    if not dotted or head in _bound_in(site.functions[0]) or _times_bound(module, head) != 1:
        return None
    found = modules.resolve(module, dotted)
    target = _module(found[0], module, modules) if found else None
    if found is None or target is None or "." in found[1]:
        return None
    facts = [fact for fact in target.facts.definitions if fact.qualname == found[1]]
    if len(facts) != 1 or facts[0].decorators or _times_bound(target, found[1]) != 1:
        return None
    if facts[0].kind == "class":
        return _constructor(target, found[1], modules)
    return _signature(facts[0], bound=False) if facts[0].kind == "function" else None


def _method(site: CallSite, name: str, module: Module, modules: RepositoryModules) -> inspect.Signature | None:
    """The method that ``self.name`` is, where the class or a chain of single bases defines it once."""
    if not site.owner or _rebinds_self(site.functions):
        return None
    for owner, qualname in _chain(module, site.owner, modules):
        facts = [fact for fact in owner.facts.definitions if fact.qualname == f"{qualname}.{name}"]
        if facts:
            certain = len(facts) == 1 and facts[0].kind == "method"
            known = facts[0].decorators in ("", "staticmethod", "classmethod")
            return _signature(facts[0], bound=facts[0].decorators != "staticmethod") if certain and known else None
        if len(owner.facts.bases[qualname]) > 1:
            return None
    return None


def _constructor(module: Module, qualname: str, modules: RepositoryModules) -> inspect.Signature | None:
    """``__init__`` of a class whose ancestry is plain and fully known."""
    found: list[DefinitionFact] = []
    for owner, name in _chain(module, qualname, modules):
        bases = owner.facts.bases[name]
        own = [fact for fact in owner.facts.definitions if fact.qualname == name]
        if len(own) != 1 or own[0].decorators or len(bases) > 1 or any("=" in base for base in bases):
            return None
        if any(fact.qualname == f"{name}.__new__" for fact in owner.facts.definitions):
            return None
        if bases and bases != ["object"] and _resolved(owner, bases[0], modules) is None:
            return None
        found = found or [fact for fact in owner.facts.definitions if fact.qualname == f"{name}.__init__"]
    return _signature(found[0], bound=True) if len(found) == 1 and not found[0].decorators else None


def _chain(module: Module, qualname: str, modules: RepositoryModules) -> list[tuple[Module, str]]:
    """The class and its bases; ``module`` may be a buffer that the repository does not know yet."""
    chain: dict[tuple[str, str], tuple[Module, str]] = {}
    waiting = [(module.name, qualname)]
    while waiting and len(chain) < _LONGEST_CHAIN:
        here = waiting.pop(0)
        owner = _module(here[0], module, modules)
        if owner is not None and here[1] in owner.facts.bases and here not in chain:
            chain[here] = (owner, here[1])
            waiting[:0] = filter(None, (_resolved(owner, base, modules) for base in owner.facts.bases[here[1]]))
    return list(chain.values())


def _resolved(module: Module, base: str, modules: RepositoryModules) -> tuple[str, str] | None:
    found = modules.resolve(module, base)
    target = _module(found[0], module, modules) if found else None
    return found if found and target and found[1] in target.facts.bases else None


def _module(name: str, here: Module, modules: RepositoryModules) -> Module | None:
    return here if name == here.name else modules.by_name.get(name)


def _times_bound(module: Module, name: str) -> int:
    """How often the top level of ``module`` binds ``name``."""
    defined = sum(fact.qualname == name for fact in module.facts.definitions)
    return defined + sum(item.bound_name == name for item in module.facts.imports if item.top)


def _signature(fact: DefinitionFact, *, bound: bool) -> inspect.Signature | None:
    try:
        node = parsing.parse(f"{fact.signature}: ...").body[0]
    except SyntaxError:
        return None
    if not isinstance(node, _Function):
        return None
    parameters = list(_parameters(node.args))
    if bound and (not parameters or parameters[0].kind is _KINDS.KEYWORD_ONLY):
        return None
    if bound and parameters[0].kind is not _KINDS.VAR_POSITIONAL:
        del parameters[0]
    return inspect.Signature(parameters)


def _parameters(arguments: ast.arguments) -> Iterator[inspect.Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    for number, argument in enumerate(positional):
        only = number < len(arguments.posonlyargs)
        kind = _KINDS.POSITIONAL_ONLY if only else _KINDS.POSITIONAL_OR_KEYWORD
        yield _KINDS(argument.arg, kind, default=_KINDS.empty if number < required else ...)
    if arguments.vararg:
        yield _KINDS(arguments.vararg.arg, _KINDS.VAR_POSITIONAL)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _KINDS(argument.arg, _KINDS.KEYWORD_ONLY, default=_KINDS.empty if default is None else ...)
    if arguments.kwarg:
        yield _KINDS(arguments.kwarg.arg, _KINDS.VAR_KEYWORD)


def _bound_in(function: _Function) -> set[str]:
    """Every name that a function or anything inside it binds."""
    return {name for node in ast.walk(function) if node is not function for name in bound_names(node)}


def _rebinds_self(functions: Sequence[_Function]) -> bool:
    """``self`` is not the first parameter of the outermost function, or is bound once more in it."""
    method = functions[0]
    first = [*method.args.posonlyargs, *method.args.args][:1]
    if [argument.arg for argument in first] != ["self"] or _is_static(method):
        return True
    return any("self" in bound_names(node) for statement in method.body for node in ast.walk(statement))


def _is_static(method: _Function) -> bool:
    names = (item.id for item in method.decorator_list if isinstance(item, ast.Name))
    return any(name in ("staticmethod", "classmethod") for name in names)
