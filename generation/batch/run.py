"""A run: every repository, wave by wave; processes share it, and a killed one goes on where it was.

Each process has its own copy of the repository being filled. A wave begins when all records of the one before are
there, whoever made them, and have been put into the copy. Start reading at ``run``.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from generation import __version__, service
from generation.batch.fill import FillOptions, fill
from generation.batch.plan import waves
from generation.batch.records import BatchRecord, failed, ledger
from generation.batch.targets import Target, Unreadable
from generation.batch.tree import Tree, open_tree, remove_abandoned
from generation.config import GeneratorConfig
from generation.interfaces import LanguageModel
from generation.ledger import Ledger
from generation.service import Session
from generation.tools.environment import Environment, discover

_WAIT_S = 0.5  # between two looks at what another process is doing
LoadModel = Callable[[GeneratorConfig], LanguageModel]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What to do.

    Attributes:
        roots: the repositories by name.
        targets: the functions to fill, per repository.
        unreadable: files in which nothing could be found.
        config: of the generator.
        options: how a function is filled.
        out: folder of the run.
        weights: hash of the weights.
        together: functions that one model writes at the same time; changes no result.
    """

    roots: Mapping[str, Path]
    targets: Mapping[str, Sequence[Target]]
    config: GeneratorConfig
    out: Path
    options: FillOptions = field(default_factory=FillOptions)
    unreadable: Sequence[Unreadable] = ()
    weights: str = ""
    together: int = 1

    @property
    def total(self) -> int:
        """How many records there will be."""
        return len(self.unreadable) + sum(map(len, self.targets.values()))

    @property
    def settings(self) -> str:
        """Hash of everything a body depends on besides the repository."""
        spelled = json.dumps(self.about, sort_keys=True, default=str)
        return hashlib.sha256(spelled.encode()).hexdigest()[:16]

    @property
    def about(self) -> dict[str, object]:
        """The same in words, as ``run.json`` holds it."""
        settings = asdict(self.config)
        del settings["threads"]
        return {"memberwise": __version__, "weights": self.weights, "config": settings, "options": asdict(self.options)}

    def key(self, target: Target) -> tuple[str, ...]:
        """Of the record of a target."""
        return *target.key, self.settings

    def environment(self, name: str) -> Environment | None:
        """The interpreter of a repository's own environment, which its copies do not have.

        None of one that was unpacked or cloned: nothing that comes with it is run.
        """
        root = self.roots[name]
        return None if root.is_relative_to(self.out.resolve()) else discover(root, self.config.tool, os.environ)

    def config_in(self, name: str) -> GeneratorConfig:
        """The settings in a repository."""
        found = self.environment(name)
        return replace(self.config, tool=replace(self.config.tool, python=found.python)) if found else self.config

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """Of all its records, in their order."""
        places = [(one.repository, one.path, "") for one in self.unreadable]
        places += [target.key for targets in self.targets.values() for target in targets]
        settings = self.settings  # once: it is a hash
        return [(*place, settings) for place in places]


def run(
    plan: BatchPlan,
    load_model: LoadModel | None = None,
    *,
    done: Callable[[BatchRecord], None] | None = None,
    skipped: Callable[[int], None] | None = None,
) -> list[BatchRecord]:
    """Fill everything that is not filled yet; every record of the plan, in its order.

    Args:
        plan: what to do.
        load_model: ``service.load_model`` when None; called when there is something to do.
        done: is told of every record that is made here.
        skipped: is told how many records others have made, or a run before.
    """
    records = open_run(plan)
    work = _Work(plan, records, load_model or service.load_model, done, skipped)
    for failure in plan.unreadable:
        work.add(failed(failure, plan.settings, failure.reason))
    for name in plan.roots:
        work.fill_repository(name)
    return finished_records(plan, records)


def open_run(plan: BatchPlan) -> Ledger[BatchRecord]:
    """The records of a run, whose folder says what it is about."""
    plan.out.mkdir(parents=True, exist_ok=True)
    remove_abandoned(plan.out)
    (plan.out / "run.json").write_text(json.dumps(plan.about, indent=2, default=str) + "\n", encoding="utf-8")
    return ledger(plan.out)


def finished_records(plan: BatchPlan, records: Ledger[BatchRecord]) -> list[BatchRecord]:
    """Every record of a plan, in its order, when all are there."""
    known = records.known()
    return [known[key] for key in plan.keys]


class _Work:
    """One process's part of a run."""

    def __init__(
        self,
        plan: BatchPlan,
        records: Ledger[BatchRecord],
        load_model: LoadModel,
        done: Callable[[BatchRecord], None] | None,
        skipped: Callable[[int], None] | None,
    ) -> None:
        self._plan = plan
        self._records = records
        self._load_model = load_model
        self._done, self._skipped = done, skipped
        self._model: LanguageModel | None = None
        self._together = 1
        self._made = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def add(self, record: BatchRecord) -> None:
        """Keep a record, unless there is one."""
        with self._lock:
            if record.key not in self._records.known():
                self._records.add(record)
                self._made += 1
                if self._done is not None:
                    self._done(record)

    def fill_repository(self, name: str) -> None:
        """Every target of a repository."""
        plan, targets = self._plan, self._plan.targets[name]
        if not self._missing(targets):
            return
        with ExitStack() as stack:
            tested = plan.options.test_command is not None
            tree = stack.enter_context(open_tree(plan.roots[name], plan.out, tested=tested))
            model, together = self._ready_model()
            session = service.build_generator(plan.config_in(name), tree.root, model, tree.root.parent / "index")
            stack.enter_context(session)
            threads = stack.enter_context(ThreadPoolExecutor(together, "filling"))
            try:
                for wave in waves(targets):
                    self._fill_wave(session, tree, wave, threads)
            except BaseException:  # an interruption, too: the threads are waited for, and may have long to go
                self._stop.set()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _ready_model(self) -> tuple[LanguageModel, int]:
        """The model, loaded when it is first needed, and how many threads may use it."""
        if self._model is None:
            loaded = self._load_model(self._plan.config)
            self._model, self._together = service.model_for_threads(loaded, self._plan.together)
        return self._model, self._together

    def _fill_wave(self, session: Session, tree: Tree, wave: Sequence[Target], threads: Executor) -> None:
        while missing := self._missing(wave):
            filling = [threads.submit(self._fill_one, session, tree, target) for target in missing]
            made = sum(map(_result, filling))
            if not made:
                time.sleep(_WAIT_S)  # another process is at all that is left; if it dies, its claims are free
            if self._skipped is not None:
                known = self._records.known()  # those of other settings are there, too
                self._skipped(sum(key in known for key in self._plan.keys) - self._made)
        known = self._records.known()
        tree.put_wave([known[self._plan.key(target)] for target in wave], session)

    def _fill_one(self, session: Session, tree: Tree, target: Target) -> bool:
        """Whether this process has made the record now."""
        options = replace(self._plan.options, limit_s=self._plan.options.limit_s * self._plan.together)
        with self._records.claim(self._plan.key(target)) as is_ours:
            if is_ours:
                record = fill(session, tree, target, self._plan.settings, options, self._stop)
                if not self._stop.is_set():  # else it is half of one
                    self.add(record)
            return is_ours

    def _missing(self, targets: Sequence[Target]) -> list[Target]:
        known = self._records.known()
        return [target for target in targets if self._plan.key(target) not in known]


def _result(future: Future[bool]) -> bool:
    """What a thread returns. A signal that comes right before a wait is seen behind it, so waits are short."""
    while not wait([future], _WAIT_S).done:
        pass
    return future.result()
