"""The unary transport: a call is an RPC of its own, which any gRPC client could have made.

A call descends `call`/`send` → `_exchange` (slot, deadline, whose cancellation it was) → `_finish` (one RPC
in a scope that ends it) → the channel. Every RPC is cancelled when its scope is left: gRPC does not
collect or cancel a dropped one. The wire's deadline is a quarter of a second later than the call's, so that
the peer's own status, with what it spent, arrives first.

Below: channel, codec, status, base. Above: transports, runtime.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import grpc

from aixgo.context import CallContext, Clock
from aixgo.deadlines import Deadlines
from aixgo.errors import AixgoError, MessageTooLarge, RuntimeClosed, Unavailable
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.base import PeerInfo
from aixgo.rpc.channel import PeerChannel, UnaryCallable, being_cancelled
from aixgo.rpc.codec import fill_context, fill_message, parse, read_message
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.guards import deadline_of, guard_link
from aixgo.rpc.options import MAX_RPCS, MAX_WIRE_BYTES, STATUS_GRACE, WireSettings
from aixgo.rpc.status import ADMITTED, read_failure
from aixgo.rpc.streams import StreamCall, Ticket, UnaryStream
from aixgo.rpc.traffic import Traffic
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["UnaryLink", "open_link"]

UnaryCall = grpc.aio.UnaryUnaryCall[bytes, bytes]
Request = pb.ExecuteRequest | pb.ExecuteStreamRequest | pb.SendRequest


def open_link(
    address: str, clock: Clock, settings: WireSettings, *, credentials: Credentials, name: str
) -> UnaryLink:
    """A link to `address`, not connected yet."""
    return UnaryLink(address, clock, settings=settings, credentials=credentials, name=name)


class UnaryLink:
    """One peer address over native unary and server-streaming RPCs; implements `Link`.

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
        self.channel = PeerChannel(address, self._settings, credentials, name)
        """The connection, which another transport to the same address may share."""
        self._deadlines = Deadlines(clock)
        self._slots = asyncio.Semaphore(min(self._settings.max_concurrent_calls, MAX_RPCS))
        self._tickets: set[Ticket] = set()
        self._settling: dict[CallContext, asyncio.Task[None]] = {}

    @property
    def address(self) -> str:
        return self.channel.address

    @property
    def instance(self) -> str:
        return self.channel.info.instance if self.channel.info else ""

    @property
    def outstanding(self) -> int:
        return len(self._tickets)

    @property
    def draining(self) -> bool:
        return self.channel.draining

    async def connect(self, timeout: float | None = None) -> PeerInfo:
        return await self.channel.connect(timeout or self._settings.connect_timeout)

    async def describe(self) -> PeerInfo:
        await self.channel.ready(self.address)
        return await self.channel.describe()

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        request = pb.ExecuteRequest(target=target)
        fill_message(request.message, message)
        body = await self._exchange("Execute", request, context)
        response = parse(pb.ExecuteResponse, body)
        if not response.HasField("message"):
            raise Unavailable(target, "it answered without a reply", "unknown")
        reply = read_message(response.message)
        context.charge(reply.usage or None)
        return reply

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        request = pb.SendRequest(target=target)
        fill_message(request.message, message)
        await self._exchange("Send", request, context)

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        """The reply of `target` in pieces; see `Link.stream`.

        HTTP/2 flow control slows the callee to the pace of the reader. What is under way unread is at
        most gRPC's window: 64 KiB at first, grown to about 6 MiB where it measures a fast connection.
        """
        request = pb.ExecuteStreamRequest(target=target)
        fill_message(request.message, message)
        ticket = Ticket(self._tickets)
        guard = guard_link(self._deadlines, context)
        rpc: StreamCall | None = None
        try:
            await self._admit(context, ticket)
            method = self.channel.streaming("ExecuteStream")
            rpc = method(
                _sealed(request, context),
                timeout=_wire_timeout(context),
                metadata=self.channel.metadata,
            )
            await self._admitted(rpc, context)
        except BaseException as exc:
            if rpc is not None:
                context.in_doubt = not rpc.done()
                rpc.cancel()
            ticket.release()
            if error := deadline_of(guard, exc, target):
                raise error from None
            raise
        finally:
            if guard is not None:
                guard.disarm()
        return UnaryStream(self, rpc, context, ticket)

    async def receive(self, name: str, context: CallContext) -> AsyncIterator[Message]:
        await self.channel.ready(name)
        request = pb.ReceiveRequest(name=name)
        fill_context(request.envelope, context)
        ticket = Ticket(self._tickets)
        rpc: StreamCall = self.channel.streaming("Receive")(
            request.SerializeToString(),
            timeout=_wire_timeout(context),
            metadata=self.channel.metadata,
        )
        try:
            while (body := await self.read(rpc, context)) is not None:
                yield read_message(parse(pb.ReceiveResponse, body).message)
        finally:
            rpc.cancel()
            ticket.release()

    async def settle(self, context: CallContext) -> None:
        task = self._settling.get(context)
        if task is not None:
            await asyncio.wait([task], timeout=STATUS_GRACE)
            task.cancel()

    async def aclose(self) -> None:
        for task in tuple(self._settling.values()):
            task.cancel()
        await self.channel.aclose()
        self._deadlines.close()
        if self._settling:
            await asyncio.wait(self._settling.values())

    # -- one RPC --------------------------------------------------------------------------------------

    async def _exchange(self, method: str, request: Request, context: CallContext) -> bytes:
        """The answer to `request`, within a slot and until the deadline."""
        ticket = Ticket(self._tickets)
        guard = guard_link(self._deadlines, context)
        rpc: UnaryCall | None = None
        try:
            await self._admit(context, ticket)
            call: UnaryCallable = self.channel.unary(method)
            rpc = call(
                _sealed(request, context),
                timeout=_wire_timeout(context),
                metadata=self.channel.metadata,
            )
            return await self._finish(rpc, context)
        except asyncio.CancelledError as exc:
            if rpc is not None:
                context.in_doubt = True
                if context.remaining <= 0:  # it may have ended this very moment
                    self._keep(rpc, context)
                    rpc = None
            if error := deadline_of(guard, exc, context.agent):
                raise error from None
            raise
        finally:
            if guard is not None:
                guard.disarm()
            if rpc is not None:
                rpc.cancel()
            ticket.release()

    async def _finish(self, rpc: UnaryCall, context: CallContext) -> bytes:
        """The answer of `rpc`, whose end is waited for without tying it to our cancellation."""
        ended = asyncio.Event()
        rpc.add_done_callback(lambda _: ended.set())
        await ended.wait()
        try:
            return await rpc
        except grpc.aio.AioRpcError as exc:
            raise self.failure(exc, context) from exc
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            raise self.gone(context) from None

    async def _admitted(self, rpc: StreamCall, context: CallContext) -> None:
        """Return when the peer's agent was reached, or raise why it was not.

        gRPC may drop the initial metadata of an RPC that has ended already, so its end says it again.
        """
        told = [*await rpc.initial_metadata()]
        if not rpc.done() or await rpc.code() is grpc.StatusCode.OK:
            return
        told += await rpc.trailing_metadata()
        if all(key != ADMITTED[0] for key, _ in told):
            await self.read(rpc, context)

    async def read(self, rpc: StreamCall, context: CallContext) -> bytes | None:
        """The next message of `rpc`, or None at its end; cancelling it ends the RPC."""
        guard = guard_link(self._deadlines, context)
        try:
            body = await rpc.read()
        except grpc.aio.AioRpcError as exc:
            raise self.failure(exc, context) from exc
        except asyncio.CancelledError as exc:
            if error := deadline_of(guard, exc, context.agent):
                raise error from None
            if rpc.cancelled() and not being_cancelled():
                raise self.gone(context) from None
            raise
        finally:
            if guard is not None:
                guard.disarm()
        return body if isinstance(body, bytes) else None

    def failure(self, exc: grpc.aio.AioRpcError, context: CallContext) -> AixgoError:
        """The error a failed RPC stands for; what it spent is counted."""
        error, usage = read_failure(exc, context.agent)
        context.charge(usage)
        if isinstance(error, (Unavailable, RuntimeClosed)) and not error.agent:
            self.channel.lost()  # it went away or is about to: ask before the next call
        return error

    def gone(self, context: CallContext) -> AixgoError:
        """The error of an RPC that nobody cancelled and that ended as cancelled."""
        self.channel.lost()
        return Unavailable(context.agent, "the connection was lost", "unknown")

    async def _admit(self, context: CallContext, ticket: Ticket) -> None:
        """Return when there is a slot and a connection.

        A call whose path comes through this very peer takes no slot: those it waits for may be held by the
        calls it is part of.
        """
        instance = self.instance
        comes_through = bool(instance) and any(hop.instance == instance for hop in context.hops)
        if not comes_through:
            await self._slots.acquire()
            ticket.slots = self._slots
        await self.channel.ready(context.agent)
        info = self.channel.info
        if info is not None and info.draining and not comes_through:
            self.channel.lost()  # ask again next time: another process may listen there by then
            raise Unavailable(context.agent, "it is draining")
        if context.idempotency_key:
            if context.at_instance not in ("", self.instance):
                raise Unavailable(context.agent, "another process answers at its address")
            context.at_instance = self.instance

    def _keep(self, rpc: UnaryCall, context: CallContext) -> None:
        """Let an RPC whose caller's time is over come to its end, for what it spent."""
        task = asyncio.create_task(self._learn_usage(rpc, context))
        self._settling[context] = task
        task.add_done_callback(lambda _: self._settling.pop(context, None))

    async def _learn_usage(self, rpc: UnaryCall, context: CallContext) -> None:
        try:
            response = parse(pb.ExecuteResponse, await rpc)  # ends with the wire's deadline
            context.charge(read_message(response.message).usage)
            context.in_doubt = False
        except grpc.aio.AioRpcError as exc:
            error, usage = read_failure(exc, context.agent)
            context.charge(usage)
            context.in_doubt = usage is None and not error.agent
        except AixgoError:  # an answer that cannot be read says nothing about what was spent
            return
        finally:
            rpc.cancel()


def _sealed(request: Request, context: CallContext) -> bytes:
    """The request as it travels, with the time that is left now."""
    fill_context(request.envelope, context)
    body = request.SerializeToString()
    if len(body) > MAX_WIRE_BYTES:
        raise MessageTooLarge(len(body), MAX_WIRE_BYTES)
    return body


def _wire_timeout(context: CallContext) -> float | None:
    remaining = context.remaining
    return None if math.isinf(remaining) else max(0.0, remaining) + STATUS_GRACE
