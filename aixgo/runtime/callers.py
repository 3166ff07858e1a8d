"""The Caller an agent holds: the runtime, seen from one agent.

Inside a call it adds nothing, because the context says everything. Outside one, in `start` and the
tasks made there, it makes the agent known as the source and gives it its own mailbox and outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from aixgo.contract import Agent, Outcomes
from aixgo.errors import AixgoError
from aixgo.ledger import Budget
from aixgo.message import Message, Payload
from aixgo.middleware import ReplyStream
from aixgo.purse import STREAM_SHARE, Share

if TYPE_CHECKING:
    from aixgo.runtime.base import Runtime

__all__ = ["AgentCaller"]


class AgentCaller:
    """`Caller` for the agent `name` of `runtime`."""

    __slots__ = ("_name", "_outputs", "_runtime")

    def __init__(self, runtime: Runtime, name: str, outputs: Sequence[str]) -> None:
        self._runtime = runtime
        self._name = name
        self._outputs = outputs

    async def call(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = 1,
    ) -> Message:
        """See `Caller.call`."""
        return await self._runtime.call(
            target,
            message,
            timeout=timeout,
            budget=budget,
            session=session,
            idempotency_key=idempotency_key,
            key=key,
            share=share,
            source=self._name,
        )

    def stream(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = STREAM_SHARE,
    ) -> AbstractAsyncContextManager[ReplyStream]:
        """See `Caller.stream`."""
        return self._runtime.stream(
            target,
            message,
            timeout=timeout,
            budget=budget,
            session=session,
            idempotency_key=idempotency_key,
            key=key,
            share=share,
            source=self._name,
        )

    async def call_parallel(
        self,
        targets: Sequence[str],
        message: Message | Payload,
        *,
        timeout: float | None = None,
        keys: Sequence[str] | None = None,
        after: int = 0,
    ) -> Outcomes:
        """See `Caller.call_parallel`."""
        return await self._runtime.call_parallel(
            targets, message, timeout=timeout, keys=keys, after=after, source=self._name
        )

    async def send(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float = 5.0,
        budget: Budget | None = None,
    ) -> None:
        """See `Caller.send`."""
        await self._runtime.send(target, message, timeout=timeout, budget=budget, source=self._name)

    async def recv(self, name: str = "", *, timeout: float | None = None) -> Message:
        """See `Caller.recv`."""
        return await self._runtime.recv(name or self._name, timeout=timeout)

    async def broadcast(
        self, message: Message | Payload, targets: Iterable[str] | None = None
    ) -> Outcomes:
        """See `Caller.broadcast`."""
        return await self._runtime.broadcast(message, targets, source=self._name)

    async def emit(self, message: Message | Payload) -> None:
        """See `Caller.emit`."""
        given = Message.of(message)
        failed: AixgoError | None = None
        for target in self._outputs:
            try:
                await self.send(target, given)
            except AixgoError as exc:  # the other outputs still get theirs
                failed = failed or exc
        if failed is not None:
            raise failed

    def list_agents(self) -> list[str]:
        """See `Caller.list_agents`."""
        return self._runtime.list_agents()

    def spawn(self, agent: Agent) -> AbstractAsyncContextManager[str]:
        """See `Caller.spawn`."""
        return self._runtime.spawn(agent)
