"""One side of one `Connect` RPC: its one writer, its one reader, and the rules both sides share.

Only the writer task writes and only `read` reads, because cancelling either on a gRPC stream ends the
stream, with every call on it; whoever makes or serves a call waits on futures of its own. What an envelope
means is its owner's business: the client's `Connection`, the server's `ServedConnection`.

Below: cargo, frames, outbox, transfers, traffic. Above: connection, multiplex.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeGuard

import grpc

from aixgo.context import Clock
from aixgo.errors import InvalidMessage, LimitExceeded, MessageTooLarge, Unavailable
from aixgo.rpc.cargo import Cargo, Encoded, cargo_of
from aixgo.rpc.frames import OURS, Limits, credit, pong, read_frame
from aixgo.rpc.options import MAX_WIRE_BYTES
from aixgo.rpc.outbox import Outbox, Parcel
from aixgo.rpc.traffic import Traffic, WireView
from aixgo.rpc.transfers import PIECE_BYTES, Incoming, Outgoing, Pool, announcement, piece
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Conduit", "Pipe"]

PINGS_AT_ONCE = 100
PINGS_PER_SECOND = 10.0


class Pipe(Protocol):
    """Frames in and out: either end of the RPC."""

    async def read(self) -> object:
        """The next frame, or anything but bytes at the end."""
        ...

    async def write(self, message: bytes, /) -> None: ...


async def _stay_open() -> None:
    """A server's side ends with its RPC."""


class Conduit:
    """Reads, writes, queues and cuts up for one connection. Belongs to the loop that makes it.

    Args:
        pipe: the RPC.
        take: called with every envelope that comes; what it raises ends `read`.
        stalled: a transfer of that call has failed.
        place: what there must be, beside room in the outbox, for a sender to go on.
        waiting: told when a sender has to wait for either.
        half_close: tells the peer that nothing more comes.
        pool: what the incoming transfers of several connections share.
    """

    def __init__(
        self,
        pipe: Pipe,
        take: Callable[[pb.Envelope], None],
        stalled: Callable[[int], None],
        *,
        clock: Clock,
        traffic: Traffic,
        view: WireView | None,
        place: Callable[[], bool] = lambda: True,
        waiting: Callable[[], None] | None = None,
        half_close: Callable[[], Awaitable[None]] = _stay_open,
        pool: Pool | None = None,
    ) -> None:
        self._half_close = half_close
        self.outbox = Outbox(place, waiting or traffic.stalled_for_room)
        self.incoming = Incoming(self._grant, stalled, clock, pool)
        self.theirs = OURS
        """What the peer takes; known once it said hello."""
        self.traffic = traffic
        self._pipe: Pipe | None = pipe
        self._take = take
        self._view = view
        self._clock = clock
        self._outgoing: dict[int, Outgoing] = {}
        self._writer: asyncio.Task[None] | None = None
        self._writing_since = math.inf
        self._pings = float(PINGS_AT_ONCE)
        self._pinged_at = clock.monotonic()

    def start(self, name: str, hello: bytes) -> None:
        """Begin to write: `hello` in a frame of its own, then what is queued. `close` ends that."""
        self._writer = asyncio.create_task(self._write_all(hello), name=name)
        self.traffic.queues.add(self.outbox)
        self.traffic.connections_opened += 1

    async def read(self, *, pause: bool) -> None:
        """Take envelopes until the peer closes its side.

        With `pause`, stop reading while the peer does not take what it is answered. Only one side of a
        connection may do that, or both could wait for each other.

        Raises:
            AixgoError: the peer broke the rules.
        """
        traffic, read, take = self.traffic, self._open_pipe.read, self._take
        first = True
        while isinstance(body := await read(), bytes):
            frame = read_frame(body, OURS)
            envelopes = frame.envelopes
            traffic.frames_received += 1
            traffic.bytes_received += len(body)
            traffic.envelopes_received += len(envelopes)
            if self._view is not None:
                self._view.received(len(body), frame)
            if first and len(envelopes) != 1:
                raise InvalidMessage(path="frame", expected="a hello and nothing else first")
            first = False
            for envelope in envelopes:
                take(envelope)
            if pause and self.outbox.overfull:
                await self.outbox.room.wait()

    async def close(self, timeout: float = 0.0) -> None:
        """Stop writing, and turn away whoever waits for something here.

        gRPC cannot tell a client the status of an RPC while a write is under way, nor after one was
        cancelled: `timeout` is how long the peer may take for the frame that is being written.
        """
        gone = Unavailable("", "the connection was lost", "unknown")
        self.outbox.close(gone)
        self.incoming.close()
        for transfer in self._outgoing.values():
            transfer.stop()
        self.traffic.queues.discard(self.outbox)
        if self._view is not None:
            self._view.ended("closed")
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=timeout)
            self._writer.cancel()
            await asyncio.wait([self._writer])
        # gRPC keeps the socket while somebody holds its RPC, and a conduit and its owner hold each other.
        self._pipe = None
        self._half_close = _stay_open

    @property
    def _open_pipe(self) -> Pipe:
        assert self._pipe is not None, "the conduit is open"
        return self._pipe

    @property
    def started(self) -> bool:
        """Whether anything was, or will be, written."""
        return self._writer is not None

    @property
    def writing_for(self) -> float:
        """Seconds the writer has waited for the peer to make room."""
        return time.monotonic() - self._writing_since

    def finish(self) -> None:
        """Close this side once everything queued was written. Only a client does."""
        self.outbox.finish()

    async def flush(self, timeout: float) -> None:
        """Write what is queued, if the peer takes it within `timeout` seconds."""
        self.outbox.finish()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=timeout)

    # -- sending --------------------------------------------------------------------------------------

    def agree(self, theirs: Limits) -> None:
        """Keep to what the peer takes, and to what is sensible here."""
        self.theirs = Limits(
            theirs.calls,
            min(theirs.envelopes, OURS.envelopes),
            min(theirs.frame_bytes, OURS.frame_bytes),
            theirs.chunks,
        )

    def fits(self, body: Encoded) -> TypeGuard[bytes]:
        """Whether an encoded envelope fits into a frame; else it takes a transfer.

        Raises:
            MessageTooLarge: nothing carries that much.
        """
        if isinstance(body, bytes) and len(body) <= self.theirs.frame_bytes:
            return True
        if len(body) > MAX_WIRE_BYTES:
            raise MessageTooLarge(len(body), MAX_WIRE_BYTES)
        return False

    async def send_in_pieces(self, call: int, body: Encoded) -> None:
        """Send an encoded envelope of `call` as a transfer, however small; returns when it has left."""
        outgoing, cargo = Outgoing(), cargo_of(body)
        self.announce(call, cargo, outgoing)
        await self.transfer(call, cargo, outgoing)

    def announce(self, call: int, cargo: Cargo, outgoing: Outgoing) -> Parcel:
        """Begin a transfer of `call`; `transfer` does the rest."""
        self._outgoing[call] = outgoing
        return self.outbox.put(announcement(call, len(cargo)))

    async def transfer(self, call: int, cargo: Cargo, outgoing: Outgoing) -> None:
        """Send an encoded envelope in pieces as the peer allows it, or until the transfer is stopped."""
        sent, total = 0, len(cargo)
        try:
            while sent < total and not outgoing.stopped:
                size = min(total - sent, PIECE_BYTES)
                if outgoing.allowed < size:
                    self.traffic.stalls_credit += 1
                    await outgoing.changed()
                    continue
                outgoing.allowed -= size
                data = cargo.cut(sent, sent + size)
                sent += size
                outgoing.complete = sent == total
                await self.outbox.pass_piece(piece(call, data))
        finally:
            if self._outgoing.get(call) is outgoing:
                del self._outgoing[call]

    def stop(self, call: int) -> None:
        """Its caller has left: send no more of `call`, and ask for no more of it."""
        if self._outgoing and call in self._outgoing:
            self._outgoing[call].stop()
        if call in self.incoming:
            self.incoming.stop(call)

    def break_off(self, call: int) -> None:
        """The call has ended: drop its transfers in both directions."""
        if self._outgoing and call in self._outgoing:
            self._outgoing[call].stop()
        if call in self.incoming:
            self.incoming.drop(call)

    # -- what both sides answer alike -----------------------------------------------------------------

    def grant_pieces(self, call: int, size: int) -> None:
        """The peer allows a transfer of ours more; one that is over needs none."""
        outgoing = self._outgoing.get(call)
        if outgoing is not None:
            outgoing.grant(size)

    def answer(self, ping: pb.Ping) -> None:
        """Answer a ping.

        Raises:
            LimitExceeded: there are too many.
        """
        if ping.answer:
            return
        now = self._clock.monotonic()
        self._pings = min(PINGS_AT_ONCE, self._pings + (now - self._pinged_at) * PINGS_PER_SECOND)
        self._pinged_at = now
        if self._pings < 1:
            raise LimitExceeded("pings at once", PINGS_AT_ONCE, "Connect")
        self._pings -= 1
        self.outbox.put_control(pong(ping.id))

    def _grant(self, call: int, size: int) -> None:
        self.outbox.put_control(credit(call, piece_bytes=size))

    # -- the writer -----------------------------------------------------------------------------------

    async def _write_all(self, hello: bytes) -> None:
        outbox, write = self.outbox, self._open_pipe.write
        body, count = hello, 1
        try:
            while True:
                if count:
                    self._note_sent(body, count)
                    self._writing_since = time.monotonic()
                    await write(body)
                    self._writing_since = math.inf
                if not await outbox.filled():
                    await self._half_close()
                    return
                body, count = outbox.take(self.theirs.envelopes, self.theirs.frame_bytes)
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError):
            # The RPC is over. Its reader learns why; whoever waits for room need not.
            outbox.close(Unavailable("", "the connection was lost", "unknown"))

    def _note_sent(self, body: bytes, count: int) -> None:
        self.traffic.frames_sent += 1
        self.traffic.envelopes_sent += count
        self.traffic.bytes_sent += len(body)
        if self._view is not None:
            self._view.sent(body, pb.ConnectRequest.FromString)
