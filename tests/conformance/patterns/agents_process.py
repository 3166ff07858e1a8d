"""The process of the suite that hosts all agents of all tables: prints its address, ends with its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aixgo import DistributedRuntime, serve
from tests.conformance.patterns.base import Actor, all_agents

__all__: list[str] = []


async def main() -> None:
    def ready(runtime: DistributedRuntime) -> None:
        asyncio.get_running_loop().add_reader(
            sys.stdin, lambda: os.kill(os.getpid(), signal.SIGTERM)
        )
        print(runtime.address, flush=True)

    actors = [Actor(name, rule) for name, rule in all_agents().items()]
    await serve(*actors, address="127.0.0.1:0", ready=ready)


if __name__ == "__main__":
    asyncio.run(main())
