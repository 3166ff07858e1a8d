"""The agents as a service; argument: how many more echoes there are, named echo-0, echo-1, ….

It prints its address.
"""

import sys

from aixgo import Agent, Message, agent, serve
from tests.benchmarks.side import run
from tests.benchmarks.sides.echo import echo, jitter, tasks, tokens
from tests.benchmarks.sides.observing import observed, settles
from tests.benchmarks.sides.securing import secured


def another(index: int) -> Agent:
    @agent(name=f"echo-{index}", role="echoes")
    async def echoes(message: Message) -> Message:
        return message

    return echoes


if __name__ == "__main__":
    more = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with observed():
        run(
            serve(
                *(echo, jitter, tasks, tokens, settles),
                *map(another, range(more)),
                address="127.0.0.1:0",
                ready=lambda runtime: print(runtime.address, flush=True),
                **secured(),
            )
        )
