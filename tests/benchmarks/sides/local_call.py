"""The same agent called through a LocalRuntime."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aixgo import LocalRuntime, Message
from tests.benchmarks.side import Call, measure
from tests.benchmarks.sides.echo import echo


@asynccontextmanager
async def local() -> AsyncIterator[Call]:
    message = Message("hello")
    async with LocalRuntime(echo) as runtime:
        yield lambda: runtime.call("echo", message)


if __name__ == "__main__":
    measure(local)
