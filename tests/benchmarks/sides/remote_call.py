"""The agents called through a DistributedRuntime; arguments: address, transport, and how many more echoes."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

from aixgo import DistributedRuntime, Message
from aixgo.rpc.transports import open_link
from tests.benchmarks.side import Call, Figures, Work, chunks, measure, works_of
from tests.benchmarks.sides.observing import observed, settle
from tests.benchmarks.sides.securing import secured

AGENTS = ("echo", "jitter", "tasks", "tokens", "settles")


@asynccontextmanager
async def remote() -> AsyncIterator[Mapping[str, Work]]:
    address, transport = sys.argv[1:3]
    more = [f"echo-{index}" for index in range(int(sys.argv[3]))] if len(sys.argv) > 3 else []
    peers = dict.fromkeys((*AGENTS, *more), address)
    async with (
        DistributedRuntime(peers=peers, transport=transport, **secured()) as runtime,
        AsyncExitStack() as links,
    ):

        def prepare(target: str, text: str) -> Call:
            message = Message(text)
            return lambda: runtime.call(target, message)

        async def pieces(length: int) -> AsyncIterator[object]:
            async with runtime.stream("tokens", str(length)) as stream:
                async for chunk in stream:
                    yield chunk

        async def fan() -> Figures:
            written = runtime.metrics()["wire"]["frames_sent"]
            start = time.perf_counter()
            outcomes = await runtime.call_parallel(more, "x" * 200)
            return {
                "seconds": time.perf_counter() - start,
                "failed": len(outcomes.errors),
                "frames": runtime.metrics()["wire"]["frames_sent"] - written,
            }

        async def both_settle() -> Figures:
            await runtime.call("settles", "")
            return await settle()

        async def idle(number: int) -> Figures:
            for _ in range(number):
                link = open_link(transport, address)
                links.push_async_callback(link.aclose)
                await link.connect()
            there = await runtime.call("tasks", "")
            return {"tasks": len(asyncio.all_tasks()), "server_tasks": int(there.text)}

        yield {
            **works_of(prepare, lambda reply: cast("Message", reply).text),
            "chunks": partial(chunks, pieces),
            "fan": fan,
            "idle": idle,
            "settle": both_settle,
        }


if __name__ == "__main__":
    with observed():
        measure(remote)
