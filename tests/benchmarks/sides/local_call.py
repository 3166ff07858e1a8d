"""The same agent called through a LocalRuntime."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from aixgo import LocalRuntime, Message
from tests.benchmarks.side import Call, Work, measure, works_of
from tests.benchmarks.sides.echo import echo
from tests.benchmarks.sides.observing import observed, settle


@asynccontextmanager
async def local() -> AsyncIterator[Mapping[str, Work]]:
    async with LocalRuntime(echo) as runtime:

        def prepare(target: str, text: str) -> Call:
            message = Message(text)
            return lambda: runtime.call(target, message)

        works = works_of(prepare, lambda reply: cast("Message", reply).text)
        yield {**works, "settle": settle}


if __name__ == "__main__":
    with observed():
        measure(local)
