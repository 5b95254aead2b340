"""What the tool costs: a generation that asks it, against plain decoding of the very same text.

Each text is written twice behind the same prompt: by the generator with its tool, and by the same model and drafts
without any tool, forced to write what the first wrote. Reading the prompt is the same work for both: the ratio of
writing leaves it out, that of the whole request has it. Time is that of the clock on the wall: the tool works in
another process. The first function of each repository is counted apart: there Jedi reads what it has never seen, while
the model's threads want the same cores. What the generator takes back because it repeats itself, it does with and
without a tool, so both are compared by the token that was written. Knows no implementation but by name. Start reading
at ``measure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generation import service
from generation.config import GeneratorConfig
from generation.errors import ConfigError
from generation.evaluation.tasks import Task, collect_tasks
from generation.source.files import read_source
from generation.source.functions import find_at
from generation.types import Finished, TextDelta

if TYPE_CHECKING:
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
        prompt_s: reading the prompts, which comes before either.
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

    @property
    def ratio(self) -> float:
        """Of writing a token; 1 when the tool costs nothing."""
        return self.with_tool_s / self._plain_s

    @property
    def request_ratio(self) -> float:
        """The same of the whole request."""
        return (self.prompt_s + self.with_tool_s) / (self.prompt_s + self._plain_s)

    @property
    def _plain_s(self) -> float:
        """For as many tokens as the generator wrote."""
        return self.plain_s * self.written_tokens / self.tokens


@dataclass(frozen=True, slots=True)
class _Text:
    """One text, written both ways."""

    first: bool
    tokens: int
    written_tokens: int
    tool_calls: int
    with_tool_s: float
    plain_s: float
    waited_s: float
    prompt_s: float


def measure(
    config: GeneratorConfig,
    model: LanguageModel,
    roots: Mapping[str, Path],
    per_repo: int,
    report: Callable[[str], None],
) -> list[Overhead]:
    """Write ``per_repo`` functions of each repository with the tool of ``config``, and again without.

    Returns:
        What the first functions of the repositories cost, and the others where there are any.

    Raises:
        ConfigError: nothing was written for any of them.
    """
    name = f"{config.decoding.trigger} ({model.name.rpartition('+')[2]})"
    texts: list[_Text] = []
    for repo, root in roots.items():
        report(f"tool overhead of {name}: {repo}")
        with service.build_generator(config, root, model) as session:
            for number, task in enumerate(collect_tasks(root, repo, per_repo)):
                texts += _both_ways(session, root / task.path, task, first=number == 0)
    if not texts:
        raise ConfigError(f"no function of {', '.join(roots)} was written; name other repositories")
    parts = [[text for text in texts if text.first is first] for first in (True, False)]
    return [_summed(name, part) for part in parts if part]


def _summed(name: str, texts: Sequence[_Text]) -> Overhead:
    return Overhead(
        name,
        texts[0].first,
        len(texts),
        sum(text.tokens for text in texts),
        sum(text.written_tokens for text in texts),
        sum(text.tool_calls for text in texts),
        sum(text.with_tool_s for text in texts),
        sum(text.plain_s for text in texts),
        sum(text.waited_s for text in texts),
        sum(text.prompt_s for text in texts),
    )


def _both_ways(session: service.Session, path: Path, task: Task, *, first: bool) -> Iterator[_Text]:
    from generation.decoding.drafting import texts_around
    from generation.decoding.rivals import OwnEngine

    file = read_source(path)
    site = find_at(file.text, file.text.count("\n", 0, task.start))
    events = list(session.stream(site, file))
    assert isinstance(events[-1], Finished)
    stats = events[-1].stats
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    model, request = session.model, session.request(site, file, 0)
    token_ids = model.tokenizer.encode(text)
    if len(token_ids) < _LEAST_TOKENS:
        return
    plain = OwnEngine(model, drafts=True)
    plain_s = plain.rewrite(model.tokenizer.encode(request.prompt), token_ids, texts_around(model, request))
    prompt_s = stats.prefill_ms / 1000
    with_tool_s = stats.total_ms / 1000 - prompt_s
    yield _Text(
        first,
        len(token_ids),
        stats.generated_tokens,
        stats.tool_calls,
        with_tool_s,
        plain_s,
        stats.tool_ms / 1000,
        prompt_s,
    )


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
