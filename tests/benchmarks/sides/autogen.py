"""Echo agents in autogen-core's runtimes; runs in an environment that has autogen and not aixgo.

`local`: in-process. `host` prints its address; `worker ADDRESS` has the agents; `grpc ADDRESS` calls them.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from autogen_core import (
    AgentId,
    AgentRuntime,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
    try_get_known_serializers_for_type,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost

from tests.benchmarks.side import Call, Work, measure, pause, run, works_of


@dataclass
class Text:
    content: str


class Echo(RoutedAgent):
    @message_handler
    async def echo(self, message: Text, ctx: MessageContext) -> Text:
        return message


class Jitter(RoutedAgent):
    @message_handler
    async def echo(self, message: Text, ctx: MessageContext) -> Text:
        await pause()
        return message


async def register(runtime: AgentRuntime) -> None:
    await Echo.register(runtime, "echo", lambda: Echo("echoes"))
    await Jitter.register(runtime, "jitter", lambda: Jitter("echoes after a moment"))


def works(runtime: AgentRuntime) -> Mapping[str, Work]:
    def prepare(target: str, text: str) -> Call:
        agent, message = AgentId(target, "default"), Text(text)
        return lambda: runtime.send_message(message, agent)

    return works_of(prepare, lambda reply: cast("Text", reply).content)


@asynccontextmanager
async def local() -> AsyncIterator[Mapping[str, Work]]:
    runtime = SingleThreadedAgentRuntime()
    await register(runtime)
    runtime.start()
    yield works(runtime)
    await runtime.stop()


@asynccontextmanager
async def over_grpc() -> AsyncIterator[Mapping[str, Work]]:
    runtime = GrpcWorkerAgentRuntime(sys.argv[2])
    runtime.add_message_serializer(try_get_known_serializers_for_type(Text))
    await runtime.start()
    yield works(runtime)
    await runtime.stop()


async def host() -> None:
    with socket.socket() as probe:  # it does not say which port it got
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    GrpcWorkerAgentRuntimeHost(address).start()
    print(address, flush=True)
    await asyncio.Event().wait()


async def worker() -> None:
    runtime = GrpcWorkerAgentRuntime(sys.argv[2])
    await runtime.start()
    await register(runtime)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "host":
        run(host())
    elif sys.argv[1] == "worker":
        run(worker())
    else:
        measure(local if sys.argv[1] == "local" else over_grpc)
