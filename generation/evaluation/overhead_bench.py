"""What the tool costs: a generation that asks it, against plain decoding of the very same text.

Each text is written twice behind the same prompt: by the generator with its tool, and, when the tool has ended, by the
same weights and drafts without any tool, forced to write what the first wrote. Both read their prompts: while a prompt
is read the tool works already, in another process, and takes a core from the model. Time is that of the clock on the
wall. The first function of each repository is counted apart: there Jedi starts, and reads what it has never seen. What
the generator takes back because it repeats itself, it does with and without a tool, so both are compared by the token
that was written. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generation import service
from generation.config import GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation.tasks import Task, collect_tasks
from generation.source.files import read_source
from generation.source.functions import find_at
from generation.types import Finished, GenerationRequest, GenerationStats, TextDelta

if TYPE_CHECKING:
    from generation.decoding.rivals import Timing
    from generation.interfaces import LanguageModel

_LEAST_TOKENS = 4  # a shorter text says nothing of writing


@dataclass(frozen=True, slots=True)
class Overhead:
    """Of one way to ask.

    Attributes:
        name: preset and adapter.
        first: whether each function is the first one of its repository; else none is.
        functions: how many texts.
        tokens: of the texts.
        written_tokens: by the generator, what it took back or did not show because it repeats included.
        tool_calls: questions in all.
        with_tool_s: writing, by the generator.
        plain_s: writing the same texts without it.
        waited_s: of the first, for answers.
        prompt_s: reading the prompts, while the tool works.
        plain_prompt_s: reading them without it.
    """

    name: str
    first: bool
    functions: int
    tokens: int
    written_tokens: int
    tool_calls: int
    with_tool_s: float
    plain_s: float
    waited_s: float
    prompt_s: float
    plain_prompt_s: float

    @property
    def ratio(self) -> float:
        """Of writing a token; 1 when the tool costs nothing."""
        return self.with_tool_s / self._plain_s

    @property
    def request_ratio(self) -> float:
        """The same of the whole request."""
        return (self.prompt_s + self.with_tool_s) / (self.plain_prompt_s + self._plain_s)

    @property
    def _plain_s(self) -> float:
        """For as many tokens as the generator wrote."""
        return self.plain_s * self.written_tokens / self.tokens


@dataclass(frozen=True, slots=True)
class _Written:
    """A text as the generator wrote it with its tool."""

    first: bool
    request: GenerationRequest
    token_ids: Sequence[int]
    stats: GenerationStats


def measure(
    config: GeneratorConfig,
    model: LanguageModel,
    plain: LanguageModel,
    roots: Mapping[str, Path],
    per_repo: int,
    report: Callable[[str], None],
) -> list[Overhead]:
    """Write ``per_repo`` functions of each repository with the tool of ``config``, and again without.

    Args:
        config: the way to ask.
        model: writes with the tool.
        plain: the same weights, for writing without it; each reuses of a prompt what it read itself.
        roots: repositories.
        per_repo: functions of each.
        report: told what is measured now.

    Returns:
        What the first functions of the repositories cost, and the others where there are any.

    Raises:
        ConfigError: nothing was written for any of them.
    """
    name = f"{config.decoding.trigger} ({model.name.rpartition('+')[2]})"
    texts: list[tuple[_Written, Timing]] = []
    for repo, root in roots.items():
        report(f"tool overhead of {name}: {repo}")
        with service.build_generator(config, root, model) as session:
            tasks = enumerate(collect_tasks(root, repo, per_repo))
            written = [_with_tool(session, root / task.path, task, first=number == 0) for number, task in tasks]
        texts += [(one, _without(plain, one)) for one in written if len(one.token_ids) >= _LEAST_TOKENS]
    if not texts:
        raise ConfigError(f"no function of {', '.join(roots)} was written; name other repositories")
    parts = [[text for text in texts if text[0].first is first] for first in (True, False)]
    return [_summed(name, part) for part in parts if part]


def _summed(name: str, texts: Sequence[tuple[_Written, Timing]]) -> Overhead:
    stats = [written.stats for written, _ in texts]
    prompt_s = sum(one.prefill_ms for one in stats) / 1000
    return Overhead(
        name,
        texts[0][0].first,
        len(texts),
        sum(len(written.token_ids) for written, _ in texts),
        sum(one.generated_tokens for one in stats),
        sum(one.tool_calls for one in stats),
        sum(one.total_ms for one in stats) / 1000 - prompt_s,
        sum(timing.write_s for _, timing in texts),
        sum(one.tool_ms for one in stats) / 1000,
        prompt_s,
        sum(timing.read_s for _, timing in texts),
    )


def _with_tool(session: service.Session, path: Path, task: Task, *, first: bool) -> _Written:
    file = read_source(path)
    site = find_at(file.text, file.text.count("\n", 0, task.start))
    events = list(session.stream(site, file))
    assert isinstance(events[-1], Finished)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    request = session.request(site, file, 0)
    return _Written(first, request, session.model.tokenizer.encode(text), events[-1].stats)


def _without(model: LanguageModel, written: _Written) -> Timing:
    from generation.decoding.drafts.drafting import texts_around
    from generation.decoding.rivals import OwnEngine

    prompt_ids, around = model.tokenizer.encode(written.request.prompt), texts_around(model, written.request)
    return OwnEngine(model, drafts=True).rewrite(prompt_ids, written.token_ids, around)


def ratios(found: Sequence[Overhead], usual: str) -> dict[str, float]:
    """By way of asking, of functions behind the first; ``tool_overhead`` is that of the ``usual`` one.

    Of whole generations, the prompt included; those that end in ``_writing`` are of writing alone. Where nothing but
    first functions was written, it is theirs.
    """
    named: dict[str, float] = {}
    for one in found:
        way, ending = one.name.partition(" ")[0], "_first" * one.first
        for key in (f"_{way}", *([""] if way == usual else ())):
            named[f"tool_overhead{key}{ending}"] = round(one.request_ratio, 3)
            named[f"tool_overhead{key}{ending}_writing"] = round(one.ratio, 3)
    for kind in ("", "_writing"):
        if f"tool_overhead_first{kind}" in named:
            named.setdefault(f"tool_overhead{kind}", named[f"tool_overhead_first{kind}"])
    return named
