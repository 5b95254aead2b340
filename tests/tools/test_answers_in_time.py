"""Answers that are reused, asked ahead, late or never come; with real workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

from generation.config import ToolConfig
from generation.tools.answer_cache import AnswerKey
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.tools.position import Position
from generation.types import SuggestionSource, ToolQuery
from tests.tools.client_repository import BODY, PATIENT, names, query


def test_answer_is_reused_until_the_receiver_is_bound_again(tool: JediTool, root: Path) -> None:
    start = BODY + "def reuse(c: Client):\n    c.$0"
    assert not tool.suggest(query(root, start)).cached
    more = BODY + "def reuse(c: Client):\n    c.fetch('a')\n    # note\n    d = c\n    d.e = c.$0"
    assert tool.suggest(query(root, more)).cached
    bound = BODY + "def reuse(c: Client):\n    c = wire.Session()\n    c.$0"
    answer = tool.suggest(query(root, bound))
    assert not answer.cached
    assert "shut" in names(answer)
    elsewhere = tool.suggest(query(root, BODY + "def reuse(c: wire.Session):\n    c.$0"))
    assert not elsewhere.cached


def test_names_cost_one_question_per_function(tool: JediTool, root: Path) -> None:
    tool.suggest(query(root, BODY + "def once(c):\n    return $0"))
    answer = tool.suggest(query(root, BODY + "def once(c):\n    brand_new = 1\n    return $0"))
    assert answer.cached
    assert "brand_new" in names(answer)


def test_changed_file_is_seen(tool: JediTool, root: Path) -> None:
    asked = query(root, BODY + "def f(s: wire.Session):\n    s.$0")
    assert "extra" not in names(tool.suggest(asked))
    assert tool.suggest(asked).cached
    wire = root / "src/pkg/wire.py"
    wire.write_text(wire.read_text().replace("def shut", "def extra"))
    os.utime(wire, ns=(time.time_ns(), time.time_ns() + 10**9))
    answer = tool.suggest(asked)
    assert not answer.cached
    assert "extra" in names(answer)


def test_prefetch_answers_before_the_question(tool: JediTool, root: Path) -> None:
    start = BODY + "class A(Client):\n    def f(self, reply: wire.Reply):\n"
    tool.prefetch(query(root, start + "$0"))
    end = time.monotonic() + 20
    asked = [start + "        x = 1\n        x = " + receiver + "$0" for receiver in ("self.", "")]
    while not all(tool._cache.get(_key(query(root, text))) for text in asked) and time.monotonic() < end:
        time.sleep(0.02)
    for text in asked:
        answer = tool.suggest(query(root, text))
        assert answer.cached, text
        assert answer.suggestions


def test_nothing_is_asked_ahead_where_nobody_waits(root: Path) -> None:
    tool = JediTool(root, replace(PATIENT, ahead=False))
    tool.prefetch(query(root, BODY + "def f(c: Client):\n$0"))
    time.sleep(0.1)
    assert not tool._in_flight
    assert "fetch" in names(tool.suggest(query(root, BODY + "def f(c: Client):\n    c.$0")))
    tool.close()


def test_index_answers_when_jedi_is_late(root: Path) -> None:
    tool = JediTool(root, ToolConfig(deadline_s=0.3), index=MemberIndex.build(root))
    try:
        asked = query(root, "def f(session):\n    session.$0\n")
        for pid in tool._pool.pids:
            os.kill(pid, signal.SIGSTOP)
        started = time.perf_counter()
        answer = tool.suggest(asked)
        assert time.perf_counter() - started < 1.0
        assert answer.error == "timeout"
        assert not answer.trusted
        assert [(s.name, s.source) for s in answer.suggestions] == [
            ("send", SuggestionSource.INDEX),
            ("shut", SuggestionSource.INDEX),  # of the class that it is called after
        ]
    finally:
        tool.close()


def test_late_answer_warms_the_cache(root: Path) -> None:
    tool = JediTool(root, ToolConfig(deadline_s=0.1))
    try:
        asked = query(root, BODY + "def f(c: Client):\n    c.$0\n")
        assert tool.suggest(asked).error == "timeout"  # the process has only just been started
        end = time.monotonic() + 20
        while tool.suggest(asked).error and time.monotonic() < end:
            time.sleep(0.05)
        assert "fetch" in names(tool.suggest(asked))
        assert tool.suggest(asked).cached
    finally:
        tool.close()


def test_worker_killed_in_the_middle_of_a_question(tool: JediTool, root: Path) -> None:
    names(tool.suggest(query(root, BODY + "wire.$0")))
    (pid,) = tool._pool.pids
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    assert tool.suggest(query(root, BODY + "Client.$0")).error == "crash"
    assert "fetch" in names(tool.suggest(query(root, BODY + "Client.$0")))


def test_large_file(tool: JediTool, root: Path) -> None:
    filler = "".join(f"def f{i}(a):\n    return a.b\n\n\n" for i in range(5000))
    text = filler + BODY + "def last(c: Client):\n    c.$0\n"
    assert text.count("\n") > 20_000
    assert "fetch" in names(tool.suggest(query(root, text)))


def test_close_ends_everything(root: Path) -> None:
    tool = JediTool(root, PATIENT)
    tool.prefetch(query(root, BODY + "def f(c: Client):\n$0"))
    tool.close()
    assert tool._pool.pids == []
    assert tool.suggest(query(root, BODY + "wire.$0")).error == "closed"


def _key(asked: ToolQuery) -> AnswerKey:
    position = Position.of(asked)
    return position.key(position.receiver or "")
