"""What the user can set: one frozen dataclass, every field defaulted; a bad value is a warning and the default.

Knows names, kinds and ranges, not what the settings do. Editors spell the fields in camel case. Start at ``Settings``.
"""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from generation.config import CONTEXT_TOKENS

Check = str | None

_RANGES: dict[str, tuple[float, float]] = {
    "line_tokens": (1, 1024),
    "block_tokens": (1, 4096),
    "body_tokens": (1, 4096),
    "debounce_ms": (0, 5000),
    "deadline_ms": (50, 600_000),
    "temperature": (0.0, 5.0),
    "threads": (1, os.cpu_count() or 1),  # many more wait for each other without end
    "context_tokens": CONTEXT_TOKENS,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, as ``initializationOptions`` or in the section ``memberwise``.

    Attributes:
        enabled: false pauses everything that uses the model.
        model: a cached model, a folder or a GGUF file.
        adapter: a name or a folder; "none" takes the model as it is, null what ships for the trigger mode.
        threads: threads the model computes with; null lets Memberwise choose.
        trigger: when Jedi is asked; auto is mark where the adapter was measured to ask, else dot.
        context_tokens: what the model reads fills a context of so many tokens; null reads about a thousand.
        inline: how much an automatic completion writes: by context, one line, a block, or nothing.
        line_tokens: most tokens of a line.
        block_tokens: most tokens of a block.
        body_tokens: most tokens of a generated body.
        debounce_ms: pause before an automatic completion starts; null adapts it to the typing.
        deadline_ms: an inline completion ends after this long with what it has.
        temperature: 0 always writes the most probable text.
        completion: offer Jedi's members in the completion list, ranked by the model.
        hover: tell over a generated member what was offered and chosen.
        diagnostics: report members that do not exist in accepted code.
        code_lens: show "Generate body" above functions without a body.
        python: interpreter whose packages the code can use; null finds one.
        trusted: false runs no interpreter of the workspace and reads nothing outside of it.
        statistics: count completions, on this machine alone.
    """

    enabled: bool = True
    model: str = "default"
    adapter: str | None = None
    threads: int | None = None
    trigger: Literal["auto", "off", "dot", "mark"] = "auto"
    context_tokens: int | None = None
    inline: Literal["auto", "line", "block", "off"] = "auto"
    line_tokens: int = 48
    block_tokens: int = 160
    body_tokens: int = 256
    debounce_ms: int | None = None
    deadline_ms: int = 15_000
    temperature: float = 0.0
    completion: bool = False
    hover: bool = True
    diagnostics: bool = False
    code_lens: bool = True
    python: str | None = None
    trusted: bool = True
    statistics: bool = True


def read_settings(*sources: object) -> tuple[Settings, tuple[str, ...]]:
    """Settings from what clients send, later sources first in rank, and what is wrong with them.

    A source may be the section itself or an object that holds it under ``memberwise``. Keys that are not known are left
    alone: editors keep settings of their own there. A null is the default, also where an earlier source has a value:
    that is how an editor takes back what it sent when the server started.
    """
    merged: dict[str, object] = {}
    problems = []
    for source in sources:
        section = source.get("memberwise", source) if isinstance(source, Mapping) else source
        if isinstance(section, Mapping):
            merged |= section
        elif section is not None and section != []:  # an empty table of Lua is an empty list
            problems.append(f"settings must be an object, not {_shown(section)}")
    values = {}
    hints = typing.get_type_hints(Settings)
    for field in fields(Settings):
        key = camel(field.name)
        if merged.get(key) is not None:
            wrong = _problem(field.name, hints[field.name], merged[key])
            if wrong:
                problems.append(f"memberwise.{key}: {wrong}; {_shown(field.default)} is used")
            else:
                values[field.name] = merged[key]
    return Settings(**typing.cast("dict[str, Any]", values)), tuple(problems)


def camel(name: str) -> str:
    """``line_tokens`` as clients spell it: ``lineTokens``."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _problem(name: str, hint: Any, value: object) -> Check:
    """What is wrong with a value, or None."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        return None if value in choices else f"{_shown(value)} is none of {', '.join(choices)}"
    if not _is_of(hint, value):
        return f"{_shown(value)} is not {_kind(hint)}"
    low, high = _RANGES.get(name, (0, 0))
    if name in _RANGES and not low <= typing.cast("float", value) <= high:
        return f"{_shown(value)} is not from {low:.12g} to {high:.12g}"
    return None


def _is_of(hint: Any, value: object) -> bool:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kinds)) or (float in kinds and isinstance(value, int))


def _kind(hint: Any) -> str:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return next(words[kind] for kind in kinds if kind in words)


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
