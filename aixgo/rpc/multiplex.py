"""The server's side of `Connect`: each request in a task of its own, and never a wait for one another.

A `ServedConnection` is one client's. The reader opens calls, the calls queue what they answer, the writer
writes it. A call keeps its place until its end was queued, and
what was queued is bounded, so a client that does not read can neither fill memory nor be answered for ever.

Below: cargo, conduit, frames, desk, served. Above: connections.
"""

from __future__ import annotations

import asyncio
import logging
import math

import grpc

from aixgo.deadlines import Guard
from aixgo.errors import (
    AixgoError,
    DeadlineExceeded,
    IncompatiblePeer,
    InvalidMessage,
    LimitExceeded,
)
from aixgo.rpc.base import WIRE_VERSION
from aixgo.rpc.cargo import Encoded, unload
from aixgo.rpc.conduit import Conduit
from aixgo.rpc.desk import Desk
from aixgo.rpc.frames import Limits, frame_of, go_away, hello, read_hello
from aixgo.rpc.served import CallReader, ServedCall, reply
from aixgo.rpc.traffic import Traffic, wire_view
from aixgo.rpc.transfers import Pool
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["ServedConnection"]

log = logging.getLogger(__name__)

HELLO_TIMEOUT = 10.0  # seconds a client may take to say who it is
WRITE_TIMEOUT = 30.0  # seconds a client may take to make room for one frame
CANCEL_TIMEOUT = 0.2  # seconds an agent may take to stop before its caller is told without it
CLEANUP = 5.0  # seconds the agents of a lost client may take to stop before nobody waits for them
LINGER = 1.0  # seconds an idle client may take to leave
LARGE_CHUNK = 64 * 1024  # bytes; larger ones go in pieces, so that a window of chunks stays small

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class ServedConnection:
    """One client's `Connect` RPC. Belongs to the loop that serves it."""

    def __init__(
        self,
        rpc: Rpc,
        desk: Desk,
        limits: Limits,
        traffic: Traffic,
        pool: Pool,
        identity: str = "",
    ) -> None:
        self._desk = desk
        self._clock = desk.host.clock
        self._limits = limits
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, ServedCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Of all calls, also of those that ended before their agents."""
        self._last = 0
        self._window = 0
        self._greeted = False
        self._sent_away = False
        self._half_closed = False
        """True once the client has closed its side."""
        self._over: asyncio.Future[AixgoError | None] = self._loop.create_future()
        self._reader: asyncio.Task[None] | None = None
        peer = rpc.peer()
        self._peer = peer
        self._identity = identity
        """Who the client's certificate names."""
        self._conduit = Conduit(
            rpc,
            self._take,
            self._transfer_stalled,
            clock=self._clock,
            traffic=traffic,
            view=wire_view(peer),
            pool=pool,
        )

    @property
    def idle(self) -> bool:
        return not self._calls

    async def run(self) -> AixgoError | None:
        """Serve until the client leaves; what it did wrong if that is why it ends."""
        conduit = self._conduit
        timer = self._clock.call_later(HELLO_TIMEOUT, self._check_greeted)
        try:
            greeting = hello(self._desk.host.instance, self._limits)
            conduit.start(f"aixgo-write-{self._peer}", greeting)
            if self._desk.host.draining:
                self.send_away("draining")
            self._reader = asyncio.create_task(self._read(), name=f"aixgo-read-{self._peer}")
            error = await self._over
            if error is None:
                await conduit.flush(LINGER)
            return error
        finally:
            timer.cancel()
            for task in tuple(self._tasks):
                task.cancel()
            await conduit.close(timeout=LINGER)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLEANUP)

    def over(self, error: AixgoError | None) -> None:
        """End the RPC: with the status of `error`, or OK. The first reason counts."""
        if not self._over.done():
            self._over.set_result(error)

    def check_written(self) -> None:
        """End the RPC of a client that has stopped reading."""
        if self._conduit.writing_for > WRITE_TIMEOUT:
            self.over(DeadlineExceeded("Connect"))

    def send_away(self, reason: str) -> None:
        """Ask the client to make no new calls here. Twice is fine."""
        if not self._sent_away:
            self._sent_away = True
            self._conduit.outbox.put_control(go_away(reason))

    # -- what comes -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._conduit.read(pause=True)
        except AixgoError as exc:
            self.over(exc)
            return
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError):
            log.debug("the connection of %s was lost", self._peer)
        self._half_closed = True
        for call in tuple(self._calls.values()):
            if call.task is None:
                rest = InvalidMessage(path="piece", expected="the rest of a transfer")
                self._finish(call, call.ending(rest))
        if not self._calls:  # else it gets the ends of its calls first
            self.over(None)

    def _take(self, envelope: pb.Envelope) -> None:
        if self._over.done():
            return
        kind = envelope.WhichOneof("frame")
        number = envelope.call
        if not self._greeted or not number:
            self._take_own(kind, envelope)
        elif kind == "request":
            self._open(self._enter(number), envelope.request)
        elif kind == "piece":
            self._take_piece(number, envelope.piece)
        elif kind in ("cancel", "credit"):
            call = self._calls.get(number)
            if call is None:
                self._check_opened(number)
            elif kind == "cancel":
                self._cancel(call)
            else:
                call.grant(envelope.credit.chunks)
                self._conduit.grant_pieces(number, envelope.credit.piece_bytes)
        elif kind is not None:
            raise InvalidMessage(path=kind, expected="what a client sends for a call")

    def _take_own(self, kind: str | None, envelope: pb.Envelope) -> None:
        """Take what belongs to the connection."""
        if envelope.call or (not self._greeted and kind != "hello"):
            raise InvalidMessage(path=kind or "frame", expected="a hello first")
        if kind == "hello":
            if self._greeted:
                raise InvalidMessage(path="hello", expected="one hello")
            _, theirs = read_hello(envelope.hello)
            self._conduit.agree(theirs)
            self._window = theirs.chunks
            self._greeted = True
        elif kind == "ping":
            self._conduit.answer(envelope.ping)
        elif kind not in ("go_away", None):
            raise InvalidMessage(path=kind or "frame", expected="what belongs to a connection")

    def _check_greeted(self) -> None:
        if not self._greeted:
            self.over(DeadlineExceeded("Connect"))

    def _check_opened(self, number: int) -> None:
        """A call that is not here has ended, or breaks the rules."""
        if number > self._last:
            raise InvalidMessage(path="call", expected="the number of a call that was opened")
        self._traffic.strays += 1

    def _enter(self, number: int) -> ServedCall:
        """A new call."""
        if number <= self._last:
            raise InvalidMessage(path="call", expected="a number larger than those before")
        if len(self._calls) >= self._limits.calls:
            raise LimitExceeded("calls of one connection", self._limits.calls, "Connect")
        self._last = number
        call = self._calls[number] = ServedCall(number, self._identity)
        return call

    def _take_piece(self, number: int, part: pb.Piece) -> None:
        incoming, call = self._conduit.incoming, self._calls.get(number)
        if part.total_bytes:
            if part.data:
                raise InvalidMessage(path="piece", expected="an announcement without data")
            self._enter(number)
            incoming.begin(number, part.total_bytes)
        elif call is None:
            self._check_opened(number)
        elif (parts := incoming.add(number, part.data)) is not None:
            envelope, call.served.payload = unload(parts)
            if envelope.call != number or envelope.WhichOneof("frame") != "request":
                raise InvalidMessage(path="piece", expected="a part of the request of its call")
            self._open(call, envelope.request)

    def _transfer_stalled(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            self._finish(call, call.ending(DeadlineExceeded("Connect")))

    # -- one call -------------------------------------------------------------------------------------

    def _open(self, call: ServedCall, request: pb.Request) -> None:
        call.served.target = request.target
        if (
            len(self._tasks) >= 2 * self._limits.calls
        ):  # agents that go on although they were cancelled
            limit = LimitExceeded("calls that do not stop", len(self._tasks), request.target)
            self._finish(call, call.ending(limit))
            return
        call.task = self._loop.create_task(self._serve(call, request))
        self._tasks.add(call.task)

    async def _serve(self, call: ServedCall, request: pb.Request) -> None:
        call.started = True
        try:
            try:
                end = await self._answer(call, request)
            except asyncio.CancelledError:
                end = call.ending(None)
            except Exception as exc:  # noqa: BLE001  # whatever it is, it crosses as a status or not at all
                end = call.ending(call.served.error_of(exc))
            if not call.ended:
                await self._end(call, end)
        finally:
            if call.task is not None:
                self._tasks.discard(call.task)

    async def _answer(self, call: ServedCall, request: pb.Request) -> Encoded:
        """Do what the request asks; the encoded reply."""
        method = request.method
        if method == pb.METHOD_EXECUTE:
            return reply(call.number, await self._desk.call(call.served, request))
        if method == pb.METHOD_EXECUTE_STREAM:
            call.allowed += self._window
            reader = CallReader(self, call)
            await self._desk.stream(call.served, request, reader)
            return reader.end
        frame, envelope = frame_of(call.number)
        if method == pb.METHOD_SEND:
            await self._desk.send(call.served, request)
            envelope.reply.SetInParent()
        elif method == pb.METHOD_RECEIVE:
            call.allowed += 1
            reader = CallReader(self, call)
            await self._desk.receive(call.served, request.target, request.envelope, reader.deliver)
        elif method == pb.METHOD_UNSPECIFIED:
            raise InvalidMessage(path="method", expected="a Method")
        else:
            raise IncompatiblePeer(0, WIRE_VERSION)
        return frame.SerializeToString()

    async def send_part(self, call: ServedCall, body: bytes) -> None:
        """Send a piece of a streamed reply when its reader and the connection have room for it."""
        while not (call.allowed or call.ended):
            self._traffic.stalls_credit += 1
            await call.granted()
        if call.ended:  # its agent did not stop when it was told to
            raise asyncio.CancelledError
        call.allowed -= 1
        if len(body) <= LARGE_CHUNK:
            await self.send(body)
        else:
            await self._conduit.send_in_pieces(call.number, body)

    async def send(self, body: bytes) -> None:
        """Send an envelope when there is room."""
        room = self._conduit.outbox.room
        if not room.passable:
            await room.wait()
        self._conduit.outbox.put(body)

    async def _end(self, call: ServedCall, end: Encoded) -> None:
        """Send the end of `call`, which keeps its place until that is queued."""
        conduit = self._conduit
        if (
            isinstance(end, bytes)
            and len(end) <= conduit.theirs.frame_bytes
            and conduit.outbox.room.passable
        ):
            conduit.outbox.put(end)
            call.ended = True
            self._forget(call)
            return
        guard = self._guard_transfer(call, end)
        try:
            try:
                if not conduit.outbox.room.passable:
                    await conduit.outbox.room.wait()
                if call.ended:  # cancelled, and its caller was told without waiting
                    return
                if conduit.fits(end):
                    conduit.outbox.put(end)
                else:
                    await conduit.send_in_pieces(call.number, end)
            except asyncio.CancelledError:  # while it waited, or in the middle of its transfer
                late = guard is not None and guard.absorbed()
                end = call.ending(DeadlineExceeded(call.served.target) if late else None)
                if not call.ended:
                    self._conduit.outbox.put(end)
            except AixgoError as exc:  # too large to be sent; or the connection was lost
                if not call.ended:
                    self._conduit.outbox.put(call.ending(exc))
        finally:
            if guard is not None:
                guard.disarm()
            call.ended = True
            self._forget(call)

    def _guard_transfer(self, call: ServedCall, end: Encoded) -> Guard | None:
        """A guard against a caller that grants nothing to a large end, until the deadline of `call`."""
        context = call.served.context
        if context is None or call.task is None or len(end) <= self._conduit.theirs.frame_bytes:
            return None
        if math.isinf(context.deadline):
            return None
        return self._desk.deadlines.arm(context.deadline, call.task)

    def _finish(self, call: ServedCall, end: bytes) -> None:
        """End `call` now, whatever its agent does."""
        if not call.ended:
            call.ended = True
            self._conduit.break_off(call.number)
            self._conduit.outbox.put(end)
            self._forget(call)

    def _forget(self, call: ServedCall) -> None:
        if self._calls.get(call.number) is call:
            del self._calls[call.number]
            if self._half_closed and not self._calls:
                self.over(None)

    def _cancel(self, call: ServedCall) -> None:
        """Stop the agent; tell the caller what was spent, if need be before the agent has stopped."""
        if call.cancelled:
            return
        call.cancelled = True
        self._conduit.break_off(call.number)
        if call.task is None or not call.started:
            if call.task is not None:
                call.task.cancel()
                self._tasks.discard(call.task)
            self._finish(call, call.ending(None))
            return
        call.task.cancel()

        def finish() -> None:
            if not call.ended:
                self._finish(call, call.ending(None))

        self._clock.call_later(CANCEL_TIMEOUT, finish)
