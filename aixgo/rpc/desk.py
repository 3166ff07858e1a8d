"""What a server does with a request, whichever way it came: as an RPC of its own or over `Connect`.

A request is admitted (its context made, its message read), given to the `Host`, and every failure becomes an
error that may cross: text of an exception never leaves, what is no `AixgoError` is logged under an id and
crosses as `AgentFailed`.

Below: codec, base. Above: server, multiplex.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aixgo.context import CallContext
from aixgo.deadlines import Deadlines, Guard
from aixgo.errors import (
    AgentFailed,
    AixgoError,
    DeadlineExceeded,
    InvalidMessage,
    RuntimeClosed,
    new_error_id,
)
from aixgo.message import Message, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.rpc.base import Host
from aixgo.rpc.codec import Payload, read_context, read_message
from aixgo.rpc.options import STATUS_GRACE
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["Desk", "Reader", "Served"]

log = logging.getLogger(__name__)

CLEANUP = 5.0  # seconds a producer may take to clean up after its reader left

Request = pb.ExecuteRequest | pb.ExecuteStreamRequest | pb.SendRequest | pb.Request


class Served:
    """One request being served, as far as it has been understood."""

    __slots__ = ("admitted", "context", "payload", "peer", "target")

    def __init__(self, target: str, peer: str = "") -> None:
        self.target = target
        self.peer = peer
        """Who the caller's certificate names."""
        self.admitted = False
        """Whether the host let a stream in, so that what fails is its agent."""
        self.context: CallContext | None = None
        self.payload: Payload | None = None
        """Of the message, if it came apart from it; the request's reader takes it."""

    def error_of(self, failure: Exception) -> AixgoError:
        """What a caller is told of `failure`."""
        if isinstance(failure, AixgoError):
            return failure
        error = AgentFailed(self.target, new_error_id())
        log.error("serving %r failed, error id %s", self.target, error.error_id, exc_info=failure)
        return error


class Reader(Protocol):
    """Where the parts of a streamed reply go. A slow one slows its producer down."""

    async def admitted(self) -> None:
        """The agent was reached."""
        ...

    async def chunk(self, chunk: StreamChunk) -> None: ...

    async def final(self, message: Message) -> None: ...


class Desk:
    """Passes the requests of one server to its host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.deadlines = Deadlines(host.clock)
        self._receivers: set[Guard] = set()
        self._last_call = -math.inf

    @property
    def quiet_for(self) -> float:
        """Seconds since the last request."""
        return time.monotonic() - self._last_call

    async def call(self, served: Served, request: Request) -> Message:
        """The reply of the request's target."""
        message = self._admit(served, request)
        assert served.context is not None
        return await self.host.call(request.target, message, served.context)

    async def send(self, served: Served, request: Request) -> None:
        """Put the request's message into the mailbox of its target."""
        message = self._admit(served, request)
        assert served.context is not None
        await self.host.send(request.target, message, served.context)

    async def stream(self, served: Served, request: Request, reader: Reader) -> None:
        """Pass the reply of the request's target to `reader`, in pieces."""
        message = self._admit(served, request)
        context, target = served.context, request.target
        assert context is not None
        # The host bounds each step of its agent; this bounds a reader that stops reading.
        guard = self.deadlines.arm(context.deadline + STATUS_GRACE, _current_task())
        try:
            chunks = await self.host.stream(target, message, context)
            try:
                served.admitted = True  # a refusal can be told from a failure
                await reader.admitted()
                await _pass_on(chunks, reader, target)
            finally:
                await _see_through(chunks.aclose())
        except asyncio.CancelledError:
            if guard.absorbed():
                raise DeadlineExceeded(target) from None
            raise
        finally:
            guard.disarm()

    async def receive(
        self,
        served: Served,
        name: str,
        envelope: message_pb2.CallEnvelope,
        deliver: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass messages of a mailbox to `deliver`, until the time is over or the server stops."""
        if not name:
            raise InvalidMessage(expected="the name of a mailbox", path="name")
        context = read_context(envelope, name, self.host.clock, math.inf)
        context.peer = served.peer
        served.context = context
        task = _current_task()
        timed = not math.isinf(context.deadline)
        guard = self.deadlines.arm(context.deadline, task) if timed else None
        closing = Guard(task, self._receivers)
        self._receivers.add(closing)
        try:
            await _deliver_all(self.host.receive(name), deliver)
        except asyncio.CancelledError:
            for ended in (closing, guard):
                if ended is not None and ended.error is not None and ended.absorbed():
                    raise ended.error() from None
            raise
        finally:
            closing.disarm()
            if guard is not None:
                guard.disarm()

    def end_receivers(self) -> None:
        """End what has no end of its own to wait for."""
        for receiver in tuple(self._receivers):
            receiver.fire(_stopping)

    def _admit(self, served: Served, request: Request) -> Message:
        """The message of a request that names its target; the call's context is noted in `served`."""
        self._last_call = time.monotonic()
        target = request.target
        if not target:
            raise InvalidMessage(expected="the name of an agent", path="target")
        served.context = read_context(
            request.envelope, target, self.host.clock, self.host.default_timeout(target)
        )
        if served.peer:
            served.context.peer = served.peer
        if not request.HasField("message"):
            raise InvalidMessage(expected="a Message", path="message")
        if served.context.remaining <= 0:
            raise DeadlineExceeded(target)
        payload, served.payload = served.payload, None
        return read_message(request.message, payload)


async def _pass_on(chunks: ReplyStream, reader: Reader, target: str) -> None:
    async for chunk in chunks:
        await reader.chunk(chunk)
    final = chunks.final
    if final is None:
        raise AgentFailed(target, "")
    await reader.final(final)


async def _deliver_all(
    messages: AsyncIterator[Message], deliver: Callable[[Message], Awaitable[None]]
) -> None:
    try:
        async for message in messages:
            await deliver(message)
    finally:
        close: Callable[[], Awaitable[None]] | None = getattr(messages, "aclose", None)
        if close is not None:
            await close()


async def _see_through(cleanup: Awaitable[None]) -> None:
    """Let a producer finish its cleanup: the task of a caller that left is cancelled more than once."""
    task = asyncio.ensure_future(cleanup)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=CLEANUP)
        task.cancel()
        raise


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None, "each request is served in a task"
    return task


def _stopping() -> AixgoError:
    return RuntimeClosed("stopping")
