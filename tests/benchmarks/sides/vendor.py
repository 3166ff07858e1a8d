"""A vendor's server on this machine: it streams as many tokens as the last message says, each an event of its own.

It prints its address.
"""

import asyncio

from tests.benchmarks.side import run
from tests.conformance_providers.dialects import Chat
from tests.conformance_providers.wire import Answer, Asked, WireServer, as_events


def answer(asked: Asked) -> Answer:
    dialect = Chat()
    length = int(asked.body["messages"][-1]["content"])
    return as_events(*dialect.pieces(*["token "] * length), *dialect.end())


async def serve() -> None:
    async with WireServer() as server:
        server.decide = answer
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(serve())
