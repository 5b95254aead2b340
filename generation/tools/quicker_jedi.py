"""Jedi's slowest parts, done again for the same answers in less time.

Most of what Jedi does for us is to read a buffer that hardly differs from the last one, and to list what classes and
modules hold. For both it walks through all of a module where a part would do. The process that runs Jedi (``worker``)
replaces these functions; what they return is compared with Jedi's own in ``tests/tools/test_quicker_jedi.py``, and
what was measured is in docs/repository-tool.md. Knows Jedi and parso, nothing of ours. Start reading at ``install``.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import parso.python.diff
from jedi.inference.filters import ParserTreeFilter, _AbstractUsedNamesFilter
from jedi.inference.value.instance import SelfAttributeFilter
from jedi.parser_utils import get_parent_scope
from parso.parser import BaseParser, InternalParseError, StackNode
from parso.python.token import PythonTokenTypes
from parso.python.tree import Module, Name, UsedNamesMapping
from parso.tree import Leaf

_SYNTAX = frozenset(kind for kind in PythonTokenTypes if kind.value.contains_syntax)
_BLOCKS = ("funcdef", "classdef", "lambdef")  # their last child is a scope of its own


def install() -> None:
    """Replace them, for all of this process."""
    parso.python.diff.difflib = SimpleNamespace(SequenceMatcher=EndsFirst)
    parso.python.diff._update_positions = update_positions
    BaseParser._add_token = add_token
    Module.get_used_names = used_names
    _AbstractUsedNamesFilter.values = _values(weakref.WeakKeyDictionary())
    ParserTreeFilter._check_flows = _check_flows(ParserTreeFilter._check_flows)


class EndsFirst:
    """How two texts differ, line by line, as ``difflib.SequenceMatcher``, which is asked for the middle only.

    Its first argument is that of the original, and not used.
    """

    def __init__(self, _junk: None, old: Sequence[str], new: Sequence[str]) -> None:
        self._old, self._new = old, new

    def get_opcodes(self) -> list[tuple[str, int, int, int, int]]:
        """What to do with which lines (tag, start and end in the old text, start and end in the new one)."""
        old, new = self._old, self._new
        most = min(len(old), len(new))
        first = _same(old, new, most)
        last = _same(reversed(old), reversed(new), most - first)
        ends = (len(old) - last, len(new) - last)
        inner = difflib.SequenceMatcher(None, old[first : ends[0]], new[first : ends[1]]).get_opcodes()
        codes = [(tag, a + first, b + first, c + first, d + first) for tag, a, b, c, d in inner]
        start = [("equal", 0, first, 0, first)] if first else []
        end = [("equal", ends[0], len(old), ends[1], len(new))] if last else []
        return [*start, *codes, *end]


def _same(old: Iterable[str], new: Iterable[str], most: int) -> int:
    """With how many equal lines both start."""
    pairs = zip(old, new, range(most), strict=False)
    return next((at for one, other, at in pairs if one != other), most)


def update_positions(nodes: Sequence[Any], line_offset: int, last_leaf: Any) -> None:
    """Move what was kept of a buffer by some lines, as ``parso.python.diff._update_positions``."""
    for node in nodes:
        if not isinstance(node, Leaf):
            update_positions(node.children, line_offset, last_leaf)
            continue
        node.line += line_offset
        if node is last_leaf:
            raise parso.python.diff._PositionUpdatingFinished


def add_token(self: Any, token: Any) -> None:
    """Take a token, as ``BaseParser._add_token``; without a call and an exception for each rule that ends before it."""
    stack = self.stack
    kind, value, start, prefix = token
    label = self._pgen_grammar.reserved_syntax_strings.get(value, kind) if kind in _SYNTAX else kind
    top = stack[-1]
    state = top.dfa
    while (plan := state.transitions.get(label)) is None:
        if not state.is_final:
            self.error_recovery(token)
            return
        del stack[-1]
        if not stack:
            raise InternalParseError("too much input", kind, value, start)
        whole = top.nodes[0] if len(top.nodes) == 1 else self.convert_node(state.from_rule, top.nodes)
        top = stack[-1]
        top.nodes.append(whole)
        state = top.dfa
    top.dfa = plan.next_dfa
    for pushed in plan.dfa_pushes:
        top = StackNode(pushed)
        stack.append(top)
    top.nodes.append(self.convert_leaf(kind, value, prefix, start))


def used_names(self: Any) -> Any:
    """Every name of a module with all its places, as ``Module.get_used_names``; no call for what has no parts."""
    if self._used_names is None:
        found: dict[str, list[Name]] = {}

        def look(children: Sequence[Any]) -> None:
            for child in children:
                if isinstance(child, Name):
                    if child.value in found:
                        found[child.value].append(child)
                    else:
                        found[child.value] = [child]
                elif not isinstance(child, Leaf):
                    look(child.children)

        look(self.children)
        self._used_names = UsedNamesMapping(found)
    return self._used_names


def _values(known: weakref.WeakKeyDictionary[Any, dict[Any, list[list[Name]]]]) -> Callable[[Any], Any]:
    """All names of a scope, which are looked for among the names in it instead of those of its module."""

    def values(self: Any) -> Any:
        module, key = self._parso_cache_node, (self._parser_scope, isinstance(self, SelfAttributeFilter))
        of_module = {} if module is None else known.setdefault(module, {})
        if key not in of_module:
            groups = _bound_names(*key)
            of_module[key] = [groups[name] for name in self._used_names if name in groups]  # Jedi's order
        return self._convert_names(name for group in of_module[key] for name in self._filter(group))

    return values


def _check_flows(usual: Callable[[Any, Any], Iterable[Any]]) -> Callable[[Any, Any], Iterable[Any]]:
    """Which of the places that bind a name can be reached: the only one, where no branch and no loop is around it."""

    def check_flows(self: Any, names: Any) -> Iterable[Any]:
        alone = len(names) == 1 and get_parent_scope(names[0], include_flows=True) is self._parser_scope
        return names if alone else usual(self, names)

    return check_flows


def _bound_names(scope: Any, attributes: bool) -> dict[str, list[Name]]:
    """What is bound in a scope, and not in one inside of it; or all attributes (``a.b = c``) that are."""
    look = _attributes if attributes else _own_names
    found: dict[str, list[Name]] = {}
    for name in look(getattr(scope, "children", ())):  # a member of an enum has none
        if name.is_definition(include_setitem=True):
            found.setdefault(name.value, []).append(name)
    return found


def _own_names(children: Sequence[Any]) -> Iterator[Name]:
    for child in children:
        if isinstance(child, Name):
            yield child
        elif not isinstance(child, Leaf):
            yield from _own_names(child.children[:-1] if child.type in _BLOCKS else child.children)


def _attributes(children: Sequence[Any]) -> Iterator[Name]:
    for child in children:
        if isinstance(child, Leaf):
            continue
        if child.type == "trailer" and isinstance(child.children[1], Name):
            yield child.children[1]
        else:
            yield from _attributes(child.children)
