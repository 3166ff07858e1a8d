"""A streamed reply over one server-streaming RPC, as its reader holds it.

Below: codec. Above: unary, which opens it and reads from the RPC for it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import grpc

from aixgo.context import CallContext
from aixgo.errors import AixgoError, Unavailable
from aixgo.message import Message, StreamChunk
from aixgo.rpc.codec import parse, read_chunk, read_message
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["StreamCall", "Ticket", "UnaryStream"]

StreamCall = grpc.aio.UnaryStreamCall[bytes, bytes]


class Ticket:
    """One piece of outstanding work of a link, and the slot it holds if it needed one."""

    __slots__ = ("_held", "slots")

    def __init__(self, held: set[Ticket]) -> None:
        self._held = held
        self.slots: asyncio.Semaphore | None = None
        held.add(self)

    def release(self) -> None:
        """Count the work out. Twice is fine."""
        if self in self._held:
            self._held.remove(self)
            if self.slots is not None:
                self.slots.release()


class _Reader(Protocol):
    """What a stream needs of its link."""

    async def read(self, rpc: StreamCall, context: CallContext) -> bytes | None: ...


class UnaryStream:
    """A reply in pieces; implements `ReplyStream`. Leaving it, in whatever way, stops the callee."""

    def __init__(
        self, link: _Reader, rpc: StreamCall, context: CallContext, ticket: Ticket
    ) -> None:
        self._link = link
        self._rpc = rpc
        self._context = context
        self._ticket = ticket
        self._ended = False
        self._final: Message | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended."""
        return self._final

    def __aiter__(self) -> UnaryStream:
        return self

    async def __anext__(self) -> StreamChunk:
        if self._ended:
            raise StopAsyncIteration
        try:
            part = await self._next_part()
            if part.HasField("chunk"):
                return read_chunk(part.chunk)
            await self._finish(part)
        except BaseException:
            self._end()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the callee, if it has not ended. Harmless at any time."""
        if not self._ended:
            self._end()

    def __del__(self) -> None:
        # gRPC would keep the RPC, and the callee's work, until the channel closes. May run in any thread.
        if not self._ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_abandon, self._rpc, self._ticket)

    async def _next_part(self) -> pb.ExecuteStreamResponse:
        body = await self._link.read(self._rpc, self._context)
        if body is None:
            raise self._broken("it ended its stream without a final message")
        return parse(pb.ExecuteStreamResponse, body)

    async def _finish(self, part: pb.ExecuteStreamResponse) -> None:
        """Take the final message; the stream succeeded only if nothing but its status follows."""
        if not part.HasField("final"):
            raise self._broken("it sent something else than a piece of a stream")
        final = read_message(part.final)
        self._context.charge(final.usage or None)
        if await self._link.read(self._rpc, self._context) is not None:
            raise self._broken("its stream went on after the final message")
        self._final = final
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._context.in_doubt = self._final is None and not self._rpc.done()
        _abandon(self._rpc, self._ticket)

    def _broken(self, reason: str) -> AixgoError:
        return Unavailable(self._context.agent, reason, "unknown")


def _abandon(rpc: StreamCall, ticket: Ticket) -> None:
    rpc.cancel()
    ticket.release()
