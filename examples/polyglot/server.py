"""Serves the four agents that client.mjs calls: python server.py [ADDRESS]."""

import asyncio
import sys
from collections.abc import AsyncIterator

from aixgo import AgentRefused, Message, StreamChunk, agent
from aixgo.runtime.distributed import DistributedRuntime, stop_signal


@agent(role="says it louder")
async def shout(text: str) -> str:
    return text.upper()


@agent(role="adds numbers")
async def add(numbers: dict[str, float]) -> dict[str, float]:
    return {"sum": sum(numbers.values())}


@agent(role="declines")
async def decline(text: str) -> str:
    raise AgentRefused(f"I would rather not: {text}")


class Spell:
    """Spells a word, letter by letter."""

    name = "spell"
    role = "spells"

    async def execute(self, message: Message) -> Message:
        return message.reply("-".join(message.text))

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        for letter in message.text:
            yield StreamChunk(content=letter)
        yield await self.execute(message)


async def main(address: str) -> None:
    runtime = DistributedRuntime(add, decline, Spell(), address=address)
    await runtime.register(shout, outputs=["loud"])  # replies to messages sent to it go there
    async with stop_signal() as stopped, runtime:
        print(f"serving at {runtime.address}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"))
