"""One side of a comparison, in a process of its own.

The parent writes ``callers calls`` lines and reads the seconds each took, so both sides stay warm
and take turns. Only the standard library is imported here: a side also runs in the environment of
the library it measures.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

Call = Callable[[], Awaitable[object]]

WARM_UP = 200  # calls


def measure(connect: Callable[[], AbstractAsyncContextManager[Call]]) -> None:
    """Answer the parent's lines until it closes the pipe."""
    asyncio.run(_answer(connect))


async def _answer(connect: Callable[[], AbstractAsyncContextManager[Call]]) -> None:
    async with connect() as call:
        await _seconds(call, 1, WARM_UP)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            callers, calls = map(int, line.split())
            print(await _seconds(call, callers, calls), flush=True)


async def _seconds(call: Call, callers: int, calls: int) -> float:
    """The time ``calls`` calls take in all, made by ``callers`` tasks at once."""

    async def caller() -> None:
        for _ in range(calls // callers):
            await call()

    start = time.perf_counter()
    if callers == 1:
        await caller()
    else:
        await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - start
