"""The composition root: picks implementations and wires them, so that nothing above has to.

``load_model`` and ``build_generator`` choose; ``Session`` is a repository that can be generated in; ``apply`` puts a
result into its file. Knows no terminal, no protocol and no editor. Start reading at ``build_generator``.
"""

from __future__ import annotations

import atexit
import gc
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from generation import adapters, models
from generation.cache import cache_root
from generation.candidates import RankedCandidate, sampling_of
from generation.config import DecodingConfig, GeneratorConfig, SamplingConfig, Trigger
from generation.errors import ConfigError, ModelLoadError
from generation.interfaces import Drafter, LanguageModel, ReportShare, Tell, silent
from generation.marks.prompt import PromptShares, build_prompt, paper_prompt
from generation.marks.typed_prompts import MOST_TYPED, TypedPrompts
from generation.models.manifest import read_manifest
from generation.source.files import SourceFile
from generation.source.functions import FunctionSite, hole, replace_body
from generation.source.imports import add_imports, moved_by
from generation.tools.checks import Problem, check
from generation.tools.cursor import CursorSite
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.tools.prompt_context import prompt_context
from generation.types import (
    Finished,
    GenerationEvent,
    GenerationRequest,
    NameKind,
    ToolCalled,
    ToolQuery,
)

if TYPE_CHECKING:
    from generation.decoding.drafts.drafting import Odds
    from generation.decoding.loop.forcing import NextName
    from generation.decoding.loop.generator import Generator

_TYPED = PromptShares(step_tokens=128)  # so much of a function is typed before the code above it has to move
REMOTE = "remote:"  # starts the name of a model that a server has


def load_model(config: GeneratorConfig, report: ReportShare = silent, tell: Tell | None = None) -> LanguageModel:
    """The model that ``config`` names, from the cache or a folder; nothing is downloaded.

    Args:
        config: what to use.
        report: is told how far the loading is.
        tell: is told what the user has to know while the model is used: that a server was lost. None logs it.

    Raises:
        ModelLoadError: it is not there, or cannot be loaded; or its adapter does not exist.
        AdapterMismatchError: the adapter that ``config`` names was trained for another model.
        MissingExtraError: the extra ``model`` is not installed.
    """
    if config.model.startswith(REMOTE):
        return _remote_model(config, tell)
    from generation.decoding import loading

    folder = models.resolve(config.model)
    long = (config.context_tokens, config.selection)
    return loading.load_model(folder, config.dtype, config.threads, adapter_for(config, folder), report, *long)


def _remote_model(config: GeneratorConfig, tell: Tell | None) -> LanguageModel:
    """The model of a server; its fallback is the default model of this machine."""
    from generation.decoding.tokens.tokenizer import load_tokenizer
    from generation.remote.client import RemoteModel

    local = replace(config, model=GeneratorConfig().model)

    def load_local() -> LanguageModel:
        model = load_model(local)
        return share_model(model) or model

    return RemoteModel(config.model.removeprefix(REMOTE), load_tokenizer, load_local, lambda: weights_hash(local), tell)


def weights_hash(config: GeneratorConfig) -> str:
    """Of the model's weights and the adapter's; empty where that is not known. Of a server it is its address.

    Raises:
        ModelLoadError: there is no such model or adapter.
    """
    if config.model.startswith(REMOTE):
        return config.model
    folder = models.resolve(config.model)
    manifest, adapter = read_manifest(folder), adapter_for(config, folder)
    ours = manifest.provenance.source_sha256 if manifest else ""
    return " ".join(filter(None, (ours, adapters.adapter_sha256(adapter) if adapter else "")))


def share_model(model: LanguageModel) -> LanguageModel | None:
    """The same model for several threads, a sequence each, which then share its forwards; None where it cannot."""
    shared: Callable[[], LanguageModel] | None = getattr(model, "shared", None)
    return shared() if shared else None


def model_for_threads(model: LanguageModel, together: int) -> tuple[LanguageModel, int]:
    """The model as so many threads may use it, and how many do: one where it cannot be shared."""
    shared = share_model(model) if together > 1 else None
    return (shared, together) if shared else (model, 1)


def adapter_for(config: GeneratorConfig, model: Path) -> Path | None:
    """The adapter folder to use with a model: the one that is named, else what ships for this model and trigger.

    Without marks that is ``plain``, which was trained on the same functions as ``mark``.

    Raises:
        ModelLoadError: the adapter that ``config`` names does not exist.
    """
    if config.adapter is not None:
        return None if config.adapter == adapters.NONE else adapters.resolve(config.adapter)
    name = "mark" if config.decoding.trigger is Trigger.MARK else "plain"
    folder = adapters.adapter_folders().get(name)
    return folder if folder is not None and adapters.fits(adapters.read_adapter(folder), model) else None


def usual_preset(model: str, adapter: str | None = None) -> str:
    """The trigger mode for people who name none: ``mark`` where the adapter was measured to ask, else ``dot``."""
    model = GeneratorConfig().model if model.startswith(REMOTE) else model  # which a server has, too, unless told
    wanted = GeneratorConfig(model=model, adapter=adapter).with_preset("mark")
    try:
        folder = adapter_for(wanted, models.resolve(model))
    except ModelLoadError:
        return "dot"  # loading will say what is wrong
    return "mark" if folder is not None and adapters.read_adapter(folder).asks_reliably else "dot"


def build_generator(
    config: GeneratorConfig,
    root: Path,
    model: LanguageModel | None = None,
    index_cache: Path | None = None,
    report: ReportShare = silent,
) -> Session:
    """A session for one repository.

    Args:
        config: what to use.
        root: the repository.
        model: weights that are loaded already, to be shared by several sessions.
        index_cache: folder for the member index; the user's cache when None.
        report: is told how much of the repository is read.

    Raises:
        ConfigError: the settings do not fit the model.
        ModelLoadError: as ``load_model``.
    """
    model = model or load_model(config)
    decoding = fit_to_model(config.decoding, model)
    return Session(replace(config, decoding=decoding), root, model, index_cache, report)


def fit_to_model(decoding: DecodingConfig, model: LanguageModel) -> DecodingConfig:
    """Settings that this model can follow.

    Raises:
        ConfigError: marks are asked of a model that has not learned to write them. The published method, which forces
            every list, is instead asked where its marks would stand: at names that exist already.
    """
    if decoding.trigger is not Trigger.MARK or model.tokenizer.mark_id is not None:
        return decoding
    if decoding.abstain:
        raise ConfigError(
            f"the trigger mode mark needs a model that has learned the mark token, and {model.name} has not; "
            "use --trigger dot, which works with any model"
        )
    return replace(decoding, trigger=Trigger.DOT)


class Session:
    """A repository, its tool, its index and a model: generates functions, in several threads if the model is shared."""

    def __init__(
        self,
        config: GeneratorConfig,
        root: Path,
        model: LanguageModel,
        index_cache: Path | None = None,
        report: ReportShare = silent,
    ) -> None:
        self.config = config
        self.root = root.absolute()
        self.model = model
        self.index = MemberIndex.build(self.root, index_cache or cache_root() / "index", report)
        decoding = config.decoding
        self.tool = JediTool(
            self.root, config.tool, index=self.index if decoding.index else None, repair=decoding.repair
        )
        self.warnings = tuple(filter(None, (*self.tool.environment.warnings, str(getattr(model, "notice", "")))))
        self._typed_prompts = TypedPrompts()
        self._odds: Odds | None = None  # of drafts, learned from one request to the next
        _keep_for_good()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the tool's processes."""
        self.tool.close()

    def reread(self) -> None:
        """Take in what changed on disk since the repository was read; others may generate meanwhile."""
        self.index = self.index.reread()
        if self.tool.index is not None:
            self.tool.index = self.index

    def stream(
        self,
        site: FunctionSite,
        file: SourceFile,
        *,
        seed: int | None = None,
        sampling: SamplingConfig | None = None,
        cancel: threading.Event | None = None,
        deadline_s: float | None = None,
    ) -> Iterator[GenerationEvent]:
        """Generate the body of one function.

        Args:
            site: the function.
            file: the file it is in, as read.
            seed: of the sampler; the configured one when None.
            sampling: the configured one when None.
            cancel: ends the generation when set.
            deadline_s: ends the generation after this many seconds.
        """
        chosen_seed = self.config.sampling.seed if seed is None else seed
        request = self.request(site, file, chosen_seed)
        yield from self._stream(request, sampling or self.config.sampling, cancel, deadline_s)

    def complete(
        self,
        site: CursorSite,
        path: Path,
        *,
        max_tokens: int | None = None,
        cancel: threading.Event | None = None,
        deadline_s: float | None = None,
        waited_for: bool = True,
    ) -> Iterator[GenerationEvent]:
        """Go on at a cursor; ``Finished.text`` starts with the name that is being typed.

        Args:
            site: the cursor.
            path: the file it is in, real or not.
            max_tokens: the configured number when None.
            cancel: ends the generation when set.
            deadline_s: ends the generation after this many seconds.
            waited_for: somebody waits, so that text that was read already is better than what fits best.
        """
        request = self.cursor_request(site, path, max_tokens or self.config.max_tokens, waited_for=waited_for)
        yield from self._stream(request, self.config.sampling, cancel, deadline_s)

    def candidates(
        self, site: FunctionSite, file: SourceFile, count: int, report: Callable[[int], None] | None = None
    ) -> list[RankedCandidate]:
        """Several results, best first: those with fewer problems, then those with more probability per token.

        The first is greedy unless a temperature is set; the others are sampled with the seeds that follow.
        """
        found = []
        for number in range(count):
            found.append(self.candidate(site, file, number))
            if report is not None:
                report(number + 1)
        return sorted(found, key=lambda candidate: candidate.doubt)

    def candidate(
        self,
        site: FunctionSite,
        file: SourceFile,
        number: int,
        cancel: threading.Event | None = None,
        deadline_s: float | None = None,
    ) -> RankedCandidate:
        """One result with its problems. Number 0 is greedy unless a temperature is set; the others are sampled."""
        sampling = sampling_of(self.config.sampling, number)
        events = list(self._stream(self.request(site, file, sampling.seed), sampling, cancel, deadline_s))
        finished = events[-1]
        assert isinstance(finished, Finished)
        calls = tuple(event for event in events if isinstance(event, ToolCalled))
        return RankedCandidate(finished, calls, self.problems(site, file, finished))

    def next_name(self, site: FunctionSite, file: SourceFile, written: str) -> NextName:
        """The name that would be written after ``written``, the body so far; for measuring."""
        from generation.decoding.loop.forcing import next_name

        request = self.request(site, file, 0)
        return next_name(self._generator(request, self.config.sampling), request, written)

    def problems(self, site: FunctionSite, file: SourceFile, finished: Finished) -> tuple[Problem, ...]:
        """What is wrong with a result in its file."""
        if not finished.text.strip():
            return ()
        filled = replace_body(file.text, site, finished.text, file.newline)
        moved = moved_by(filled, finished.imports, self.first_party, site.body_start)
        span = (site.body_start + moved, len(filled) - (len(file.text) - site.body_end) + moved)
        return self.check(file.path.absolute(), apply(file, site, finished, self.first_party), span)

    def check(self, path: Path, text: str, span: tuple[int, int]) -> tuple[Problem, ...]:
        """What is wrong with a part of a file's text; needs no model."""
        return check(self.root, path, text, span, self.tool, self.index)

    @property
    def first_party(self) -> Collection[str]:
        """Packages of the repository."""
        return self.index.first_party

    def request(self, site: FunctionSite, file: SourceFile, seed: int) -> GenerationRequest:
        """The hole of a function, with its prompt."""
        before, after = hole(file.text, site)
        path = file.path.absolute()
        self.tool.prefetch(ToolQuery(self.root, path, before + site.body_indent, after, NameKind.NAME))
        return GenerationRequest(
            self.root,
            path,
            before,
            after,
            self._prompt(path, before, after, ".".join(site.class_path)),
            site.body_indent,
            self.config.max_tokens,
            seed,
        )

    def cursor_request(
        self, site: CursorSite, path: Path, max_tokens: int, *, waited_for: bool = True
    ) -> GenerationRequest:
        """The hole at a cursor, with its prompt."""
        before = site.before + site.stem
        self.tool.prefetch(ToolQuery(self.root, path, before, site.after, NameKind.NAME))

        def layout() -> str:
            return self._prompt(path, before, site.after, site.owner, _TYPED)

        return GenerationRequest(
            self.root,
            path,
            site.before,
            site.after,
            self._typed_prompts.prompt(path, before, site.after, layout, waited_for=waited_for),
            site.indent,
            max_tokens,
            self.config.sampling.seed,
            site.extent,
            site.stem,
            site.prefix,
            may_be_empty=not site.fresh,
        )

    def _prompt(self, path: Path, before: str, after: str, owner: str, shares: PromptShares | None = None) -> str:
        if not self.config.decoding.context:
            return paper_prompt(before)
        context = prompt_context(self.index, path, before, after, owner)
        room = self.model.context_tokens - self.config.max_tokens - 64 - (MOST_TYPED if shares else 0)
        budget = min(self.config.decoding.prompt_tokens, room)
        return build_prompt(context, lambda text: len(self.model.tokenizer.encode(text)), budget, shares)

    def _stream(
        self,
        request: GenerationRequest,
        sampling: SamplingConfig,
        cancel: threading.Event | None,
        deadline_s: float | None,
    ) -> Iterator[GenerationEvent]:
        from generation.remote.client import RemoteGenerator, RemoteModel

        if isinstance(remote_model := self.model, RemoteModel):
            remote = RemoteGenerator(
                remote_model,
                self.tool,
                self.config.decoding,
                sampling,
                lambda: self._generator(request, sampling, remote_model.local),
            )
            yield from remote.stream(request, cancel, deadline_s)
        else:
            yield from self._generator(request, sampling).stream(request, cancel, deadline_s)

    def _generator(
        self, request: GenerationRequest, sampling: SamplingConfig, model: LanguageModel | None = None
    ) -> Generator:
        from generation.decoding.loop.generator import Generator

        model = model or self.model
        drafter = self._drafter(request, model) if self.config.decoding.draft_tokens else None
        return Generator(model, self.tool, drafter, self.config.decoding, sampling)

    def _drafter(self, request: GenerationRequest, model: LanguageModel) -> Drafter | None:
        """Drafts from the file around the hole; what they learned of their odds stays with the session."""
        from generation.decoding.drafts.drafting import Odds, drafter_for, texts_around

        self._odds = self._odds or Odds()
        return drafter_for(model, texts_around(model, request), self._odds)


def _keep_for_good() -> None:
    """Look no more for rubbish among what is there, model and index: that stops everything for a tenth of a second."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries count at the end what is left of their objects


def apply(file: SourceFile, site: FunctionSite, finished: Finished, first_party: Collection[str] = ()) -> str:
    """The file's text with the body and the imports of a result; unchanged where nothing was generated.

    Args:
        file: as it was read.
        site: the function in it.
        finished: the result.
        first_party: packages of the repository, for the order of imports (``Session.first_party``).
    """
    if not finished.text.strip():
        return file.text
    text = replace_body(file.text, site, finished.text, file.newline)
    return add_imports(text, finished.imports, first_party)
