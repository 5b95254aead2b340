"""The prompt: what the model reads before it writes a body, for decoding and for training alike.

Decides what is worth its tokens; ``layout`` says how it looks, ``relevance`` what may be needed. Knows no tokenizer
(the caller counts) and no repository (the caller brings definitions). Start reading at ``build_prompt``.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TypeVar

from generation.marks.context import PromptContext, Surroundings, look_around, unix_newlines
from generation.marks.layout import (
    Cut,
    ImportStatement,
    Parts,
    Stub,
    after_block,
    cuts,
    definition_lines,
    header_lines,
    path_block,
    render,
    stub_text,
)
from generation.marks.outline import import_statements, indent_of, module_outline
from generation.marks.relevance import rank, subwords
from generation.types import Definition

CountTokens = Callable[[str], int]
Item = TypeVar("Item")

_MOST_LISTED = 40  # candidates that are spelled out
_WORD = re.compile(r"[^\W\d]\w*")
_ATTRIBUTE = re.compile(r"\.([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class PromptShares:
    """How the token budget is divided; what a part does not use goes to the code above the target.

    Attributes:
        head: most for decorators, signature and docstring of the target.
        imports: most for imports that the code no longer shows.
        definitions: most for signatures of the repository.
        members: most for members of the enclosing class that the code does not show.
        step_tokens: room for the target is set aside in steps, so that the parts above do not move while it grows.
        after: most for the rest of the function, where the hole has a part of it behind.
    """

    head: float = 0.75
    imports: float = 0.05
    definitions: float = 0.1
    members: float = 0.1
    step_tokens: int = 16
    after: float = 0.25


def build_prompt(
    context: PromptContext, count_tokens: CountTokens, budget_tokens: int, shares: PromptShares | None = None
) -> str:
    """What the model reads; ends with the last lines of ``context.before``, with Unix line ends.

    ``count_tokens(prompt) <= budget_tokens`` always holds. What is above the target gives way first, then the middle of
    an overlong docstring; a signature only when it does not fit alone.
    """
    shares = shares or PromptShares()
    count = cache(count_tokens)
    around = look_around(context)
    after = _shown_after(context, around, _Room(count, int(budget_tokens * shares.after)))
    if not after:
        return _build_above(context, around, count, budget_tokens, shares)
    prompt = _build_above(context, around, count, budget_tokens - count(after) - 2, shares)
    path = path_block(context.path)
    return path + after + prompt.removeprefix(path) if prompt.startswith(path) else after + prompt


def _build_above(
    context: PromptContext, around: Surroundings, count: CountTokens, budget_tokens: int, shares: PromptShares
) -> str:
    """The prompt without what stands behind the hole."""
    head = _fitting_head(around, count, budget_tokens, shares.head)
    room_tokens = budget_tokens - math.ceil(count(head) / shares.step_tokens) * shares.step_tokens
    places = cuts(around, most_lines=budget_tokens)
    parts = _choose(context, around, places, _Room(count, room_tokens), shares)
    for cut in places[places.index(parts.cut) :: -1]:
        prompt = render(context, around, replace(parts, cut=cut)) + head
        if count(prompt) <= budget_tokens:
            return prompt
    return head


def _shown_after(context: PromptContext, around: Surroundings, room: _Room) -> str:
    """The block with the rest of the function that the hole is in; empty where the hole is its end."""
    lines = unix_newlines(context.after).split("\n")
    first = [] if not around.lines[-1].strip() else [lines.pop(0)]
    indent = len(indent_of(around.lines[around.head_line])) if around.target else -1
    inside = [*first, *takewhile(lambda line: not line.strip() or len(indent_of(line)) > indent, lines)]
    if not any(line.strip() for line in inside):
        return ""
    kept = _most(len(inside), lambda size: room.count(after_block("\n".join(inside[:size]))) <= room.tokens)
    return after_block("\n".join(inside[:kept])) if kept else ""


def paper_prompt(before: str) -> str:
    """Only signature and docstring, as the published method prompts; decorators are kept.

    Source: ToolGen (arXiv 2401.06391).
    """
    return look_around(PromptContext(path="", before=before)).head


def _choose(
    context: PromptContext, around: Surroundings, places: Sequence[Cut], room: _Room, shares: PromptShares
) -> Parts:
    """The parts above the target: what the code will not show within their shares, then as much code as fits."""
    count = room.count
    code_share = 1 - shares.imports - shares.definitions - shares.members
    start = _first_shown(around, places, room.share(code_share)).line
    imports = _ranked_imports(around, start)
    definitions = _ranked_definitions(context, around, start)
    members = _ranked_members(context, around, start)
    chosen = Parts(
        cut=places[0],
        imports=room.share(shares.imports).take(imports, lambda node: f"\n{ast.unparse(node)}"),
        definitions=room.share(shares.definitions).take(definitions, lambda found: _lines(definition_lines([found]))),
        members=room.share(shares.members).take(members, lambda stub: f"\n    {stub.text}"),
    )
    left = _Room(count, room.tokens - count(render(context, around, chosen)))
    return replace(chosen, cut=_first_shown(around, places, left))


@dataclass(frozen=True, slots=True)
class _Room:
    """Tokens that may be spent, and who counts them."""

    count: CountTokens
    tokens: int

    def share(self, share: float) -> _Room:
        return _Room(self.count, int(self.tokens * share))

    def take(self, items: Iterable[Item], text: Callable[[Item], str]) -> tuple[Item, ...]:
        """The items that fit, in their order; one that is too large gives way to smaller ones behind it."""
        taken, left = [], self.tokens
        for item in items:
            tokens = self.count(text(item)) if left > 0 else 1
            if tokens <= left:
                taken.append(item)
                left -= tokens
        return tuple(taken)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _first_shown(around: Surroundings, places: Sequence[Cut], room: _Room) -> Cut:
    """The earliest cut with which the code above the target fits, by the sum of its statements.

    A line break is counted with what follows it, as tokenizers join it with the indent.
    """
    best, used = places[0], 0
    for later, cut in pairwise(places):
        used += room.count("\n" + "\n".join(around.lines[cut.line : later.line]))
        if used > room.tokens:
            break
        headers = _lines(header_lines(around, cut, []))
        if used + (room.count(headers) if headers else 0) <= room.tokens:
            best = cut
    return best


def _ranked_imports(around: Surroundings, start: int) -> list[ImportStatement]:
    """Import statements above ``start``: first what the target's head names, then what the code nearby does."""
    head, nearby = (
        set(_WORD.findall(text)) for text in (around.opening, "\n".join(around.lines[start : around.head_line]))
    )
    hidden = [node for node in import_statements(around.tree) if node.lineno - 1 < start]
    bound = {node: {alias.asname or alias.name.partition(".")[0] for alias in node.names} for node in hidden}
    return sorted(hidden, key=lambda node: (not bound[node] & head, not bound[node] & nearby))


def _ranked_definitions(context: PromptContext, around: Surroundings, start: int) -> list[Definition]:
    """Relevant definitions that the code from ``start`` does not show; this file's come from its text."""
    own, path = context.module_name, Path(context.path)
    hidden = {
        member.name: member
        for member in module_outline(around.tree)
        if not (start <= member.line <= around.head_line or member.holds(around.head_line))
    }
    here = [Definition(name, name, own, member.kind, "", path, member.line) for name, member in hidden.items()]
    elsewhere = [definition for definition in context.definitions if definition.module != own]
    ranked = rank([*here, *elsewhere], around, context)[:_MOST_LISTED]
    return [replace(d, signature=hidden[d.name].declaration) if d.module == own else d for d in ranked]


def _ranked_members(context: PromptContext, around: Surroundings, start: int) -> list[Stub]:
    """Members of the enclosing class that the code from ``start`` does not show, likeliest first."""
    own = {member.name: member for member in (around.owner.members if around.owner else ())}
    inherited = {member.name: member for member in context.class_members if around.owner and member.name not in own}
    shown = {name for name, member in own.items() if start <= member.line <= around.head_line}
    uses = Counter(_ATTRIBUTE.findall("\n".join(around.lines[: around.head_line]) + context.after))
    words = set(subwords(around.opening))

    def likelihood(name: str) -> float:
        return 4.0 * len(words.intersection(subwords(name))) + min(uses[name], 8)

    names = [name for name in [*own, *inherited] if name not in shown and not name.startswith("__")]
    likely = sorted(names, key=likelihood, reverse=True)[:_MOST_LISTED]
    return [
        Stub(name, stub_text(own[name].declaration), own[name].line)
        if name in own
        else Stub(name, stub_text(inherited[name].signature), None)
        for name in likely
    ]


def _fitting_head(around: Surroundings, count_tokens: CountTokens, budget_tokens: int, share: float) -> str:
    """The target's head; a docstring above its share loses its middle, then lines go from the top."""
    head = around.head
    if count_tokens(head) <= budget_tokens * share:
        return head
    first, last = _docstring_lines(around)
    inner = around.lines[first + 1 : last]

    def shortened(kept: int) -> str:
        front, back = inner[: (kept + 1) // 2], inner[len(inner) - kept // 2 :]
        middle = [indent_of(around.lines[last]) + "..."]
        lines = [*around.lines[around.head_line : first + 1], *front, *middle, *back, *around.lines[last:]]
        return "\n".join(lines)

    if inner:
        kept = _most(len(inner) - 1, lambda size: count_tokens(shortened(size)) <= budget_tokens * share)
        head = shortened(kept)
    return _last_part(head, count_tokens, budget_tokens)


def _docstring_lines(around: Surroundings) -> tuple[int, int]:
    """First and last line of the target's docstring; two equal lines when it has none or a short one."""
    if not around.target or not around.docstring:
        return around.head_line, around.head_line
    node = around.target.body[0]
    length = (node.end_lineno or node.lineno) - node.lineno
    last = around.head_line + around.opening.rstrip().count("\n")
    return last - length, last


def _last_part(text: str, count_tokens: CountTokens, budget_tokens: int) -> str:
    """As much of the end of ``text`` as fits: whole lines, else characters."""
    if count_tokens(text) <= budget_tokens:
        return text
    lines = text.splitlines(keepends=True)
    kept = _most(len(lines), lambda size: count_tokens("".join(lines[len(lines) - size :])) <= budget_tokens)
    if kept:
        return "".join(lines[len(lines) - kept :])
    kept = _most(len(text), lambda size: count_tokens(text[len(text) - size :]) <= budget_tokens)
    return text[len(text) - kept :]


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest size up to ``limit`` that fits, where smaller ones fit as well; 0 if none does."""
    good, bad = 0, limit + 1
    while bad - good > 1:
        size = (good + bad) // 2
        good, bad = (size, bad) if fits(size) else (good, size)
    return good
