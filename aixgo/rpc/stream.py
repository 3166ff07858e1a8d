"""The stream transport: many calls over one `Connect` RPC per peer address.

A call descends `call`/`send`/`stream` → `_live` (a connection, opened by whoever comes first) → `begin`
(place, room, number, queue) → the wait for its end. The RPC is opened again when it is lost or the peer asks
to leave it; a peer that does not serve it is called over the unary transport, on the same channel.

Below: connection, channel, unary. Above: transports, runtime.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

from aixgo.context import CallContext, Clock
from aixgo.deadlines import Deadlines
from aixgo.errors import (
    AixgoError,
    IncompatiblePeer,
    RuntimeClosed,
    Unauthenticated,
    Unavailable,
)
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.base import PeerInfo
from aixgo.rpc.calls import Call, StreamedCall
from aixgo.rpc.channel import Closing, PeerChannel, being_cancelled
from aixgo.rpc.codec import read_message
from aixgo.rpc.connection import LOST, Connection
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.frames import OURS
from aixgo.rpc.guards import deadline_of, guard_link
from aixgo.rpc.options import STATUS_GRACE, WireSettings
from aixgo.rpc.traffic import Traffic
from aixgo.rpc.unary import UnaryLink
from aixgo.rpc.wirestream import WireStream
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["StreamLink", "open_link"]

ATTEMPTS = 3  # connections that may go away before a call is queued on one


def open_link(
    address: str, clock: Clock, settings: WireSettings, *, credentials: Credentials, name: str
) -> StreamLink:
    """A link to `address`, not connected yet."""
    return StreamLink(address, clock, settings=settings, credentials=credentials, name=name)


class StreamLink:
    """One peer address over one multiplexed stream; implements `Link`.

    Args:
        address: `host:port`, `[::1]:port` or `unix:/path`.
        clock: the runtime's; contexts passed in are on it.
        settings: of the connection.
        credentials: what we show and ask for.
        name: the host the address was looked up by, if it was.

    Raises:
        ConfigError: the address is none, or plaintext would leave the machine.
    """

    def __init__(
        self,
        address: str,
        clock: Clock,
        *,
        settings: WireSettings | None = None,
        credentials: Credentials = PLAIN,
        name: str = "",
    ) -> None:
        self.traffic = Traffic()
        self._settings = settings or WireSettings()
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._unary = UnaryLink(
            address, clock, settings=self._settings, credentials=credentials, name=name
        )
        self._channel: PeerChannel = self._unary.channel
        self._connection: Connection | None = None
        """What new calls travel on."""
        self._opening: asyncio.Task[Connection | None] | None = None
        self._without = ""
        """The instance that was found to serve no `Connect`."""
        self._leaving: dict[asyncio.Task[None], Connection] = {}
        """Connections that finish what they have; their channels are closed then."""
        self._aborted: dict[CallContext, Call] = {}
        self._outstanding = 0
        self._closed = False

    @property
    def address(self) -> str:
        return self._channel.address

    @property
    def instance(self) -> str:
        return self._channel.info.instance if self._channel.info else ""

    @property
    def outstanding(self) -> int:
        return self._outstanding + self._unary.outstanding

    @property
    def draining(self) -> bool:
        return self._channel.draining

    async def connect(self, timeout: float | None = None) -> PeerInfo:
        limit = timeout or self._settings.connect_timeout
        if self._connection is None:
            began = self._clock.monotonic()
            await self._channel.connect(limit)
            await self._opened(self.address, limit - (self._clock.monotonic() - began))
        assert self._channel.info is not None, "the peer said who it is"
        return self._channel.info

    async def describe(self) -> PeerInfo:
        return await self._unary.describe()

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        call = Call(context)
        end = await self._exchange(call, pb.METHOD_EXECUTE, target, message)
        if end is None:
            return await self._unary.call(target, message, context)
        if not end.HasField("message"):
            raise Unavailable(target, "it answered without a reply", "unknown")
        reply = read_message(end.message, call.payload)
        context.charge(reply.usage or None)
        return reply

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        if await self._exchange(Call(context), pb.METHOD_SEND, target, message) is None:
            await self._unary.send(target, message, context)

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        """The reply of `target` in pieces; see `Link.stream`.

        What is under way unread is at most the chunk window of a connection, 64 chunks.
        """
        call = StreamedCall(context, OURS.chunks, "chunk")
        guard = guard_link(self._deadlines, context)
        self._outstanding += 1
        try:
            carried = await self._begin(call, pb.METHOD_EXECUTE_STREAM, target, message)
            while carried and not call.admitted and call.end is None:
                await call.changed()
        except BaseException as exc:
            self.stream_left(call)
            if error := deadline_of(guard, exc, target):
                raise error from None
            raise
        finally:
            if guard is not None:
                guard.disarm()
        if carried and (call.admitted or not isinstance(call.end, AixgoError)):
            return WireStream(self, call)
        self.stream_left(call)
        if isinstance(call.end, AixgoError):
            raise call.end
        return await self._unary.stream(target, message, context)

    async def receive(self, name: str, context: CallContext) -> AsyncIterator[Message]:
        call = StreamedCall(context, 1, "delivery")
        self._outstanding += 1
        try:
            if await self._begin(call, pb.METHOD_RECEIVE, name, None):
                while (part := await self.next_part(call)) is not None:
                    yield read_message(part.message)  # type: ignore[union-attr]  # no chunks come
                return
        finally:
            self.stream_left(call)
        messages = self._unary.receive(name, context)
        try:
            async for message in messages:
                yield message
        finally:
            await messages.aclose()  # type: ignore[attr-defined]  # it is an async generator

    async def settle(self, context: CallContext) -> None:
        call = self._aborted.get(context)
        if call is None:
            await self._unary.settle(context)
            return
        try:
            async with asyncio.timeout(STATUS_GRACE):
                while call.end is None:
                    await call.changed()
        except TimeoutError:
            return
        finally:
            call.counted = False

    async def aclose(self) -> None:
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        still_open = [*self._leaving.values()]
        if self._connection is not None:
            still_open.append(self._connection)
        await asyncio.gather(*(connection.aclose() for connection in still_open))
        if self._leaving:
            await asyncio.wait(self._leaving)
        self._deadlines.close()
        await self._unary.aclose()

    # -- one call -------------------------------------------------------------------------------------

    async def _exchange(
        self, call: Call, method: pb.Method, target: str, message: Message
    ) -> pb.Reply | None:
        """The end of a call that succeeded, or None if it has to be made over unary."""
        context = call.context
        guard = guard_link(self._deadlines, context)
        self._outstanding += 1
        connection = self._connection
        try:
            if (
                connection is None
                or context.idempotency_key
                or not connection.begin_now(call, method, target, message)
            ) and not await self._begin(call, method, target, message):
                return None
            if call.end is None:
                await call.changed()
        except BaseException as exc:
            self._abort(call)
            if error := deadline_of(guard, exc, target):
                raise error from None
            raise
        finally:
            self._outstanding -= 1
            if guard is not None:
                guard.disarm()
        end = call.end
        if isinstance(end, AixgoError):
            raise end
        return end

    async def _begin(
        self, call: Call, method: pb.Method, target: str, message: Message | None
    ) -> bool:
        """Queue the request of `call`; False if the call has to be made over unary."""
        for _ in range(ATTEMPTS):
            connection = self._connection
            if connection is None or call.context.idempotency_key:
                connection = await self._live(call.context)
                if connection is None:
                    return False
            if await connection.begin(call, method, target, message):
                return True
        raise Unavailable(target, LOST)

    def _abort(self, call: Call) -> None:
        """Stop the callee; what it spent is learnt when it ends, see `settle`."""
        if call.connection is None:
            return
        call.connection.leave(call)
        if call.left and call.end is None:
            self._aborted[call.context] = call
            call.context.in_doubt = call.may_have_started

            def forget() -> None:
                self._aborted.pop(call.context, None)

            self._clock.call_later(2 * STATUS_GRACE, forget)

    async def next_part(self, call: StreamedCall) -> message_pb2.StreamChunk | pb.Delivery | None:
        """The next piece of a streamed call, or None when it has ended well."""
        if not call.unread and call.end is None:
            guard = guard_link(self._deadlines, call.context)
            try:
                while not call.unread and call.end is None:
                    await call.changed()
            except asyncio.CancelledError as exc:
                if error := deadline_of(guard, exc, call.context.agent):
                    raise error from None
                raise
            finally:
                if guard is not None:
                    guard.disarm()
        if call.unread:
            return call.read()
        if isinstance(call.end, AixgoError):
            raise call.end
        return None

    def stream_left(self, call: StreamedCall) -> None:
        """Count a streamed call out, and stop its callee if it has not ended."""
        self._outstanding -= 1
        if call.context.purse is not None:  # somebody waits for what it spent
            self._abort(call)
            return
        call.counted = False
        if call.connection is not None:
            call.connection.leave(call)

    # -- the connection -------------------------------------------------------------------------------

    async def _live(self, context: CallContext) -> Connection | None:
        """A connection for the call of `context`, or None if it has to be made over unary.

        That is so where the peer serves nothing else, and for what is part of a call that the peer let in
        before it drained.
        """
        connection = self._connection
        if connection is None:
            if self._is_plain() or (self._told_to_leave() and self._comes_through(context)):
                return None
            connection = await self._opened(context.agent, self._settings.connect_timeout)
            if connection is None:
                if not self._told_to_leave() or self._comes_through(context):
                    return None
                self._channel.lost()  # ask again next time: another process may listen there by then
                raise Unavailable(context.agent, "it is draining")
        if context.idempotency_key and context.at_instance not in ("", connection.instance):
            raise Unavailable(context.agent, "another process answers at its address")
        return connection

    def _is_plain(self) -> bool:
        return bool(self._without) and self._without == self.instance

    def _told_to_leave(self) -> bool:
        return self._channel.info is not None and self._channel.info.draining

    def _comes_through(self, context: CallContext) -> bool:
        return any(hop.instance == self.instance for hop in context.hops)

    async def _opened(self, name: str, timeout: float) -> Connection | None:
        """Wait for the one attempt to open a connection that runs, or start it."""
        if self._closed:
            raise RuntimeClosed(f"no longer connected to {self.address!r}")
        if self._connection is not None:  # opened by another one since it was looked for
            return self._connection
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(timeout))
            self._opening.add_done_callback(self._attempted)
        opening = self._opening
        try:
            return await asyncio.shield(opening)  # others wait for it too, and it is bounded
        except asyncio.CancelledError:
            if self._closed and opening.cancelled() and not being_cancelled():
                raise RuntimeClosed(f"no longer connected to {self.address!r}") from None
            raise
        except Unavailable as exc:
            raise Unavailable(name, exc.reason, exc.outcome) from exc

    def _attempted(self, task: asyncio.Task[Connection | None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; perhaps nobody waits any more

    async def _open(self, timeout: float) -> Connection | None:
        """A connection with whoever answers at the address, or None if there will be none.

        Raises:
            Unavailable: it cannot be reached, or does not greet.
            IncompatiblePeer: it speaks another major version.
            Unauthenticated: it does not let us in.
        """
        began = self._clock.monotonic()
        await self._channel.ready(self.address)
        if self._is_plain() or self._told_to_leave():
            return None
        left = timeout - (self._clock.monotonic() - began)
        self._deadlines.loop = asyncio.get_running_loop()
        rpc = self._channel.connecting()
        most = self._settings.max_concurrent_calls
        connection = Connection(rpc, self.address, self._clock, self.traffic, most, self._gone)
        usable = False
        try:
            async with asyncio.timeout(left):
                usable = await connection.open()
                if (
                    usable and connection.instance != self.instance
                ):  # another one since it was asked
                    await self._channel.describe()
        except TimeoutError:
            usable = False
        except BaseException as exc:
            await connection.aclose()
            if not (isinstance(exc, Unavailable) and connection.told_to_leave):
                raise
        if usable and connection.usable:
            self._connection = connection
            return connection
        await connection.aclose()
        if connection.unserved:
            self._without = self.instance
            return None
        if connection.told_to_leave:  # right after its hello: ask whoever answers now
            await self._channel.ready(self.address)
            return None
        self._channel.lost()
        if isinstance(connection.refusal, (IncompatiblePeer, Unauthenticated)):
            raise connection.refusal
        raise Unavailable(self.address, "unreachable: it greets nobody")

    def _gone(self, connection: Connection, asked: bool) -> None:
        """Make no new calls on `connection`: it was lost, or the peer asked so."""
        if self._connection is connection:
            self._connection = None
        if asked and self._channel.info is not None and not self._closed:
            self._channel.told(dataclasses.replace(self._channel.info, draining=True))
            task = asyncio.create_task(_see_off(connection, self._channel.renew()))
            self._leaving[task] = connection
            task.add_done_callback(lambda task: self._leaving.pop(task, None))
        self._channel.lost()


async def _see_off(connection: Connection, close_channel: Closing) -> None:
    """Close the channel of a connection when the last call on it has ended."""
    await connection.ended()
    await close_channel()
