"""A vendor's tokens, read in four places; the second argument is where from.

`agent URL` serves an agent with the model; `relay ADDRESS` serves one that hands on what that one streams; both
print their address. `caller ADDRESS` reads from the relay; `sdk URL` reads from the vendor with its own SDK, and
`crowd URL` through agents in this process.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from openai import AsyncOpenAI

from aixgo import DistributedRuntime, LocalRuntime, agent, serve
from aixgo.agents import ChatAgent
from aixgo.contract import Caller
from aixgo.providers.openai import OpenAIProvider
from tests.benchmarks.side import Figures, Work, chunks, measure, run
from tests.conformance_providers.dialects import KEY

MODEL = "gpt-4o"


def chat(url: str) -> ChatAgent:
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)
    return ChatAgent("chat", provider=provider, model=MODEL)


@agent(role="hands on what chat streams")
async def relay(text: str, caller: Caller) -> AsyncIterator[str]:
    async with caller.stream("chat", text) as stream:
        async for chunk in stream:
            if chunk.type == "content":
                yield chunk.content


@asynccontextmanager
async def caller(address: str) -> AsyncIterator[Mapping[str, Work]]:
    async with DistributedRuntime(peers={"relay": address}) as runtime:

        async def pieces(length: int) -> AsyncIterator[object]:
            async with runtime.stream("relay", str(length)) as stream:
                async for chunk in stream:
                    if chunk.type == "content":
                        yield chunk

        yield {"chunks": partial(chunks, pieces)}


@asynccontextmanager
async def sdk(url: str) -> AsyncIterator[Mapping[str, Work]]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client:

        async def pieces(length: int) -> AsyncIterator[object]:
            stream = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": str(length)}], stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk

        yield {"chunks": partial(chunks, pieces)}


@asynccontextmanager
async def crowd(url: str) -> AsyncIterator[Mapping[str, Work]]:
    async with LocalRuntime(chat(url)) as runtime:

        async def one(length: int, all_hear: asyncio.Barrier) -> int:
            """The tokens of one chat, which waits at its first until every other has one, too."""
            count = 0
            async with runtime.stream("chat", str(length), timeout=50) as stream:
                async for chunk in stream:
                    if chunk.type == "content":
                        count += 1
                        if count == 1:
                            await all_hear.wait()
            return count

        async def many(number: int, length: int) -> Figures:
            all_hear = asyncio.Barrier(number)
            start = time.perf_counter()
            counts = await asyncio.gather(
                *(one(length, all_hear) for _ in range(number)), return_exceptions=True
            )
            took = time.perf_counter() - start
            return {"seconds": took, "failed": sum(count != length for count in counts)}

        yield {"crowd": many}


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what in ("agent", "relay"):
        run(
            serve(
                chat(where) if what == "agent" else relay,
                address="127.0.0.1:0",
                peers={"chat": where} if what == "relay" else {},
                ready=lambda runtime: print(runtime.address, flush=True),
            )
        )
    else:
        measure(partial({"caller": caller, "sdk": sdk, "crowd": crowd}[what], where))
