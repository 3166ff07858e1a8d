"""One call of a client that `Connect` carries, as the server serves it.

Below: cargo, desk, frames, codec. Above: multiplex.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from aixgo.errors import AgentFailed, AixgoError
from aixgo.message import Message, StreamChunk
from aixgo.rpc.cargo import LARGE, Encoded, load
from aixgo.rpc.codec import fill_chunk, fill_message
from aixgo.rpc.desk import Served
from aixgo.rpc.frames import frame_of, status

__all__ = ["CallReader", "ServedCall", "reply"]

log = logging.getLogger(__name__)


class ServedCall:
    """One call being served."""

    __slots__ = (
        "_waiter",
        "allowed",
        "cancelled",
        "ended",
        "number",
        "served",
        "started",
        "task",
    )

    def __init__(self, number: int, peer: str = "") -> None:
        self.number = number
        self.served = Served("", peer)
        self.task: asyncio.Task[None] | None = None
        """None while its request is being transferred."""
        self.started = False
        self.cancelled = False
        self.ended = False
        """True once its end was queued."""
        self.allowed = 0
        """Chunks its reader takes now."""
        self._waiter: asyncio.Future[None] | None = None

    def grant(self, chunks: int) -> None:
        self.allowed += chunks
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def granted(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def ending(self, error: AixgoError | None) -> bytes:
        """The status it ends with; without an error it was cancelled."""
        context = self.served.context
        try:
            return status(self.number, error, context.spent if context is not None else None)
        except (
            Exception
        ):  # a caller must hear of the end of its call, whatever cannot be told of it
            log.exception("the end of a call of %r could not be told", self.served.target)
            return status(self.number, AgentFailed(self.served.target, ""), None)


class _Sender(Protocol):
    """What a reader needs of its connection."""

    async def send(self, body: bytes) -> None: ...

    async def send_part(self, call: ServedCall, body: bytes) -> None: ...


class CallReader:
    """A streamed reply goes into envelopes; implements the desk's `Reader`."""

    __slots__ = ("_begun", "_call", "_connection", "end")

    def __init__(self, connection: _Sender, call: ServedCall) -> None:
        self._connection = connection
        self._call = call
        self._begun = False
        self.end: Encoded = b""
        """The encoded reply that ends the stream."""

    async def admitted(self) -> None:
        frame, envelope = frame_of(self._call.number)
        envelope.admitted.SetInParent()
        await self._connection.send(frame.SerializeToString())

    async def chunk(self, chunk: StreamChunk) -> None:
        frame, envelope = frame_of(self._call.number)
        fill_chunk(envelope.chunk, chunk)
        await self._connection.send_part(self._call, frame.SerializeToString())
        if not self._begun:
            self._begun = True
            await asyncio.sleep(0)  # the first one leaves before the agent goes on

    async def deliver(self, message: Message) -> None:
        frame, envelope = frame_of(self._call.number)
        fill_message(envelope.delivery.message, message)
        await self._connection.send_part(self._call, frame.SerializeToString())

    async def final(self, message: Message) -> None:
        self.end = reply(self._call.number, message)


def reply(call: int, message: Message) -> Encoded:
    """The end of a call that succeeded with `message`."""
    frame, envelope = frame_of(call)
    payload = fill_message(envelope.reply.message, message, LARGE)
    return frame.SerializeToString() if payload is None else load(frame, payload)
