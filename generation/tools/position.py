"""A question to the tool, made ready: the repaired buffer, the function around it, and what the answer depends on.

Knows nothing of processes and caches. Start reading at ``Position.of``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generation.source.lexer import Scanner
from generation.tools.answer_cache import AnswerKey
from generation.tools.receiver import receiver_of
from generation.tools.repair import DUMMY, RepairedBuffer, repair, statements
from generation.tools.scope import FunctionText, function_at
from generation.types import NameKind, ToolQuery

Question = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a name is asked for.

    Attributes:
        path: the file, absolute.
        buffer: the file as Jedi may see it.
        function: the outermost function around the position, if any.
        receiver: the expression before the dot; None at a name.
    """

    path: Path
    buffer: RepairedBuffer
    function: FunctionText | None
    receiver: str | None

    @classmethod
    def of(cls, query: ToolQuery) -> Position:
        """Repair the buffer and look at what is around the position."""
        buffer = repair(query.before, query.after)
        receiver = receiver_of(query.before) if query.kind is NameKind.ATTRIBUTE else None
        return cls((query.root / query.path).absolute(), buffer, function_at(buffer), receiver)

    @property
    def head(self) -> str:
        """The buffer up to the position."""
        return self.buffer.text[: self.buffer.offset]

    @property
    def indent(self) -> str | None:
        """Whitespace before the position, or None when something else stands on its line."""
        line = self.head[self.head.rfind("\n") + 1 :]
        return None if line.strip() else line

    def key(self, expression: str) -> AnswerKey:
        """What the answer about an expression at this position depends on; "" stands for the names of the file."""
        text, function = self.buffer.text, self.function
        if function is None:
            return AnswerKey(self.path, hash(text), expression, str(self.buffer.offset))
        around = hash((text[: function.start], text[self.buffer.end :]))
        return AnswerKey(self.path, around, expression, function.relevant_text(expression))

    def key_here(self) -> AnswerKey:
        """The same for what depends on everything above the position."""
        return replace(self.key(""), expression="(", relevant=self.head)

    def question(self, kind: NameKind) -> Question:
        """What the worker is asked about this position."""
        return question(self.path, self.buffer.text, self.buffer.offset, kind)

    def names_question(self) -> Question:
        """What the worker is asked for the names of the file."""
        asked = self.question(NameKind.NAME)
        return asked if self.function is None else _of_file(asked)

    @property
    def may_bind(self) -> bool:
        """A name that does not exist yet may stand here, because it is bound here or further on."""
        expected = Scanner(self.statement).expected_name()
        return expected is None or expected.may_bind

    @property
    def statement(self) -> str:
        """The statement at the position, as far as it stands before it."""
        return self.head[statements(self.head + DUMMY)[-1].start :]

    def warm_questions(self) -> list[tuple[AnswerKey, Question]]:
        """What most functions ask: the names of the file and, in a method, the members of its object.

        Nothing else is asked so often that it is worth a core while the model reads (docs/repository-tool.md).
        """
        own = self.function.parameters[:1] if self.function and self.function.in_class else ()
        if not own or self.indent is None:
            return [(self.key(""), self.names_question())]
        before = f"{self.head}{own[0]}."
        text = f"{before}{DUMMY}\n{self.indent}{self.buffer.text[self.buffer.offset :]}"
        asked = question(self.path, text, len(before), NameKind.ATTRIBUTE)
        return [(self.key(""), _of_file(asked)), (self.key(own[0]), asked)]  # one text, which is read once


def _of_file(asked: Question) -> Question:
    """The same of a file's names, which every function in it sees, wherever it stands."""
    return {**asked, "kind": "file"}


def question(path: Path, text: str, offset: int, kind: NameKind) -> Question:
    """A position as the worker wants it: 1-based line, column in code points."""
    line_start = text.rfind("\n", 0, offset) + 1
    line = text.count("\n", 0, offset) + 1
    return {"path": str(path), "text": text, "line": line, "column": offset - line_start, "kind": str(kind)}
