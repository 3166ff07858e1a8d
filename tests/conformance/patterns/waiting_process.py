"""A process whose agents, a and b, wait at the gates of a test: prints its address, ends with its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aixgo import DistributedRuntime, Message, serve
from tests.conformance.gates import pass_gate

__all__: list[str] = []


class Waiting:
    """Answers what the test says once it opens the gate of this agent's name."""

    role = "waiting"

    def __init__(self, name: str, gates: str) -> None:
        self.name = name
        self._gates = gates

    async def execute(self, message: Message) -> Message:
        return Message(await pass_gate(self._gates, self.name))


async def main(gates: str) -> None:
    def ready(runtime: DistributedRuntime) -> None:
        asyncio.get_running_loop().add_reader(
            sys.stdin, lambda: os.kill(os.getpid(), signal.SIGTERM)
        )
        print(runtime.address, flush=True)

    await serve(Waiting("a", gates), Waiting("b", gates), address="127.0.0.1:0", ready=ready)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
