"""Agents of the files these tests run."""

import asyncio
import os
import signal

from aixgo import Agent, agent
from aixgo.contract import Caller


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
def length(text: str) -> int:
    return len(text)


@agent
async def process(text: str) -> int:
    return os.getpid()


@agent
async def fails(text: str) -> str:
    raise ValueError("only the log says this")


@agent
async def waits(text: str) -> str:
    print("waiting", flush=True)
    await asyncio.Event().wait()
    return text


@agent
async def dies(text: str) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return text


def marked(name: str, mark: str) -> Agent:
    @agent(name=name)
    async def mark_it(text: str) -> str:
        return text + mark

    return mark_it


@agent
async def asks(text: str, caller: Caller) -> str:
    """Calls `upper` itself, wherever that is."""
    return (await caller.call("upper", text)).text
