"""An echo agent in autogen-core's in-process runtime; runs in an environment that has autogen-core and not aixgo."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)

from tests.benchmarks.side import Call, measure


@dataclass
class Text:
    content: str


class Echo(RoutedAgent):
    @message_handler
    async def echo(self, message: Text, ctx: MessageContext) -> Text:
        return message


@asynccontextmanager
async def autogen() -> AsyncIterator[Call]:
    runtime = SingleThreadedAgentRuntime()
    await Echo.register(runtime, "echo", lambda: Echo("echoes"))
    runtime.start()
    target, message = AgentId("echo", "default"), Text("hello")
    yield lambda: runtime.send_message(message, target)
    await runtime.stop()


if __name__ == "__main__":
    measure(autogen)
