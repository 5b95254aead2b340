"""The plain data that crosses package boundaries: requests, drafts, suggestions, events.

Knows nothing of torch, Jedi, files or the terminal. All offsets are code points into ``str``; lines are 0-based
unless a name says otherwise. Everything is frozen. Start reading at ``GenerationRequest`` and ``GenerationEvent``:
one goes into ``Generator.stream``, the others come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

# --------------------------------------------------------------------------------------------- the repository tool


class NameKind(StrEnum):
    """What kind of name can stand at a position."""

    ATTRIBUTE = "attribute"  # after the dot of an expression
    NAME = "name"  # where an expression starts
    ARGUMENT = "argument"  # a keyword argument in a call; its suggestions end with "="
    IMPORT = "import"  # in an import statement: a module, or what a module has


class SuggestionSource(StrEnum):
    """Who says that the name exists."""

    JEDI = "jedi"  # resolved by static analysis at this position
    INDEX = "index"  # used on a receiver of the same name elsewhere in the repository, or of a class called like it
    BUILTIN = "builtin"  # a method of str, dict, list, set or a file, where nothing says what the receiver is
    SCOPE = "scope"  # bound in the text above the position (parameters, locals)
    IMPORT = "import"  # exists in the repository or the standard library, valid once imported


@dataclass(frozen=True, slots=True)
class ImportNeeded:
    """An import that makes a name valid: ``from module import name``, or without a name ``import module``."""

    module: str
    name: str | None = None
    alias: str | None = None

    @property
    def bound_name(self) -> str:
        """The identifier the import binds."""
        return self.alias or self.name or self.module.partition(".")[0]

    @property
    def statement(self) -> str:
        """As it is written in a file."""
        alias = f" as {self.alias}" if self.alias and self.alias != (self.name or self.module) else ""
        return f"import {self.module}{alias}" if self.name is None else f"from {self.module} import {self.name}{alias}"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One name that the tool offers at a position."""

    name: str
    kind: str = ""  # Jedi's word: function, class, instance, module, property, statement, param, keyword
    source: SuggestionSource = SuggestionSource.JEDI
    import_needed: ImportNeeded | None = None


@dataclass(frozen=True, slots=True)
class ToolQuery:
    """A question to the tool: which names can stand between ``before`` and ``after``?

    ``before`` ends exactly where the name would begin (for an attribute: just after the dot) and holds no marks.
    ``after`` is what follows the hole in the file. ``path`` need not exist on disk.
    """

    root: Path
    path: Path
    before: str
    after: str
    kind: NameKind


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the tool knows about a position; never an exception.

    Attributes:
        suggestions: names, unique, best source first; empty when nothing is known.
        trusted: the list is believed to be complete, so a name outside it does not exist.
        receiver: the expression before the dot, or None at a name position.
        importable: at a name position, names that an import makes valid, those in scope too; made when looked up.
        elapsed_ms: wall time of this question.
        cached: answered without asking Jedi.
        error: why there is no (full) answer: ``timeout``, ``crash`` with what the process said last, or a message; None
            when all went well.
        trusted_unless_bound: trusted, were it not for names that the code from the position on may bind: a target, the
            variable of a comprehension.
        may_have_more: though the list is the best to write from, a name outside it is not certainly wrong.
        excluded: names that cannot stand here whatever the list says: arguments that a call has got already.
    """

    suggestions: tuple[Suggestion, ...] = ()
    trusted: bool = False
    receiver: str | None = None
    importable: Mapping[str, Suggestion] = field(default_factory=dict)
    elapsed_ms: float = 0.0
    cached: bool = False
    error: str | None = None
    trusted_unless_bound: bool = False
    may_have_more: bool = False
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class or variable that a repository module defines at its top level, or a method of such a class."""

    name: str
    qualname: str  # within the module: ``helper``, ``Session``, ``Session.send``
    module: str  # dotted, importable from the repository root
    kind: str  # function, class, variable, method
    signature: str  # one line of Python: ``def helper(a: int) -> str``, ``class Session(Base)``, ``LIMIT = 3``
    path: Path
    line: int  # 0-based


# --------------------------------------------------------------------------------------------- decoding


@dataclass(frozen=True, slots=True)
class Draft:
    """A tree of tokens to be scored in one forward; nothing of it is committed by scoring.

    Node ``i`` holds ``token_ids[i]`` and hangs below node ``parents[i]`` (< i), or below the last committed token
    when that is -1. A speculative draft is a chain, a plain step is one node, a trie of suggestions is a tree.
    """

    token_ids: tuple[int, ...]
    parents: tuple[int, ...]

    @classmethod
    def chain(cls, token_ids: Sequence[int]) -> Draft:
        """A draft without branches."""
        return cls(tuple(token_ids), tuple(range(-1, len(token_ids) - 1)))

    def __len__(self) -> int:
        return len(self.token_ids)


class Extent(StrEnum):
    """How much is written."""

    BODY = "body"  # the body of a function, in whole lines
    BLOCK = "block"  # from a cursor to where code leaves the indentation of its block
    LINE = "line"  # from a cursor to the end of its statement, or of the statement that starts there


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One hole in one file, and what to fill it with.

    A body starts on a line of its own. At a cursor the statement has begun already: ``stem`` is what is there of it,
    ``prefix`` the start of the name that is being typed. ``Finished.text`` then starts with ``prefix``.

    Attributes:
        root: the repository.
        path: the file, real or not.
        before: visible text of the file up to the line that the hole's first statement starts on.
        after: visible text after the hole.
        prompt: what the model reads, built by ``marks.prompt.build_prompt``; ends with ``before``, at a cursor with
            the stem.
        indent: the indentation of the block that is filled; generation ends when code leaves it.
        max_tokens: upper bound on generated tokens, marks included; a name that has begun is written to its end.
        seed: of the sampler; ignored at temperature 0.
        extent: how much is written.
        stem: at a cursor, the statement up to the name that is being typed, its indentation included.
        prefix: at a cursor, the start of a name, which the generated text must spell.
        may_be_empty: the model may find that nothing belongs here.
    """

    root: Path
    path: Path
    before: str
    after: str
    prompt: str
    indent: str
    max_tokens: int = 256
    seed: int = 0
    extent: Extent = Extent.BODY
    stem: str = ""
    prefix: str = ""
    may_be_empty: bool = False

    @property
    def opening(self) -> str:
        """What is there already of the hole's first line; a body lacks only its indentation."""
        return self.indent if self.extent is Extent.BODY else self.stem


class FinishReason(StrEnum):
    """Why a generation ended."""

    END = "end"  # the block is complete
    REPETITION = "repetition"  # the same lines came for the third time; they are kept once
    LIMIT = "limit"  # max_tokens or the model's context; the text is cut after the last complete statement
    CANCELLED = "cancelled"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt has been read. ``reused_tokens`` of its ``prompt_tokens`` came from the prefix cache."""

    prompt_tokens: int
    reused_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Visible text that was appended; never holds a mark."""

    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name the chooser looked at. ``probability`` is of the whole identifier, its end included."""

    name: str
    probability: float
    source: SuggestionSource


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The tool was asked at ``offset`` (code points into the generated text).

    ``chosen`` is None when the chooser abstained or the tool had nothing; the model then wrote freely.
    ``model_choice`` is what the model would have written without the tool, where that is known.
    """

    offset: int
    kind: NameKind
    receiver: str | None
    suggestions: int
    trusted: bool
    best: tuple[Candidate, ...]
    chosen: Suggestion | None
    model_choice: str | None
    elapsed_ms: float
    cached: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """Cost of one generation.

    ``forwards`` counts calls of the model after the prompt, ``tool_ms`` is what was waited for answers of the tool.
    """

    prompt_tokens: int = 0
    generated_tokens: int = 0
    forwards: int = 0
    tool_calls: int = 0
    tool_ms: float = 0.0
    prefill_ms: float = 0.0
    total_ms: float = 0.0
    logprob: float = 0.0  # sum over generated tokens, under the unconstrained model


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. ``text`` is what to insert: the deltas joined, then cut and cleaned by the filters."""

    reason: FinishReason
    text: str
    imports: tuple[ImportNeeded, ...]
    stats: GenerationStats


GenerationEvent = Started | TextDelta | ToolCalled | Finished
