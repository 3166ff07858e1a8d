"""A call on a connection, as its caller waits for it: what came of it, and what wakes who waits.

Below: transfers, outbox, codec. Above: connection, stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from aixgo.context import CallContext
from aixgo.errors import AixgoError, LimitExceeded
from aixgo.ledger import Usage
from aixgo.rpc.codec import Payload, read_usage
from aixgo.rpc.outbox import Parcel
from aixgo.rpc.transfers import Outgoing
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

if TYPE_CHECKING:
    from aixgo.rpc.connection import Connection

__all__ = ["Call", "End", "StreamedCall"]

End: TypeAlias = pb.Reply | AixgoError
"""How a call ends: with a reply, or with the error it failed with."""


class Call:
    """One call on a connection, as its caller waits for it."""

    def __init__(self, context: CallContext) -> None:
        self.context = context
        self.connection: Connection | None = None
        """What carries it, once it was queued."""
        self.number = 0
        self.parcel: Parcel | None = None
        """What opens it: the request, or the announcement of its transfer."""
        self.outgoing: Outgoing | None = None
        self.left = False
        """True once its caller no longer waits."""
        self.counted = True
        """False once nobody asks any more what it spent."""
        self.end: End | None = None
        self.payload: Payload | None = None
        """Of the reply in `end`, if it came apart from it."""
        self.waiter: asyncio.Future[None] | None = None
        """What something that came for it ends."""

    @property
    def may_have_started(self) -> bool:
        """Whether the server may have the whole request."""
        if self.outgoing is not None:
            return self.outgoing.complete
        return self.parcel is not None and self.parcel.taken

    def settled(self, usage: message_pb2.Usage) -> None:
        """Count what a reply says that nobody waits for any more."""
        self.charge(read_usage(usage) or None)
        self.context.in_doubt = self.context.in_doubt and not self.counted

    def may_bring(self, kind: str) -> bool:
        """Whether `kind`, of those that come in an order, may come now."""
        return kind == "reply"

    def charge(self, usage: Usage | None) -> None:
        if self.counted:
            self.context.charge(usage)

    def ended(self, end: End) -> None:
        self.end = end
        self.wake()

    async def changed(self) -> None:
        """Return when something came for it. One waiter at a time."""
        # The loop is asked for once per connection: before Python 3.12 that is a system call.
        loop = asyncio.get_running_loop() if self.connection is None else self.connection.loop
        self.waiter = loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class StreamedCall(Call):
    """A call whose reply comes in pieces: chunks, or the messages of a mailbox."""

    def __init__(self, context: CallContext, window: int, part: str) -> None:
        super().__init__(context)
        self.part = part
        """What it comes in: "chunk" or "delivery"."""
        self.admitted = False
        self.unread: deque[message_pb2.StreamChunk | pb.Delivery] = deque()
        self.unread_bytes = 0
        self.window = window
        self.allowed = window
        """Pieces the server may send now."""
        self.owed = 0
        """Pieces read and not given back yet."""

    def take(self, part: message_pb2.StreamChunk | pb.Delivery) -> None:
        """Note a piece that came.

        Raises:
            LimitExceeded: the server sends more than it may.
        """
        if not self.allowed:
            raise LimitExceeded("chunks granted to a stream", self.window, self.context.agent)
        self.allowed -= 1
        if not self.left:
            self.unread.append(part)
            self.unread_bytes += part.ByteSize()
            self.wake()

    def may_bring(self, kind: str) -> bool:
        if self.part == "delivery":
            return kind == "delivery"
        return kind == "admitted" or (self.admitted and kind != "delivery")

    def read(self) -> message_pb2.StreamChunk | pb.Delivery:
        """Take the oldest piece."""
        part = self.unread.popleft()
        self.unread_bytes -= part.ByteSize()
        self.owed += 1
        if self.connection is not None:
            self.connection.give_back(self)
        return part
