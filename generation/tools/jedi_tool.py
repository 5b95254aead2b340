"""The repository tool: which names can stand at a position, asked of Jedi, the text above and the member index.

A question is repaired (``position``), answered from the cache or by a worker within the deadline (``worker_pool``), and
merged with what the function itself binds and what the index has seen (``filtering``). Nothing raises and nothing takes
longer than the deadline: what is missing then is said in ``ToolAnswer.error``. One question at a time is answered,
whoever asks; warming goes on in a thread of its own. Knows nothing of models. Start reading at ``JediTool.suggest``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any, Protocol

from generation.config import ToolConfig
from generation.tools import filtering
from generation.tools.answer_cache import AnswerCache, AnswerKey, JediAnswer
from generation.tools.environment import discover
from generation.tools.filtering import Facts
from generation.tools.open_call import open_call
from generation.tools.position import Position, Question, question
from generation.tools.receiver import receiver_of
from generation.tools.worker_pool import Answer, WorkerPool
from generation.types import NameKind, Suggestion, ToolAnswer, ToolQuery

_log = logging.getLogger(__name__)
_MERGE_S = 0.05  # of the deadline is kept for what comes after Jedi


class Index(Protocol):
    """What the tool asks of the member index (``member_index.MemberIndex``)."""

    def members(self, receiver: str, path: Path, text: str, offset: int | None = None) -> list[str]:
        """Names used on a receiver of this name elsewhere, most frequent first."""

    def importable(self, path: Path) -> Mapping[str, Suggestion]:
        """Names that ``path`` could import."""


class JediTool:
    """A ``CompletionTool`` for one repository.

    Args:
        root: the repository.
        config: deadlines, memory, trust, interpreter.
        index: second source of members and source of importable names; None asks Jedi alone.
        repair: False shows Jedi the text before the cursor and nothing else, as the published method does; no answer
            is then reused.
    """

    def __init__(
        self,
        root: Path,
        config: ToolConfig,
        *,
        index: Index | None = None,
        repair: bool = True,
    ) -> None:
        self._root = root.absolute()
        self._config = config
        self.index = index
        self._repair = repair
        self.environment = discover(self._root, config, os.environ)
        for warning in self.environment.warnings:
            _log.warning(warning)
        self._pool = WorkerPool(self._root, self.environment.python, config)
        self._cache = AnswerCache()
        self._in_flight: dict[AnswerKey, Future[Answer]] = {}
        self._asking = threading.Event()  # a question of the caller goes before warming
        self._one_question = threading.Lock()  # the thread of a generation that ended may still be answered
        self._warming = 0
        self._closed = False

    @property
    def problem(self) -> str:
        """Why nothing can be asked for a while; empty while it can."""
        return self._pool.problem

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        """Names that can stand at the position, within the deadline."""
        started_s = time.perf_counter()
        with self._one_question:
            answer = self._answer_or_error(query, started_s)
        return replace(answer, elapsed_ms=(time.perf_counter() - started_s) * 1000.0)

    def _answer_or_error(self, query: ToolQuery, started_s: float) -> ToolAnswer:
        self._asking.set()
        try:
            return self._answer(query, started_s)
        except Exception as problem:  # noqa: BLE001 - a failure of the tool never fails a generation
            _log.exception("the tool failed")
            return ToolAnswer(error=f"{type(problem).__name__}: {problem}")
        finally:
            self._asking.clear()

    def prefetch(self, query: ToolQuery) -> None:
        """Ask in the background what this function is likely to need; an earlier prefetch ends."""
        self._warming += 1
        if not (self._repair and self._config.ahead):
            return
        try:
            questions = Position.of(query).warm_questions()
        except Exception:  # noqa: BLE001 - as in suggest
            _log.exception("prefetch failed")
            return
        warm = threading.Thread(target=self._warm, args=(self._warming, questions), name="jedi-warming", daemon=True)
        warm.start()

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        self._warming += 1
        self._pool.close()

    # ------------------------------------------------------------------------------------------ answering

    def _answer(self, query: ToolQuery, started_s: float) -> ToolAnswer:
        if not self._repair:
            return self._unrepaired(query, started_s)
        self._cache.refresh()
        position = Position.of(query)
        if query.kind is NameKind.ATTRIBUTE:
            return self._attribute(query, position, started_s)
        if query.kind is NameKind.ARGUMENT:
            return self._argument(query, position, started_s)
        if query.kind is NameKind.IMPORT:
            return self._import(position, started_s)
        return self._name(position, started_s)

    def _attribute(self, query: ToolQuery, position: Position, started_s: float) -> ToolAnswer:
        receiver, function = position.receiver or "", position.function
        pending = self._ask(position.key(receiver or position.head), position.question(NameKind.ATTRIBUTE))
        code = query.before + query.after
        assigned = function.attributes_of(receiver) if function else []
        indexed = self.index.members(receiver, position.path, code, len(query.before)) if self.index else []
        answer, error = self._wait(pending, started_s)
        others = [] if answer.facts.starred else indexed
        suggestions = filtering.attribute_suggestions(answer.found, assigned, others, receiver, code)
        if not answer.found and error is None:
            suggestions = filtering.with_usual_methods(suggestions)
        known = filtering.attributes_trusted(answer.facts, answer.found, receiver)
        return ToolAnswer(
            suggestions,
            trusted=known and not _may_add(position),
            receiver=position.receiver,
            cached=_is_known(pending),
            error=error,
            trusted_unless_bound=known,
            may_have_more=answer.facts.open,
        )

    def _name(self, position: Position, started_s: float) -> ToolAnswer:
        pending = self._ask(position.key(""), position.names_question())
        visible = position.function.visible if position.function else ()
        importable = self.index.importable(position.path) if self.index else {}
        answer, error = self._wait(pending, started_s)
        suggestions = filtering.name_suggestions(visible, answer.found, position.indent is not None)
        later = position.function is None or position.function.nested
        known = filtering.names_trusted(answer.facts, answer.found) and not later
        return ToolAnswer(
            suggestions,
            trusted=known and not position.may_bind,
            importable=importable,
            cached=_is_known(pending),
            error=error,
            trusted_unless_bound=known,
        )

    def _argument(self, query: ToolQuery, position: Position, started_s: float) -> ToolAnswer:
        """Jedi is asked once for all arguments of a call, as if none of them was there yet."""
        statement = position.statement
        call = open_call(statement)
        if call is None:
            return ToolAnswer()
        before = position.head[: len(position.head) - len(statement) + call.start]
        position = Position.of(replace(query, before=before))
        pending = self._ask(position.key_here(), position.question(NameKind.ARGUMENT))
        answer, error = self._wait(pending, started_s)
        suggestions = filtering.argument_suggestions(answer.found, call.by_place, call.names)
        trusted = bool(suggestions) and not answer.facts.dynamic
        excluded = tuple(f"{name}=" for name in sorted(call.names))
        return ToolAnswer(suggestions, trusted, cached=_is_known(pending), error=error, excluded=excluded)

    def _import(self, position: Position, started_s: float) -> ToolAnswer:
        statement = position.statement
        pending = self._ask(position.key(statement), position.question(NameKind.IMPORT))
        answer, error = self._wait(pending, started_s)
        suggestions = filtering.import_suggestions(answer.found)
        in_no_package = not suggestions and set(answer.facts.kinds) == {"module"}  # which has no modules
        known = in_no_package or (bool(suggestions) and not answer.facts.dynamic and not answer.facts.unresolved)
        trusted = known and not filtering.names_top_module(statement)
        return ToolAnswer(suggestions, trusted, cached=_is_known(pending), error=error)

    def _unrepaired(self, query: ToolQuery, started_s: float) -> ToolAnswer:
        path = (query.root / query.path).absolute()
        future = self._submit(question(path, query.before, len(query.before), query.kind))
        reply = self._pool.wait(future, self._left_s(started_s))
        answer = _read(reply)
        suggestions = filtering.unique(Suggestion(name, kind) for name, kind in answer.found)
        receiver = receiver_of(query.before) if query.kind is NameKind.ATTRIBUTE else None
        return ToolAnswer(suggestions, bool(suggestions), receiver, error=reply.get("error"))

    # ------------------------------------------------------------------------------------------ asking Jedi

    def _ask(self, key: AnswerKey, asked: Question) -> JediAnswer | Future[Answer]:
        """The answer that is there already, or the one to come."""
        return self._cache.get(key) or self._future(key, asked)

    def _wait(self, pending: JediAnswer | Future[Answer], started_s: float) -> tuple[JediAnswer, str | None]:
        """Jedi's answer and what went wrong with it."""
        if isinstance(pending, JediAnswer):
            return pending, None
        reply = self._pool.wait(pending, self._left_s(started_s))
        return _read(reply), reply.get("error")

    def _future(self, key: AnswerKey, asked: Question) -> Future[Answer]:
        """The answer to come, which is kept however late it is; one that is under way already is shared."""
        future = self._in_flight.get(key)
        if future is None:
            epoch = self._cache.epoch
            future = self._submit(asked)
            self._in_flight[key] = future
            future.add_done_callback(lambda done: self._keep(key, done.result(), epoch))
        return future

    def _keep(self, key: AnswerKey, reply: Answer, epoch: int) -> None:
        self._in_flight.pop(key, None)
        if "error" not in reply:
            self._cache.put(key, _read(reply), reply["files"], epoch)

    def _submit(self, asked: Question) -> Future[Answer]:
        return self._pool.submit({**asked, "epoch": self._cache.epoch})

    def _left_s(self, started_s: float) -> float:
        return self._config.deadline_s - _MERGE_S - (time.perf_counter() - started_s)

    def _warm(self, number: int, questions: list[tuple[AnswerKey, Question]]) -> None:
        """Ask one by one, so that a question of the caller never waits for more than one of these."""
        for key, asked in questions:
            while self._asking.is_set() and not self._closed:
                time.sleep(0.002)
            if number != self._warming:
                return
            if self._cache.get(key) is None:
                self._pool.wait(self._future(key, asked), self._config.kill_after_s)


def _read(reply: Answer) -> JediAnswer:
    facts: dict[str, Any] = reply.get("facts") or {}
    # Most names are in most lists: one string for all of them.
    found = tuple((intern(str(name)), intern(str(kind))) for name, kind in reply.get("names", ()))
    flags = {name: bool(facts.get(name)) for name in ("dynamic", "open", "unresolved", "starred")}
    return JediAnswer(found, Facts(tuple(facts.get("kinds", ())), **flags))


def _is_known(pending: JediAnswer | Future[Answer]) -> bool:
    return isinstance(pending, JediAnswer)


def _may_add(position: Position) -> bool:
    """A method assigns to its own object here, or may be about to."""
    function = position.function
    return function is not None and position.receiver in function.parameters[:1] and position.may_bind
