"""A streamed reply over one server-streaming RPC, as its reader holds it.

Below: pieces, codec. Above: unary, which opens it and reads from the RPC for it.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Protocol

import grpc

from aixgo.context import CallContext
from aixgo.errors import AixgoError, Unavailable
from aixgo.message import StreamChunk
from aixgo.rpc.codec import parse, read_chunk, read_message
from aixgo.rpc.pieces import RemoteStream
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


class UnaryStream(RemoteStream):
    """A reply in the messages of an RPC of its own."""

    def __init__(
        self, link: _Reader, rpc: StreamCall, context: CallContext, ticket: Ticket
    ) -> None:
        super().__init__(functools.partial(_abandon, rpc, ticket))
        self._link = link
        self._rpc = rpc
        self._context = context

    async def _next(self) -> StreamChunk | None:
        part = await self._next_part()
        if part.HasField("chunk"):
            return read_chunk(part.chunk)
        await self._finish(part)
        return None

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

    def _end(self) -> None:
        if not self._ended:
            self._context.in_doubt = self._final is None and not self._rpc.done()
        super()._end()

    def _broken(self, reason: str) -> AixgoError:
        return Unavailable(self._context.agent, reason, "unknown")


def _abandon(rpc: StreamCall, ticket: Ticket) -> None:
    """Else gRPC would keep the RPC, and the callee's work, until the channel closes."""
    rpc.cancel()
    ticket.release()
