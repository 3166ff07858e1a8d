"""DaemonThreads: as many threads as work needs, and a process that ends without them."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest

from aixgo.threads import DaemonThreads

HANGS = """
import asyncio, threading
from aixgo import LocalRuntime, agent

inside = threading.Event()

@agent
def hangs(text: str) -> str:
    inside.set()
    threading.Event().wait()
    return text

async def main():
    async with LocalRuntime(hangs, stop_grace=0.01) as rt:
        asyncio.create_task(rt.call("hangs", "hello"))
        await asyncio.to_thread(inside.wait)

asyncio.run(main())
"""


def test_a_synchronous_agent_that_hangs_does_not_keep_its_process_from_ending() -> None:
    subprocess.run([sys.executable, "-c", HANGS], check=True, timeout=30, capture_output=True)


def test_work_runs_side_by_side_up_to_the_limit_and_the_rest_waits_its_turn() -> None:
    pool, gate, names = DaemonThreads(3, "test"), threading.Event(), set[str]()
    inside = threading.Semaphore(0)

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        inside.release()
        assert gate.wait(5)
        return number

    futures = [pool.submit(work, number) for number in range(10)]
    assert all(inside.acquire(timeout=5) for _ in range(3))
    assert not inside.acquire(timeout=0.01)
    gate.set()
    assert [future.result(5) for future in futures] == list(range(10))
    assert names == {"test-1", "test-2", "test-3"}
    pool.shutdown()


def test_an_idle_thread_is_used_again() -> None:
    pool = DaemonThreads(3, "test")
    names = {pool.submit(lambda: threading.current_thread().name).result(5)}
    for _ in range(20):
        threads_waiting = pool.submit(lambda: threading.current_thread().name)
        names.add(threads_waiting.result(5))
    assert len(names) <= 2  # a thread that has just given its result may not be idle yet
    pool.shutdown()


def test_threads_end_after_the_work_they_have() -> None:
    pool, gate, threads = DaemonThreads(2, "test"), threading.Event(), set[threading.Thread]()

    def work() -> None:
        threads.add(threading.current_thread())
        assert gate.wait(5)

    futures = [pool.submit(work) for _ in range(4)]
    pool.shutdown()
    gate.set()
    assert not wait(futures, 5).not_done
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_what_work_raises_reaches_who_waits_and_the_thread_goes_on() -> None:
    pool = DaemonThreads(1, "test")

    def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        pool.submit(fails).result(5)
    assert pool.submit(len, "four").result(5) == 4
    pool.shutdown()
