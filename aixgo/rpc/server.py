"""The gRPC server of one runtime: requests in, `Host` calls, replies and statuses out.

A request descends `_unary`/`_streaming` (every failure becomes a status here) → the method's own few
lines → the `Host`. Bodies are parsed and built by ourselves and not by gRPC's serializers, so that a body
that does not parse is an `InvalidMessage` and a reply that is too large is a `MessageTooLarge`. Text
of an exception never leaves: what is no `AixgoError` is logged under an id and crosses as `AgentFailed`.

A caller that goes away cancels the task that serves it, and with it the host's work; CancelledError is
never caught here. `Connect` is not served yet, which gRPC answers with UNIMPLEMENTED.

Below: codec, status, options, addresses, base. Above: runtime.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.message import Message as Proto
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aixgo.context import CallContext
from aixgo.deadlines import Deadlines, Guard
from aixgo.errors import (
    AgentFailed,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    InvalidMessage,
    MessageTooLarge,
    RuntimeClosed,
    new_error_id,
)
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.addresses import Address, check_plaintext, parse_address
from aixgo.rpc.base import SERVICE, Host
from aixgo.rpc.codec import fill_chunk, fill_message, parse, read_context, read_message
from aixgo.rpc.descriptions import describe_host
from aixgo.rpc.options import MAX_WIRE_BYTES, STATUS_GRACE, WireSettings
from aixgo.rpc.status import ADMITTED, status_of
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["Server"]

log = logging.getLogger(__name__)

QUIET = 0.05  # seconds without a call after which a server that refuses calls may go
MAX_LINGER = 1.0  # seconds it waits for that
CLEANUP = 5.0  # seconds a producer may take to clean up after its reader left

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class Server:
    """Serves one `Host` at one address, with health per agent and reflection.

    Belongs to the loop that runs `start`. Off loopback it refuses plaintext unless `insecure` is set.

    Raises:
        ConfigError: the address is none, or plaintext would leave the machine.
    """

    def __init__(
        self,
        host: Host,
        address: str,
        *,
        insecure: bool = False,
        settings: WireSettings | None = None,
    ) -> None:
        self._address = parse_address(address, what="the address to listen at")
        check_plaintext(self._address, insecure=insecure, verb="listening at")
        self._host = host
        self._settings = settings or WireSettings()
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._receivers: set[Guard] = set()
        self._deadlines = Deadlines(host.clock)
        self._clock = time.monotonic
        self._last_call = -math.inf

    async def start(self) -> str:
        """Listen; the address peers can use, with the port that was bound when 0 was asked for.

        Raises:
            ConfigError: the address is in use or cannot be listened at.
        """
        if self._address.path:
            await _refuse_living_socket(self._address)
        server = grpc.aio.server(options=self._settings.server_options())
        server.add_generic_rpc_handlers((self._methods(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        try:
            port = server.add_insecure_port(self._address.target)
        except RuntimeError as exc:
            await server.stop(None)
            raise ConfigError(
                f"cannot listen at {self._address.text!r}: it is in use, or not an address of this machine"
            ) from exc
        for about in self._host.descriptions():
            await self.set_health(about.name, about.ready)
        await self.set_health("", serving=True)
        await server.start()
        self._server = server
        if self._address.path:
            return self._address.text
        return Address("", host=self._address.host, port=port).target

    async def set_health(self, name: str, serving: bool) -> None:
        """Tell health probes whether the agent `name`, or "" for the whole server, takes calls."""
        states = health_pb2.HealthCheckResponse
        await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def stop(self, grace: float = 25.0) -> None:
        """Stop listening, give running calls `grace` seconds, then cancel them. Twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        await self._quiet()
        await self._health.enter_graceful_shutdown()
        for receiver in tuple(self._receivers):  # they have no end of their own to wait for
            receiver.fire(_stopping)
        await server.stop(grace)
        self._deadlines.close()

    async def _quiet(self) -> None:
        """Return when callers stopped calling: gRPC loses calls that come while it shuts down.

        The host refuses calls by now, and whoever was refused asks before it calls again.
        """
        latest = self._clock() + MAX_LINGER
        while (until := min(self._last_call + QUIET, latest)) > (  # noqa: ASYNC110 - silence has no event
            now := self._clock()
        ):
            await asyncio.sleep(until - now)

    def _methods(self) -> grpc.GenericRpcHandler:
        one = grpc.unary_unary_rpc_method_handler
        many = grpc.unary_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Execute": one(self._unary(self._execute)),
                "ExecuteStream": many(self._streaming(self._execute_stream)),
                "Send": one(self._unary(self._send)),
                "Receive": many(self._streaming(self._receive)),
                "Describe": one(self._unary(self._describe)),
            },
        )

    def _unary(
        self, method: Callable[[_Served, bytes], Awaitable[Proto]]
    ) -> Callable[[bytes, Rpc], Awaitable[bytes]]:
        async def respond(body: bytes, rpc: Rpc) -> bytes:
            served = _Served()
            try:
                return _encode(await method(served, body))
            except Exception as exc:  # noqa: BLE001  # whatever it is, it crosses as a status or not at all
                failure = exc
            return await served.refuse(rpc, failure)

        return respond

    def _streaming(
        self, method: Callable[[_Served, bytes, Rpc], Awaitable[None]]
    ) -> Callable[[bytes, Rpc], Awaitable[None]]:
        async def respond(body: bytes, rpc: Rpc) -> None:
            served = _Served()
            try:
                await method(served, body, rpc)
                return
            except _CallerLeftError:
                return
            except Exception as exc:  # noqa: BLE001  # whatever it is, it crosses as a status or not at all
                failure = exc
            await served.refuse(rpc, failure)

        return respond

    async def _execute(self, served: _Served, body: bytes) -> Proto:
        request = parse(pb.ExecuteRequest, body)
        message = self._admit(served, request.target, request.envelope, _message_of(request))
        reply = await self._host.call(request.target, message, served.known)
        response = pb.ExecuteResponse()
        fill_message(response.message, reply)
        return response

    async def _execute_stream(self, served: _Served, body: bytes, rpc: Rpc) -> None:
        request = parse(pb.ExecuteStreamRequest, body)
        message = self._admit(served, request.target, request.envelope, _message_of(request))
        # The host bounds each step of its agent; this bounds a reader that stops reading.
        guard = self._deadlines.arm(served.known.deadline + STATUS_GRACE, _current_task())
        try:
            chunks = await self._host.stream(request.target, message, served.known)
            try:
                served.admitted = True  # a refusal can be told from a failure
                await rpc.send_initial_metadata((ADMITTED,))
                await _write_all(chunks, rpc, request.target)
            finally:
                await _see_through(chunks.aclose())
        except asyncio.CancelledError:
            if guard.absorbed():
                raise DeadlineExceeded(request.target) from None
            raise
        finally:
            guard.disarm()

    async def _send(self, served: _Served, body: bytes) -> Proto:
        request = parse(pb.SendRequest, body)
        message = self._admit(served, request.target, request.envelope, _message_of(request))
        await self._host.send(request.target, message, served.known)
        return pb.SendResponse()

    async def _receive(self, served: _Served, body: bytes, rpc: Rpc) -> None:
        request = parse(pb.ReceiveRequest, body)
        if not request.name:
            raise InvalidMessage(expected="the name of a mailbox", path="name")
        context = read_context(request.envelope, request.name, self._host.clock, math.inf)
        served.context = context
        task = _current_task()
        timed = not math.isinf(context.deadline)
        guard = self._deadlines.arm(context.deadline, task) if timed else None
        closing = Guard(task, self._receivers)
        self._receivers.add(closing)
        try:
            await self._pass_on(request.name, rpc)
        except asyncio.CancelledError:
            for ended in (closing, guard):
                if ended is not None and ended.error is not None and ended.absorbed():
                    raise ended.error() from None
            raise
        finally:
            closing.disarm()
            if guard is not None:
                guard.disarm()

    async def _pass_on(self, name: str, rpc: Rpc) -> None:
        messages = self._host.receive(name)
        try:
            async for message in messages:
                response = pb.ReceiveResponse()
                fill_message(response.message, message)
                await _write(rpc, response)
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(messages, "aclose", None)
            if close is not None:
                await close()

    async def _describe(self, _: _Served, body: bytes) -> Proto:
        parse(pb.DescribeRequest, body)
        return describe_host(self._host)

    def _admit(
        self,
        served: _Served,
        target: str,
        envelope: message_pb2.CallEnvelope,
        message: message_pb2.Message | None,
    ) -> Message:
        """The message of a request that names its target; the call's context is noted in `served`."""
        self._last_call = self._clock()
        if not target:
            raise InvalidMessage(expected="the name of an agent", path="target")
        served.context = read_context(
            envelope, target, self._host.clock, self._host.default_timeout(target)
        )
        if message is None:
            raise InvalidMessage(expected="a Message", path="message")
        return read_message(message)


class _Served:
    """One request being served, as far as it has been understood."""

    __slots__ = ("admitted", "context")

    def __init__(self) -> None:
        self.admitted = False
        """Whether the host let a stream in, so that what fails is its agent."""
        self.context: CallContext | None = None

    @property
    def known(self) -> CallContext:
        assert self.context is not None, "the request was admitted"
        return self.context

    async def refuse(self, rpc: Rpc, failure: Exception) -> bytes:
        """End the RPC with the status of `failure`; never returns."""
        target = self.context.agent if self.context else ""
        error = failure if isinstance(failure, AixgoError) else None
        if error is None:
            error = AgentFailed(target, new_error_id())
            log.error("serving %r failed, error id %s", target, error.error_id, exc_info=failure)
        status = status_of(error, self.context.spent if self.context else None)
        trailing = (*status.trailing_metadata, *((ADMITTED,) if self.admitted else ()))
        return await rpc.abort(status.code, status.details, trailing)


def _message_of(
    request: pb.ExecuteRequest | pb.ExecuteStreamRequest | pb.SendRequest,
) -> message_pb2.Message | None:
    return request.message if request.HasField("message") else None


def _encode(response: Proto) -> bytes:
    body = response.SerializeToString()
    if len(body) > MAX_WIRE_BYTES:
        raise MessageTooLarge(len(body), MAX_WIRE_BYTES)
    return body


async def _write_all(chunks: ReplyStream, rpc: Rpc, target: str) -> None:
    async for chunk in chunks:
        response = pb.ExecuteStreamResponse()
        fill_chunk(response.chunk, chunk)
        await _write(rpc, response)
    final = chunks.final
    if final is None:
        raise AgentFailed(target, "")
    response = pb.ExecuteStreamResponse()
    fill_message(response.final, final)
    await _write(rpc, response)


async def _see_through(cleanup: Awaitable[None]) -> None:
    """Let a producer finish its cleanup: gRPC cancels the task of a caller that left after its write failed."""
    task = asyncio.ensure_future(cleanup)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=CLEANUP)
        task.cancel()
        raise


async def _write(rpc: Rpc, response: Proto) -> None:
    """Write when HTTP/2 has room, so that a slow reader slows its producer down."""
    body = _encode(response)
    try:
        await rpc.write(body)
    except grpc.aio.BaseError as exc:  # the connection or the RPC ended while it waited for room
        raise _CallerLeftError from exc


class _CallerLeftError(Exception):
    """Nobody reads what is being written."""


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None, "gRPC serves each request in a task"
    return task


def _stopping() -> AixgoError:
    return RuntimeClosed("stopping")


async def _refuse_living_socket(address: Address) -> None:
    """Refuse a socket a server is listening at: gRPC would replace its file."""
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_unix_connection(address.path)
    except (OSError, TimeoutError):  # nobody there: no file, or one that was left behind
        return
    writer.close()
    raise ConfigError(f"cannot listen at {address.text!r}: it is in use")
