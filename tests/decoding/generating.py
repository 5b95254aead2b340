"""A generation by a scripted model and a table of suggestions, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from generation.config import PRESETS, DecodingConfig, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.interfaces import CompletionTool, Drafter
from generation.types import (
    Finished,
    GenerationEvent,
    GenerationRequest,
    NameKind,
    Suggestion,
    ToolAnswer,
    ToolCalled,
    ToolQuery,
)
from tests.decoding.scripted import ScriptedModel, writes

PROMPT = "def f(self):\n"


class TableTool:
    """Answers from two lists and remembers the questions."""

    def __init__(
        self,
        attributes: Sequence[str] = (),
        names: Sequence[str] = ("self", "print", "None", "not"),
        trusted: bool = True,
        importable: Mapping[str, Suggestion] | None = None,
        arguments: Sequence[str] = (),
        imports: Sequence[str] = (),
    ) -> None:
        self.lists = {
            NameKind.ATTRIBUTE: attributes,
            NameKind.NAME: names,
            NameKind.ARGUMENT: arguments,
            NameKind.IMPORT: imports,
        }
        self.trusted = trusted
        self.trusted_unless_bound = trusted
        self.importable = importable or {}
        self.excluded: tuple[str, ...] = ()
        self.queries: list[ToolQuery] = []

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        self.queries.append(query)
        found = tuple(Suggestion(name) for name in self.lists[query.kind])
        importable = self.importable if query.kind is NameKind.NAME else {}
        bound = self.trusted_unless_bound
        excluded = self.excluded if query.kind is NameKind.ARGUMENT else ()
        return ToolAnswer(found, self.trusted, importable=importable, trusted_unless_bound=bound, excluded=excluded)

    def prefetch(self, query: ToolQuery) -> None: ...

    def close(self) -> None: ...


def run(
    texts: Sequence[tuple[str, float]],
    tool: CompletionTool | None = None,
    config: DecodingConfig = PRESETS["dot"],
    drafter: Drafter | None = None,
    sampling: SamplingConfig | None = None,
    **fields: object,
) -> tuple[list[GenerationEvent], ScriptedModel]:
    model = ScriptedModel(writes(PROMPT, *texts))
    request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ", **fields)  # type: ignore[arg-type]
    generator = Generator(model, tool or TableTool(), drafter, config, sampling or SamplingConfig())
    return list(generator.stream(request)), model


def text_of(events: Sequence[GenerationEvent]) -> str:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.text


def calls(events: Sequence[GenerationEvent]) -> list[ToolCalled]:
    return [event for event in events if isinstance(event, ToolCalled)]
