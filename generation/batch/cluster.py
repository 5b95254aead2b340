"""The same run on a Ray cluster: actors that hold a model, and one driver that hands out functions and keeps records.

An actor is told everything with each function (the repository, what was written before), so one that is lost is
replaced by a new one and its functions are given to others; only the driver writes records, so none is made twice.
Every actor has at most as many functions as it writes at a time. Start reading at ``run_on_ray``.
"""

from __future__ import annotations

import io
import logging
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from generation import service
from generation.batch.fill import fill
from generation.batch.plan import waves
from generation.batch.records import BatchRecord, failed
from generation.batch.run import BatchPlan, LoadModel, finished_records, open_run
from generation.batch.targets import Target
from generation.batch.tree import Tree, left_out, open_tree
from generation.errors import ConfigError, MissingExtraError

_MOST_LOSSES = 4  # of actors with the same function; then it is the function that kills them
_NO_ACTOR_S = 600.0  # without any actor that is ready, the cluster is not coming
_LOOK_S = 1.0
_CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, and what to take of it.

    Attributes:
        address: as ``ray.init`` takes it; ``local`` starts one on this machine.
        workers: actors, each with a model.
        cpus: of each, for the scheduler.
    """

    address: str
    workers: int
    cpus: float = 1.0


class Filler:
    """Runs in an actor: a model, and the repositories it has met."""

    def __init__(self, plan: BatchPlan, load_model: LoadModel) -> None:
        self._plan = plan
        self._model, threads = service.model_for_threads(load_model(plan.config), plan.together)
        self._opening = Lock()
        self._one = Lock() if threads == 1 else None  # a model that cannot be shared is used by one thread
        self._stack = ExitStack()
        self._open: dict[str, _Opened] = {}

    def ready(self) -> bool:
        """Whether the model is loaded; asked to wait for it."""
        return True

    def fill(self, target: Target, archive: bytes, earlier: Sequence[Sequence[BatchRecord]]) -> BatchRecord:
        """Write one function.

        Args:
            target: the function.
            archive: its repository.
            earlier: the records of each wave before this one.
        """
        opened = self._opened(target.repository, archive, earlier)
        options = replace(self._plan.options, limit_s=self._plan.options.limit_s * self._plan.together)
        with self._one or nullcontext():
            return fill(opened.session, opened.tree, target, self._plan.settings, options)

    def close(self) -> None:
        """Remove the copies."""
        self._stack.close()

    def _opened(self, name: str, archive: bytes, earlier: Sequence[Sequence[BatchRecord]]) -> _Opened:
        """The repository as it is before this wave; the driver asks for the next wave when this one has ended."""
        with self._opening:
            if name not in self._open:
                self._open[name] = self._unpacked(name, archive)
            opened = self._open[name]
            for wave in earlier[opened.waves :]:
                opened.tree.put_wave(wave, opened.session)
                opened.waves += 1
            return opened

    def _unpacked(self, name: str, archive: bytes) -> _Opened:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="memberwise-")))
        root = folder / "original" / name  # beside nothing that may have the same name
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(root, filter="data")
        tested = self._plan.options.test_command is not None
        tree = self._stack.enter_context(open_tree(root, folder, tested=tested))
        config = self._plan.config_in(name)  # its environment is known where this machine has it
        session = service.build_generator(config, tree.root, self._model, folder / "index")
        return _Opened(tree, self._stack.enter_context(session))


@dataclass(slots=True)
class _Opened:
    tree: Tree
    session: service.Session
    waves: int = 0  # that were put into it


def pack(root: Path, out: Path) -> bytes:
    """A repository as one archive, without the folder of the run."""
    packed, skipped = io.BytesIO(), left_out(out)

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path = root / entry.name
        return None if entry.name and skipped(str(path.parent), [path.name]) else entry

    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        archive.add(root, arcname="", filter=kept)
    return packed.getvalue()


def run_on_ray(
    plan: BatchPlan,
    cluster: Cluster,
    load_model: LoadModel | None = None,
    *,
    done: Callable[[BatchRecord], None] | None = None,
    skipped: Callable[[int], None] | None = None,
) -> list[BatchRecord]:
    """Fill everything that is not filled yet, on a cluster; as ``batch.run.run``.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: there is no cluster at the address, or none of its machines ever has room for a model.
    """
    ray: Any = _connected(cluster)
    records = open_run(plan)
    if skipped is not None:
        known = records.known()
        skipped(sum(key in known for key in plan.keys))

    def keep(record: BatchRecord) -> None:
        if record.key not in records.known():
            records.add(record)
            if done is not None:
                done(record)

    for failure in plan.unreadable:
        keep(failed(failure, plan.settings, failure.reason))
    actors = _Actors(ray, plan, cluster, load_model or service.load_model)
    try:
        for name, root in plan.roots.items():
            _fill_repository(
                actors, plan, ray.put(pack(root, plan.out)), waves(plan.targets[name]), keep, records.known
            )
    finally:
        actors.close()
    return finished_records(plan, records)


def _fill_repository(
    actors: _Actors,
    plan: BatchPlan,
    archive: Any,
    ordered: Sequence[Sequence[Target]],
    keep: Callable[[BatchRecord], None],
    known: Callable[[], Mapping[tuple[str, ...], BatchRecord]],
) -> None:
    earlier: list[list[BatchRecord]] = []
    for wave in ordered:
        missing = [target for target in wave if plan.key(target) not in known()]
        actors.fill(missing, archive, earlier, keep)
        earlier.append([known()[plan.key(target)] for target in wave])


@dataclass(slots=True)
class _Actor:
    handle: Any
    starting: Any  # the answer of ``ready``; None when it has come
    busy: dict[Any, Target] = field(default_factory=dict)


class _Actors:
    """The actors of a run; a lost one is replaced."""

    def __init__(self, ray: Any, plan: BatchPlan, cluster: Cluster, load_model: LoadModel) -> None:
        self._ray = ray
        self._plan = plan
        options = {
            "num_cpus": cluster.cpus, "max_concurrency": plan.together + 1, "scheduling_strategy": "SPREAD",
        }  # fmt: skip
        kind = ray.remote(Filler).options(**options)
        shared_plan = ray.put((plan, load_model))
        self._new_handle: Callable[[], Any] = lambda: kind.remote(*ray.get(shared_plan))
        self._actors = [self._started() for _ in range(cluster.workers)]
        self._ready_s = time.monotonic()
        self._losses: dict[Target, int] = {}
        self._progress = _progress_metric()

    def fill(
        self,
        targets: Sequence[Target],
        archive: Any,
        earlier: Sequence[Sequence[BatchRecord]],
        keep: Callable[[BatchRecord], None],
    ) -> None:
        """Fill all of a wave."""
        waiting = deque(targets)
        before = self._ray.put(list(earlier))
        while waiting or any(actor.busy for actor in self._actors):
            for actor in self._actors:
                while waiting and actor.starting is None and len(actor.busy) < self._plan.together:
                    target = waiting.popleft()
                    actor.busy[actor.handle.fill.remote(target, archive, before)] = target
            waiting.extend(self._answers(keep))

    def _started(self) -> _Actor:
        handle = self._new_handle()
        return _Actor(handle, handle.ready.remote())

    def close(self) -> None:
        """End all actors, which remove their copies."""
        closing = [actor.handle.close.remote() for actor in self._actors if actor.starting is None]
        with suppress(Exception):  # of one that is lost, or is stopped in the middle of a function
            self._ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_S)
        for actor in self._actors:
            self._ray.kill(actor.handle)

    def _answers(self, keep: Callable[[BatchRecord], None]) -> list[Target]:
        """Wait for something to happen; the functions that must be given out again."""
        pending = [ref for actor in self._actors for ref in ([actor.starting] if actor.starting else actor.busy)]
        arrived, _ = self._ray.wait(pending, timeout=_LOOK_S)
        lost: list[Target] = []
        for actor in list(self._actors):
            for ref in arrived:
                if ref is actor.starting or ref in actor.busy:
                    lost += self._answer(actor, ref, keep)
        if any(actor.starting is None for actor in self._actors):
            self._ready_s = time.monotonic()
        elif time.monotonic() - self._ready_s > _NO_ACTOR_S:
            raise ConfigError(f"no machine of the cluster had room for a model for {_NO_ACTOR_S:.0f} s")
        return lost

    def _answer(self, actor: _Actor, ref: Any, keep: Callable[[BatchRecord], None]) -> list[Target]:
        try:
            record = self._ray.get(ref)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.WorkerCrashedError):
            return self._replaced(actor, keep)
        except self._ray.exceptions.RayTaskError as error:
            if ref is actor.starting:
                raise ConfigError(f"a worker of the cluster cannot start: {error.cause}") from error
            record = failed(actor.busy[ref], self._plan.settings, f"{type(error.cause).__name__}: {error.cause}")
        if ref is actor.starting:
            actor.starting = None
            return []
        del actor.busy[ref]
        keep(record)
        self._progress(record)
        return []

    def _replaced(self, actor: _Actor, keep: Callable[[BatchRecord], None]) -> list[Target]:
        """Start another in the place of a lost actor; what it had must be given out again."""
        if actor in self._actors:
            self._actors[self._actors.index(actor)] = self._started()
        again = []
        for target in actor.busy.values():
            self._losses[target] = self._losses.get(target, 0) + 1
            if self._losses[target] < _MOST_LOSSES:
                again.append(target)
            else:
                keep(failed(target, self._plan.settings, f"{_MOST_LOSSES} workers ended while they wrote it"))
        actor.busy = {}
        return again


def _connected(cluster: Cluster) -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "batch") from error
    address = None if cluster.address == "local" else cluster.address
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"there is no Ray cluster at {cluster.address}: {error}") from error
    return ray


def _progress_metric() -> Callable[[BatchRecord], None]:
    """Counts records for the cluster's dashboard."""
    from ray.util import metrics

    kind: Any = metrics.Counter
    counter = kind("memberwise_functions", "Functions with a record", tag_keys=("repository", "status"))
    return lambda record: counter.inc(tags={"repository": record.repository, "status": record.status.value})
