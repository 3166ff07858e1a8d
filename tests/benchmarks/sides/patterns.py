"""A pattern over agents that do nothing but echo, done in one of three ways: `WAY PATTERN`.

`pattern`: run by a `LocalRuntime`. `calls`: the agents called through a `LocalRuntime`, by `asyncio.gather` or in a
loop. `plain`: their `execute` awaited in the same way, without a runtime.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aixgo import LocalRuntime, Message, agent
from aixgo.orchestration import MapReduce, Parallel, Sequential
from tests.benchmarks.side import Work, measure, works_of
from tests.benchmarks.sides.graphs import EXPECTED, LINES, NAMES, TEXT

Ask = Callable[[str, Message], Awaitable[Message]]


async def echo(message: Message) -> Message:
    return message


AGENTS = {name: agent(name=name, role="echoes")(echo) for name in NAMES}
ONE = NAMES[0]

PATTERNS = {
    "parallel": Parallel("pattern", list(AGENTS.values()), aggregation="concat"),
    "sequential": Sequential("pattern", list(AGENTS.values())),
    "mapreduce": MapReduce("pattern", AGENTS[ONE], split="lines", reduce="concat"),
}
GIVEN = {
    "parallel": Message(TEXT),
    "sequential": Message(TEXT),
    "mapreduce": Message(LINES),
}


async def parallel(ask: Ask, message: Message) -> Message:
    replies = await asyncio.gather(*(ask(name, message) for name in NAMES))
    return Message("\n\n".join([reply.text for reply in replies]))


async def sequential(ask: Ask, message: Message) -> Message:
    for name in NAMES:
        message = await ask(name, message)
    return message


async def mapreduce(ask: Ask, message: Message) -> Message:
    chunks = message.text.splitlines()
    replies = await asyncio.gather(*(ask(ONE, Message(chunk)) for chunk in chunks))
    return Message("\n".join([reply.text for reply in replies]))


BY_HAND = {"parallel": parallel, "sequential": sequential, "mapreduce": mapreduce}


@asynccontextmanager
async def patterns() -> AsyncIterator[Mapping[str, Work]]:
    way, name = sys.argv[1:]
    given, by_hand = GIVEN[name], BY_HAND[name]
    async with LocalRuntime(PATTERNS[name]) as runtime:

        async def once() -> Message:
            match way:
                case "pattern":
                    return await runtime.call("pattern", given)
                case "calls":
                    return await by_hand(runtime.call, given)
                case _:
                    return await by_hand(execute, given)

        assert (await once()).text == EXPECTED[name]
        yield works_of(lambda _target, _text: once, lambda _: "")


def execute(name: str, message: Message) -> Awaitable[Message]:
    return AGENTS[name].execute(message)


if __name__ == "__main__":
    measure(patterns)
