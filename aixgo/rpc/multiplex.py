"""The server's side of `Connect`: each request in a task of its own, and never a wait for one another.

`Connections` are those of one server; a `ServedConnection` is one client's. The reader opens calls, the
calls queue what they answer, the writer writes it. A call keeps its place until its end was queued, and
what was queued is bounded, so a client that does not read can neither fill memory nor be answered for ever.

Below: conduit, frames, desk, status. Above: server.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time

import grpc

from aixgo.context import TimerHandle
from aixgo.deadlines import Guard
from aixgo.errors import (
    AgentFailed,
    AixgoError,
    DeadlineExceeded,
    IncompatiblePeer,
    InvalidMessage,
    LimitExceeded,
)
from aixgo.message import Message, StreamChunk
from aixgo.rpc.base import WIRE_VERSION
from aixgo.rpc.codec import fill_chunk, fill_message, parse
from aixgo.rpc.conduit import Conduit
from aixgo.rpc.desk import Desk, Served
from aixgo.rpc.frames import Limits, frame_of, go_away, hello, read_hello, status
from aixgo.rpc.options import WireSettings
from aixgo.rpc.status import status_of
from aixgo.rpc.traffic import Traffic, wire_view
from aixgo.rpc.transfers import Pool
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Connections", "ServedConnection"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 4_096  # of one server; each is one client process
MAX_POOL = 512 * 1024 * 1024  # bytes the transfers of all connections may announce at a time
HELLO_TIMEOUT = 10.0  # seconds a client may take to say who it is
WRITE_TIMEOUT = 30.0  # seconds a client may take to make room for one frame
CHECK_INTERVAL = 10.0  # seconds between looks whether they do
CANCEL_TIMEOUT = 0.2  # seconds an agent may take to stop before its caller is told without it
CLEANUP = 5.0  # seconds the agents of a lost client may take to stop before nobody waits for them
LINGER = 1.0  # seconds an idle client may take to leave
LARGE_CHUNK = 64 * 1024  # bytes; larger ones go in pieces, so that a window of chunks stays small

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class Connections:
    """The `Connect` RPCs of one server."""

    def __init__(self, desk: Desk, settings: WireSettings) -> None:
        self.traffic = Traffic()
        self._desk = desk
        self._limits = Limits(calls=settings.max_concurrent_calls)
        self._max_age = settings.max_connection_age
        self._pool = Pool(MAX_POOL)
        self._open: dict[asyncio.Task[object], ServedConnection] = {}
        self._timer: TimerHandle | None = None

    async def serve(self, rpc: Rpc) -> None:
        """Serve one client until it leaves."""
        task = asyncio.current_task()
        assert task is not None, "gRPC serves each RPC in a task"
        if len(self._open) >= MAX_CONNECTIONS:
            await _end(rpc, LimitExceeded("connections", MAX_CONNECTIONS, "Connect"))
        connection = ServedConnection(rpc, self._desk, self._limits, self.traffic, self._pool)
        self._open[task] = connection
        if self._timer is None:
            self._check()
        rotation = None
        if not math.isinf(self._max_age):
            age = self._max_age * random.uniform(0.9, 1.1)
            clock = self._desk.host.clock
            rotation = clock.call_later(age, lambda: connection.send_away("rotation"))
        try:
            error = await connection.run()
            if error is not None:
                log.warning("ended the connection of %s: %s", rpc.peer(), error)
                await _end(rpc, error)
        finally:
            del self._open[task]
            if rotation is not None:
                rotation.cancel()

    def _check(self) -> None:
        """Look at every connection now and then, while there are any."""
        for connection in self._open.values():
            connection.check_written()
        clock = self._desk.host.clock
        self._timer = clock.call_later(CHECK_INTERVAL, self._check) if self._open else None

    def drain(self) -> None:
        """Ask every client to call elsewhere."""
        for connection in self._open.values():
            connection.send_away("draining")

    async def end(self, grace: float) -> None:
        """Wait until the clients have left, at most `grace` seconds, then end what is left."""
        self.drain()
        latest = time.monotonic() + grace
        while self._open and (left := latest - time.monotonic()) > 0:
            idle = all(connection.idle for connection in self._open.values())
            limit = min(left, LINGER) if idle else left
            done, _ = await asyncio.wait(
                self._open, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if not done and idle:
                break
        for connection in self._open.values():
            connection.over(None)
        if self._open:
            await asyncio.wait(self._open, timeout=CLEANUP)
        if self._timer is not None:
            self._timer.cancel()


async def _end(rpc: Rpc, error: AixgoError) -> None:
    """End an RPC with the status of `error`; never returns."""
    about = status_of(error)
    await rpc.abort(about.code, about.details, about.trailing_metadata)


class _Call:
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

    def __init__(self, number: int) -> None:
        self.number = number
        self.served = Served("")
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


class ServedConnection:
    """One client's `Connect` RPC. Belongs to the loop that serves it."""

    def __init__(self, rpc: Rpc, desk: Desk, limits: Limits, traffic: Traffic, pool: Pool) -> None:
        self._desk = desk
        self._clock = desk.host.clock
        self._limits = limits
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, _Call] = {}
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

    def _enter(self, number: int) -> _Call:
        """A new call."""
        if number <= self._last:
            raise InvalidMessage(path="call", expected="a number larger than those before")
        if len(self._calls) >= self._limits.calls:
            raise LimitExceeded("calls of one connection", self._limits.calls, "Connect")
        self._last = number
        call = self._calls[number] = _Call(number)
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
        elif (whole := incoming.add(number, part.data)) is not None:
            envelope = parse(pb.Envelope, whole)
            if envelope.call != number or envelope.WhichOneof("frame") != "request":
                raise InvalidMessage(path="piece", expected="a part of the request of its call")
            self._open(call, envelope.request)

    def _transfer_stalled(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            self._finish(call, call.ending(DeadlineExceeded("Connect")))

    # -- one call -------------------------------------------------------------------------------------

    def _open(self, call: _Call, request: pb.Request) -> None:
        call.served.target = request.target
        if (
            len(self._tasks) >= 2 * self._limits.calls
        ):  # agents that go on although they were cancelled
            limit = LimitExceeded("calls that do not stop", len(self._tasks), request.target)
            self._finish(call, call.ending(limit))
            return
        call.task = self._loop.create_task(self._serve(call, request))
        self._tasks.add(call.task)

    async def _serve(self, call: _Call, request: pb.Request) -> None:
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

    async def _answer(self, call: _Call, request: pb.Request) -> bytes:
        """Do what the request asks; the encoded reply."""
        frame, envelope = frame_of(call.number)
        method = request.method
        if method == pb.METHOD_EXECUTE:
            fill_message(envelope.reply.message, await self._desk.call(call.served, request))
        elif method == pb.METHOD_EXECUTE_STREAM:
            call.allowed += self._window
            reader = _Reader(self, call)
            await self._desk.stream(call.served, request, reader)
            return reader.end
        elif method == pb.METHOD_SEND:
            await self._desk.send(call.served, request)
            envelope.reply.SetInParent()
        elif method == pb.METHOD_RECEIVE:
            call.allowed += 1
            reader = _Reader(self, call)
            await self._desk.receive(call.served, request.target, request.envelope, reader.deliver)
        elif method == pb.METHOD_UNSPECIFIED:
            raise InvalidMessage(path="method", expected="a Method")
        else:
            raise IncompatiblePeer(0, WIRE_VERSION)
        return frame.SerializeToString()

    async def send_part(self, call: _Call, body: bytes) -> None:
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

    async def _end(self, call: _Call, end: bytes) -> None:
        """Send the end of `call`, which keeps its place until that is queued."""
        conduit = self._conduit
        if len(end) <= conduit.theirs.frame_bytes and conduit.outbox.room.passable:
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

    def _guard_transfer(self, call: _Call, end: bytes) -> Guard | None:
        """A guard against a caller that grants nothing to a large end, until the deadline of `call`."""
        context = call.served.context
        if context is None or call.task is None or len(end) <= self._conduit.theirs.frame_bytes:
            return None
        if math.isinf(context.deadline):
            return None
        return self._desk.deadlines.arm(context.deadline, call.task)

    def _finish(self, call: _Call, end: bytes) -> None:
        """End `call` now, whatever its agent does."""
        if not call.ended:
            call.ended = True
            self._conduit.break_off(call.number)
            self._conduit.outbox.put(end)
            self._forget(call)

    def _forget(self, call: _Call) -> None:
        if self._calls.get(call.number) is call:
            del self._calls[call.number]
            if self._half_closed and not self._calls:
                self.over(None)

    def _cancel(self, call: _Call) -> None:
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


class _Reader:
    """A streamed reply goes into envelopes; implements the desk's `Reader`."""

    __slots__ = ("_call", "_connection", "end")

    def __init__(self, connection: ServedConnection, call: _Call) -> None:
        self._connection = connection
        self._call = call
        self.end = b""
        """The encoded reply that ends the stream."""

    async def admitted(self) -> None:
        frame, envelope = frame_of(self._call.number)
        envelope.admitted.SetInParent()
        await self._connection.send(frame.SerializeToString())

    async def chunk(self, chunk: StreamChunk) -> None:
        frame, envelope = frame_of(self._call.number)
        fill_chunk(envelope.chunk, chunk)
        await self._connection.send_part(self._call, frame.SerializeToString())

    async def deliver(self, message: Message) -> None:
        frame, envelope = frame_of(self._call.number)
        fill_message(envelope.delivery.message, message)
        await self._connection.send_part(self._call, frame.SerializeToString())

    async def final(self, message: Message) -> None:
        frame, envelope = frame_of(self._call.number)
        fill_message(envelope.reply.message, message)
        self.end = frame.SerializeToString()
