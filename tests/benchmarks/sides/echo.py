"""The agents everything here calls."""

import asyncio
from collections.abc import AsyncIterator

from aixgo import Message, agent
from tests.benchmarks.side import pause


@agent(role="echoes")
async def echo(message: Message) -> Message:
    return message


@agent(role="echoes after a moment")
async def jitter(message: Message) -> Message:
    await pause()
    return message


@agent(role="streams as many tokens as it is told")
async def tokens(text: str) -> AsyncIterator[str]:
    for _ in range(int(text)):
        yield "token "


@agent(role="counts the tasks of its process")
async def tasks() -> str:
    return str(len(asyncio.all_tasks()))
