"""What the repository's index knows of the names around a hole: the part of a prompt that is not in its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generation.marks.context import PromptContext
from generation.marks.relevance import wanted
from generation.tools.member_index import MemberIndex
from generation.types import Definition


def prompt_context(index: MemberIndex, path: Path, before: str, after: str, owner: str) -> PromptContext:
    """The hole, with what the repository's index knows of the names around it.

    Args:
        index: of the repository.
        path: the file.
        before: its text up to the hole.
        after: its text behind the hole.
        owner: qualified name of the class that the function is a method of, or "".
    """
    relative = path.relative_to(index.root).as_posix() if path.is_relative_to(index.root) else path.name
    module = index.module_of(path)
    members = tuple(index.class_members(module, owner)) if owner else ()
    bare = PromptContext(relative, before, after, class_members=members, module=module)
    asked = wanted(bare)
    definitions: list[Definition] = index.definitions(asked.names)
    for name in asked.modules:
        definitions += index.module_definitions(name)
    for definition in index.definitions(asked.classes):
        if definition.kind == "class":
            definitions += index.class_members(definition.module, definition.qualname)
    return replace(bare, definitions=definitions)
