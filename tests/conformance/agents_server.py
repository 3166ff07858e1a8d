"""A process that serves one side of the agents: `python -m tests.conformance.agents_server SPEC`.

SPEC is a JSON object: `side`, `address`, `transport` and the runtime's `options`. The process prints a
line with its address once it takes calls. A line on its standard input makes peers known; the end of its
standard input ends it, so that no server outlives its test run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from aixgo import DistributedRuntime, serve
from tests.conformance import agents

__all__: list[str] = []


async def main(spec: dict[str, object]) -> None:
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[str] = asyncio.Queue()
    served: list[DistributedRuntime] = []

    def read() -> None:
        text = sys.stdin.buffer.readline().decode()
        if not text:
            loop.remove_reader(sys.stdin)
            os.kill(os.getpid(), signal.SIGTERM)
        orders.put_nowait(text)

    def ready(runtime: DistributedRuntime) -> None:
        served.append(runtime)
        loop.add_reader(sys.stdin, read)
        print(runtime.address, flush=True)

    async def obey() -> None:
        while text := await orders.get():
            for name, address in json.loads(text).items():
                await served[0].connect(name, address)
            print("connected", flush=True)

    async with asyncio.TaskGroup() as group:
        obeying = group.create_task(obey())
        await serve(
            *getattr(agents, str(spec["side"])),
            address=str(spec["address"]),
            transport=str(spec["transport"]),
            ready=ready,
            **spec["options"],  # type: ignore[arg-type]
        )
        obeying.cancel()
    print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
