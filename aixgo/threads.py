"""Threads that do not keep a process alive: an executor whose work is not waited for at exit.

The standard pool's threads are joined when the interpreter ends, so that one synchronous agent that hangs
would keep its process from ending, whatever signal asked for it. Below: nothing. Above: decorator, tools.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeAlias, TypeVar

__all__ = ["DaemonThreads", "run_in"]

P = ParamSpec("P")
T = TypeVar("T")

_Work: TypeAlias = "queue.SimpleQueue[Callable[[], None] | None]"


class DaemonThreads(Executor):
    """Up to `limit` threads, begun as they are needed; more work waits in order."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._count = 0
        self._work: _Work = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in one of the threads."""
        future: Future[T] = Future()
        call = functools.partial(fn, *args, **kwargs)
        self._work.put(functools.partial(_fulfil, future, call))
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            threading.Thread(
                target=_run,
                args=(self._work, self._idle),
                name=f"{self._name}-{self._count}",
                daemon=True,
            ).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - Executor's shape
        """End the threads after the work they have; never waits for it."""
        for _ in range(self._count):
            self._work.put(None)


async def run_in(threads: DaemonThreads, call: Callable[[], T]) -> T:
    """What `call` returns when one of `threads` runs it, in the context variables of this task."""
    work = functools.partial(contextvars.copy_context().run, _without_stop_iteration, call)
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _without_stop_iteration(call: Callable[[], T]) -> T:
    try:
        return call()
    except StopIteration as exc:  # no future can carry it: whoever awaits would never wake
        raise RuntimeError("a synchronous function raised StopIteration") from exc


def _run(work: _Work, idle: threading.Semaphore) -> None:
    while True:
        try:
            call = work.get_nowait()
        except queue.Empty:
            idle.release()
            call = work.get()
        if call is None:
            return
        call()
        del call  # an idle thread holds no message


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as exc:  # noqa: BLE001 - it belongs to whoever awaits the future
        future.set_exception(exc)
    else:
        future.set_result(result)
