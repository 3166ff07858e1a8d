"""The client's side of one `Connect` RPC: its calls, from the request to the end.

A call is queued, and from then on belongs to the table of its connection until the server has ended it,
also when its caller has left: so a place is free only when it is free on the other side as well, and what
the call spent is learnt. Whoever waits for a call waits on its futures; no wait touches the RPC.

Below: calls, cargo, conduit, frames, codec, status. Above: stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import grpc

from aixgo.context import CallContext, Clock
from aixgo.errors import (
    AixgoError,
    IncompatiblePeer,
    InvalidMessage,
    LimitExceeded,
    Unavailable,
)
from aixgo.message import Message
from aixgo.rpc.calls import Call, End, StreamedCall
from aixgo.rpc.cargo import LARGE, Encoded, cargo_of, load, unload
from aixgo.rpc.channel import being_cancelled
from aixgo.rpc.codec import fill_context, fill_message
from aixgo.rpc.conduit import Conduit
from aixgo.rpc.frames import Limits, cancel, credit, frame_of, hello, read_hello
from aixgo.rpc.options import STATUS_GRACE
from aixgo.rpc.status import read_end, read_failure
from aixgo.rpc.traffic import Traffic, wire_view
from aixgo.rpc.transfers import Outgoing
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Connection"]

log = logging.getLogger(__name__)

MAX_UNREAD = 1024 * 1024  # bytes a stream's reader may be behind before large chunks wait
CLOSING = 1.0  # seconds the peer has to end an RPC that carries nothing any more
LOST = "the connection was lost"

_IN_ORDER = frozenset(("reply", "chunk", "delivery", "admitted"))

Rpc = grpc.aio.StreamStreamCall[bytes, bytes]


class Connection:
    """One open `Connect` RPC. Belongs to the loop it is opened on.

    Args:
        rpc: the RPC, to which nothing was written yet.
        most_calls: calls at once, if the peer takes more.
        gone: called once, when no new calls should be made here any more; True if the peer asked so.
    """

    def __init__(
        self,
        rpc: Rpc,
        address: str,
        clock: Clock,
        traffic: Traffic,
        most_calls: int,
        gone: Callable[[Connection, bool], None],
    ) -> None:
        self.instance = ""
        """Who answers; known once opened."""
        self.usable = False
        """Whether calls should be made here."""
        self.told_to_leave = False
        """Whether the peer asked for no new calls here."""
        self.refusal: AixgoError | None = None
        """Why the server ended it, if it said so."""
        self.unserved = False
        """True if there is no such method there."""
        self._address = address
        self._rpc: Rpc | None = rpc
        self._clock = clock
        self._traffic = traffic
        self._gone = gone
        self._most_calls = most_calls
        self._limit = 0
        self._last = 0
        self._calls: dict[int, Call] = {}
        self.loop = asyncio.get_running_loop()
        self._greeting: asyncio.Future[None] = self.loop.create_future()
        self._reader: asyncio.Task[None] | None = None
        self._conduit = Conduit(
            rpc,
            self._take,
            self._transfer_stalled,
            clock=clock,
            traffic=traffic,
            view=wire_view(address),
            place=lambda: len(self._calls) < self._limit,
            waiting=self._note_wait,
            half_close=rpc.done_writing,
        )

    @property
    def idle(self) -> bool:
        return not self._calls

    async def open(self) -> bool:
        """Exchange hellos; False if the peer serves no calls here. The caller bounds the wait.

        Ours is the second: when a peer ends an RPC while it is written to, gRPC does not tell its status.
        """
        self._reader = asyncio.create_task(self._read(), name=f"aixgo-read-{self._address}")
        await self._greeting
        if not self.usable:
            return False
        self._conduit.start(f"aixgo-write-{self._address}", hello("", Limits()))
        return True

    def begin_now(
        self, call: Call, method: pb.Method, target: str, message: Message | None
    ) -> bool:
        """Queue the request of `call`, unless it has to wait for something; then see `begin`.

        Raises:
            InvalidMessage, MessageTooLarge: it cannot be sent.
        """
        conduit = self._conduit
        if not (self.usable and conduit.outbox.room.passable):
            return False
        body = self._encode(call, method, target, message)
        if not conduit.fits(body):
            return False
        self._enter(call)
        call.parcel = conduit.outbox.put(body)
        return True

    async def begin(
        self, call: Call, method: pb.Method, target: str, message: Message | None
    ) -> bool:
        """Send the request of `call`; returns when it is queued, or sent if it is large.

        False if no new calls are made here any more; then nothing was sent.

        Raises:
            LimitExceeded: there is no place, and those there are may wait for this very call.
            InvalidMessage, MessageTooLarge: it cannot be sent.
        """
        conduit = self._conduit
        if not conduit.outbox.room.passable:
            await self._turn(call.context, target)
        if not self.usable:
            return False
        body = self._encode(call, method, target, message)
        if conduit.fits(body):
            self._enter(call)
            call.parcel = conduit.outbox.put(body)
        else:
            self._enter(call)
            call.outgoing = Outgoing()
            cargo = cargo_of(body)
            call.parcel = conduit.announce(call.number, cargo, call.outgoing)
            with contextlib.suppress(Unavailable):  # lost: the end of the call says so
                await conduit.transfer(call.number, cargo, call.outgoing)
        return True

    def _encode(
        self, call: Call, method: pb.Method, target: str, message: Message | None
    ) -> Encoded:
        """The request of `call` under the next number."""
        frame, envelope = frame_of(self._last + 1)
        request = envelope.request
        request.method = method
        request.target = target
        fill_context(request.envelope, call.context)
        if message is not None:
            payload = fill_message(request.message, message, LARGE)
            if payload is not None:
                return load(frame, payload)
        return frame.SerializeToString()

    def _enter(self, call: Call) -> None:
        """Give `call` the next number and a place."""
        self._last = number = self._last + 1
        self._calls[number] = call
        call.number = number
        call.connection = self
        call.context.at_instance = self.instance

    def give_back(self, call: StreamedCall) -> None:
        """A piece of `call` was read: allow the server another one, not each by itself."""
        if call.owed >= (call.window + 1) // 2 and call.end is None:
            self._conduit.outbox.put_control(credit(call.number, chunks=call.owed))
            self._traffic.credits_granted += call.owed
            call.allowed += call.owed
            call.owed = 0
        if call.unread_bytes <= MAX_UNREAD:
            self._conduit.incoming.resume(call.number)

    def leave(self, call: Call) -> None:
        """The caller of `call` has left: stop the callee. Harmless when it has ended."""
        if call.left or call.end is not None or call.parcel is None:
            return
        call.left = True
        self._conduit.stop(call.number)
        if self._conduit.outbox.withdraw(call.parcel):
            self._forget(call)
        elif call.context.remaining <= 0 and call.may_have_started:
            # The server knows the deadline too, and says what was spent until then.
            self._clock.call_later(STATUS_GRACE, lambda: self._cancel(call))
        else:
            self._cancel(call)

    async def aclose(self) -> None:
        """End the RPC; calls on it are lost. Twice is fine."""
        self._stop_using(asked=False)
        if self._reader is None:
            self._cancel_rpc()
            await self._conduit.close()
            return
        if self.idle and self._conduit.started:
            self._conduit.finish()
            await asyncio.wait([self._reader], timeout=CLOSING)
        self._cancel_rpc()
        await asyncio.wait([self._reader])

    async def ended(self) -> None:
        """Return when the RPC is over."""
        if self._reader is not None:
            await asyncio.wait([self._reader])

    # -- inside ---------------------------------------------------------------------------------------

    async def _turn(self, context: CallContext, target: str) -> None:
        """Wait for a place and for room; the guard of the call bounds it."""
        full = self.usable and len(self._calls) >= self._limit
        if full and any(hop.instance == self.instance for hop in context.hops):
            raise LimitExceeded("calls of one connection", self._limit, target)
        with contextlib.suppress(Unavailable):  # lost meanwhile: it is not usable any more
            await self._conduit.outbox.room.wait()

    def _note_wait(self) -> None:
        if len(self._calls) >= self._limit:
            self._traffic.stalls_place += 1
        else:
            self._traffic.stalls_room += 1

    def _cancel(self, call: Call) -> None:
        if call.end is None and call.number in self._calls:
            self._conduit.outbox.put_control(cancel(call.number))

    def _forget(self, call: Call) -> None:
        if self._calls.pop(call.number, None) is not None:
            self._conduit.outbox.room.knock()
            if not self.usable and not self._calls:
                self._conduit.finish()

    async def _read(self) -> None:
        try:
            await self._conduit.read(pause=False)
        except AixgoError as exc:
            log.warning("%s broke the rules of the wire: %s", self._address, exc)
        except grpc.aio.AioRpcError as exc:
            self.refusal = read_failure(exc, self._address)[0]
            # One that serves `Connect` in another version names it.
            self.unserved = isinstance(self.refusal, IncompatiblePeer) and not self.refusal.theirs
        except asyncio.CancelledError:
            if being_cancelled():
                raise
        finally:
            self._cancel_rpc()
            await self._end()

    def _cancel_rpc(self) -> None:
        """End the RPC, if it has not ended, and let go of it."""
        rpc, self._rpc = self._rpc, None
        if rpc is not None:
            rpc.cancel()

    async def _end(self) -> None:
        self._stop_using(asked=False)
        calls, self._calls = self._calls, {}
        for call in calls.values():
            outcome = "unknown" if call.may_have_started else "not_started"
            call.ended(Unavailable(call.context.agent, LOST, outcome))
        if not self._greeting.done():
            self._greeting.set_result(None)
        await self._conduit.close()

    def _stop_using(self, *, asked: bool) -> None:
        if self.usable:
            self.usable = False
            self.told_to_leave = asked
            # Who waits for a place here goes elsewhere, now and not when a call here has ended.
            self._conduit.outbox.room.close(lambda: Unavailable("", LOST))
            self._gone(self, asked)

    # -- what comes -----------------------------------------------------------------------------------

    def _take(self, envelope: pb.Envelope) -> None:
        kind = envelope.WhichOneof("frame")
        call = self._calls.get(envelope.call)
        if call is None:
            self._take_other(kind, envelope)
        elif kind in _IN_ORDER and (
            envelope.call in self._conduit.incoming or not call.may_bring(kind)
        ):
            raise InvalidMessage(path=kind, expected="what comes next of this call")
        elif kind == "reply":
            if call.left:
                call.settled(envelope.reply.message.usage)
            self._finish(call, envelope.reply)
        elif kind == "status":
            error, usage = read_end(envelope.status, call.context.agent)
            call.charge(usage)
            call.context.in_doubt = call.context.in_doubt and not call.counted
            self._finish(call, error)
        elif kind == "credit":
            self._conduit.grant_pieces(call.number, envelope.credit.piece_bytes)
        elif kind == "piece":
            self._take_piece(call, envelope.piece)
        elif isinstance(call, StreamedCall) and kind in ("chunk", "delivery"):
            call.take(envelope.chunk if kind == "chunk" else envelope.delivery)
        elif isinstance(call, StreamedCall) and kind == "admitted":
            call.admitted = True
            call.wake()
        elif kind is not None:
            raise InvalidMessage(path=kind, expected="what belongs to this call")

    def _take_other(self, kind: str | None, envelope: pb.Envelope) -> None:
        """Take what belongs to no call that is known here."""
        if envelope.call:
            if envelope.call > self._last:
                raise InvalidMessage(path="call", expected="the number of a call that was made")
            self._traffic.strays += 1
        elif kind == "hello":
            self._greet(envelope.hello)
        elif not self._greeting.done():
            raise InvalidMessage(path="frame", expected="a hello first")
        elif kind == "ping":
            self._conduit.answer(envelope.ping)
        elif kind == "go_away":
            self._stop_using(asked=True)
            if self.idle:
                self._conduit.finish()
        elif kind is not None:
            raise InvalidMessage(path=kind, expected="what belongs to a connection")

    def _greet(self, said: pb.Hello) -> None:
        if self._greeting.cancelled():
            return  # it came when nobody waited for it any more
        if self._greeting.done():
            raise InvalidMessage(path="hello", expected="one hello")
        try:
            self.instance, theirs = read_hello(said)
        except AixgoError as exc:
            self.refusal = exc
            raise
        self._conduit.agree(theirs)
        self._limit = min(theirs.calls, self._most_calls)
        self.unserved = not theirs.calls
        self.usable = bool(theirs.calls)
        self._greeting.set_result(None)

    def _take_piece(self, call: Call, part: pb.Piece) -> None:
        incoming, number = self._conduit.incoming, call.number
        if call.left and number not in incoming:
            return  # nothing of it was asked for, and the server is told to break it off
        if part.total_bytes:
            if part.data:
                raise InvalidMessage(path="piece", expected="an announcement without data")
            behind = isinstance(call, StreamedCall) and call.unread_bytes > MAX_UNREAD
            incoming.begin(number, part.total_bytes, held=behind)
        elif (parts := incoming.add(number, part.data)) is not None:
            envelope, call.payload = unload(parts)
            kind = envelope.WhichOneof("frame")
            if envelope.call != number or kind not in ("chunk", "delivery", "reply", "status"):
                raise InvalidMessage(path="piece", expected="a part of what belongs to its call")
            self._take(envelope)

    def _finish(self, call: Call, end: End) -> None:
        self._conduit.break_off(call.number)
        self._forget(call)
        call.ended(end)

    def _transfer_stalled(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            self.leave(call)
            call.ended(Unavailable(call.context.agent, "it stopped in the middle", "unknown"))
