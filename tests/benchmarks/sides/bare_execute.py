"""An agent executed directly: what a local call is compared with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aixgo import Message
from tests.benchmarks.side import Call, measure
from tests.benchmarks.sides.echo import echo


@asynccontextmanager
async def bare() -> AsyncIterator[Call]:
    message = Message("hello")
    yield lambda: echo.execute(message)


if __name__ == "__main__":
    measure(bare)
