"""What a runtime shows to its peers: the agents it hosts, and nothing else.

A call for a name that is a peer here too is refused as unknown, so that no two runtimes can pass a call
back and forth. Below: base. Above: rpc's server, which serves this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aixgo.context import MAX_HOPS, CallContext, Clock
from aixgo.contract import AgentDescription
from aixgo.errors import AgentNotFound, RuntimeClosed
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.runtime.base import Runtime
from aixgo.runtime.hosting import Hosted

__all__ = ["SEND_MARGIN", "RuntimeHost"]

SEND_MARGIN = 0.25  # seconds of a send's time kept for the answer that its mailbox stayed full


class RuntimeHost:
    """`rpc.base.Host` over a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def instance(self) -> str:
        return self._runtime.instance

    @property
    def draining(self) -> bool:
        return self._runtime.state != "running"

    @property
    def clock(self) -> Clock:
        return self._runtime.clock

    def default_timeout(self, target: str) -> float:
        """Seconds a call may take when its caller named no deadline."""
        return self._runtime.default_timeout(target)

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        """The reply of the agent `target`."""
        return await self._runtime.run_hosted(self._enter(target, context), message, context)

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        """The reply of the agent `target` in pieces."""
        return await self._runtime.stream_hosted(self._enter(target, context), message, context)

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        """Put `message` into the mailbox of `target`."""
        context.deadline -= SEND_MARGIN
        await self._enter(target, context).send(message, context)

    async def receive(self, name: str) -> AsyncIterator[Message]:
        """The messages of a mailbox its agent declared, or of an exit, as they come."""
        while True:
            yield await self._runtime.recv(name)

    def descriptions(self) -> list[AgentDescription]:
        return self._runtime.hosted_descriptions()

    def _enter(self, target: str, context: CallContext) -> Hosted:
        runtime = self._runtime
        if runtime.state != "running" and not any(
            hop.instance == runtime.instance for hop in context.hops
        ):
            raise RuntimeClosed(runtime.state)  # part of a call we let in is let in until the end
        hosted = runtime.hosted(target)
        if hosted is None:
            raise AgentNotFound(target)
        context.max_hops = min(context.max_hops or MAX_HOPS, MAX_HOPS)
        context.check_hops(target)
        context.began = runtime.clock.monotonic()
        return hosted
