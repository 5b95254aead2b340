"""The thread that touches the model: order, cancels, errors, and what parsing threads do to each other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lsp_server.decode_thread import DecodeThread, Worker


def test_jobs_run_in_order_on_one_thread_and_a_cancelled_one_is_never_started() -> None:
    seen: list[tuple[str, str]] = []

    async def run() -> None:
        thread = DecodeThread(asyncio.get_running_loop())
        gate = threading.Event()

        def work(name: str) -> str:
            gate.wait(5)
            seen.append((name, threading.current_thread().name))
            return name

        first, second, third = (thread.submit(lambda _stop, name=name: work(name)) for name in ("a", "b", "c"))
        second.cancel()
        gate.set()
        assert [await first.result, await third.result] == ["a", "c"]
        assert second.result.cancelled()

    asyncio.run(run())
    assert seen == [("a", "decode"), ("c", "decode")]


def test_an_error_belongs_to_the_one_who_asked_and_the_thread_goes_on() -> None:
    async def run() -> None:
        thread = DecodeThread(asyncio.get_running_loop())

        def fail(_stop: threading.Event) -> None:
            raise MemoryError("none left")

        with pytest.raises(MemoryError, match="none left"):
            await thread.submit(fail).result
        assert await thread.submit(lambda _stop: 1).result == 1

    asyncio.run(run())


def test_two_servers_share_a_worker_and_one_of_them_can_close() -> None:
    async def run() -> None:
        worker = Worker()
        first, second = (DecodeThread(asyncio.get_running_loop(), worker) for _ in range(2))
        started = threading.Event()

        def until_stopped(stop: threading.Event) -> str:
            started.set()
            return "stopped" if stop.wait(5) else "left alone"

        job = first.submit(until_stopped)
        other = second.submit(lambda _stop: "done")
        await asyncio.to_thread(started.wait, 5)
        assert first.busy
        assert not second.busy
        first.close()
        assert (await job.result, await other.result) == ("stopped", "done")

    asyncio.run(run())


def test_work_that_gives_way_is_stopped_by_any_other() -> None:
    async def run() -> None:
        worker = Worker()
        first, second = (DecodeThread(asyncio.get_running_loop(), worker) for _ in range(2))

        def until_stopped(stop: threading.Event) -> str:
            return "gave way" if any(stop.is_set() or stop.wait(0.001) for _ in range(5000)) else "left alone"

        ahead = first.submit(until_stopped, gives_way=True)
        await asyncio.sleep(0.02)
        assert not ahead.result.done()
        assert await second.submit(lambda _stop: "done").result == "done"
        assert await ahead.result == "gave way"

    asyncio.run(run())
