"""One side of a comparison, in a process of its own.

The parent writes a JSON object a line, and reads the figures of what it asked for, so all sides stay warm
and take turns. Only the standard library is imported here: a side also runs in the environment of the
library it measures.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

Call = Callable[[], Awaitable[object]]
Prepare = Callable[[str, str], Call]
"""A call of a target with a text, ready to be made any number of times."""

Figures = dict[str, float]
Work = Callable[..., Awaitable[Figures]]
Connect = Callable[[], AbstractAsyncContextManager[Mapping[str, Work]]]

LONGEST_PAUSE = 0.004  # seconds
BIG = "x" * (4 << 20)  # what passes while small calls are measured

_random = random.Random(7)


def run(main: Coroutine[object, object, None]) -> None:
    """Run to the end, on uvloop if the parent says so."""
    factory = None
    if os.environ.get("BENCH_UVLOOP"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def measure(connect: Connect) -> None:
    """Do what the parent's lines say until it closes the pipe."""
    run(_answer(connect))


async def _answer(connect: Connect) -> None:
    async with connect() as works:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            print(json.dumps(await works[order.pop("do")](**order)), flush=True)


async def pause() -> None:
    """Take 0 to 4 ms, as an agent would that does something."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(_random.uniform(0, LONGEST_PAUSE), over.set_result, None)
    await over


def works_of(prepare: Prepare, text_of: Callable[[object], str]) -> dict[str, Work]:
    """What every side that calls can do; ``text_of`` reads a reply."""
    return {
        "count": partial(count, prepare),
        "calls": partial(calls, prepare),
        "burst": partial(burst, prepare, text_of),
    }


async def count(prepare: Prepare, callers: int, calls: int) -> Figures:
    """The time a number of calls takes in all, with nothing else in the loop."""
    call = prepare("echo", "hello")

    async def caller() -> None:
        for _ in range(calls // callers):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return {"seconds": time.perf_counter() - start}


async def calls(
    prepare: Prepare, callers: int, size: int, seconds: float, target: str = "echo", big: int = 0
) -> Figures:
    """Callers that each wait for a reply before the next call, ``big`` more of them with 4 MiB messages."""
    call = prepare(target, "x" * size)
    times: list[float] = []
    failed = big_calls = 0
    start = time.perf_counter()
    end = start + seconds

    async def caller() -> None:
        nonlocal failed
        now = time.perf_counter()
        while True:  # at least once, however short the round and slow the machine
            began = now
            try:
                await call()
            except Exception:
                failed += 1
                now = time.perf_counter()
            else:
                now = time.perf_counter()
                times.append(now - began)
            if now >= end:
                return

    async def big_caller(call: Call) -> None:
        nonlocal big_calls
        while time.perf_counter() < end:
            await call()
            big_calls += 1

    if big:
        big_call = prepare("echo", BIG)
        bigs = (big_caller(big_call) for _ in range(big))
        await asyncio.gather(*bigs, *(caller() for _ in range(callers)))
    else:
        await asyncio.gather(*(caller() for _ in range(callers)))
    took = time.perf_counter() - start
    times.sort()
    return {
        "calls": len(times),
        "failed": failed,
        "big_calls": big_calls,
        "seconds": took,
        "p50": times[len(times) // 2] if times else took,
        "p99": times[len(times) * 99 // 100] if times else took,
    }


async def burst(
    prepare: Prepare, text_of: Callable[[object], str], number: int, target: str
) -> Figures:
    """All calls at once, each with a text of its own: how many failed, and how many got another's reply."""
    texts = [f"{index:200}" for index in range(number)]
    start = time.perf_counter()
    replies = await asyncio.gather(
        *(asyncio.ensure_future(prepare(target, text)()) for text in texts), return_exceptions=True
    )
    took = time.perf_counter() - start
    failed = sum(isinstance(reply, BaseException) for reply in replies)
    right = sum(
        not isinstance(reply, BaseException) and text_of(reply) == text
        for reply, text in zip(replies, texts, strict=True)
    )
    return {"seconds": took, "failed": failed, "wrong": number - failed - right}


async def chunks(
    pieces: Callable[[int], AsyncIterator[object]], streams: int, length: int, seconds: float
) -> Figures:
    """Streams of ``length`` chunks, one after the other on each of ``streams`` tasks."""
    firsts: list[float] = []
    received = 0
    start = time.perf_counter()
    end = start + seconds

    async def reader() -> None:
        nonlocal received
        began = start
        while not firsts or began < end:
            first = 0.0
            async for _ in pieces(length):
                received += 1
                first = first or time.perf_counter() - began
            firsts.append(first)
            began = time.perf_counter()

    await asyncio.gather(*(reader() for _ in range(streams)))
    took = time.perf_counter() - start
    firsts.sort()
    return {
        "chunks": received,
        "lost": len(firsts) * length - received,
        "seconds": took,
        "first": firsts[len(firsts) // 2],
    }
