"""An agent executed directly: what a local call is compared with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from aixgo import Message
from tests.benchmarks.side import Call, Work, measure, works_of
from tests.benchmarks.sides.echo import echo


@asynccontextmanager
async def bare() -> AsyncIterator[Mapping[str, Work]]:
    def prepare(_: str, text: str) -> Call:
        message = Message(text)
        return lambda: echo.execute(message)

    yield works_of(prepare, lambda reply: cast("Message", reply).text)


if __name__ == "__main__":
    measure(bare)
