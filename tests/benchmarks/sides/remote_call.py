"""The same agent called through a DistributedRuntime; arguments: address, transport."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aixgo import DistributedRuntime, Message
from tests.benchmarks.side import Call, measure


@asynccontextmanager
async def remote() -> AsyncIterator[Call]:
    address, transport = sys.argv[1:]
    message = Message("hello")
    async with DistributedRuntime(peers={"echo": address}, transport=transport) as runtime:
        yield lambda: runtime.call("echo", message)


if __name__ == "__main__":
    measure(remote)
