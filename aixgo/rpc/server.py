"""The gRPC server of one runtime: requests in, `Host` calls, replies and statuses out.

A request descends `_unary`/`_streaming` (every failure becomes a status here) → the method's own few
lines → the `Desk` → the `Host`. What `Connect` carries enters at the desk. Bodies are parsed and built by
ourselves and not by gRPC's serializers, so that a body that does not parse is an `InvalidMessage` and a
reply that is too large is a `MessageTooLarge`.

A caller that goes away cancels the task that serves it, and with it the host's work; CancelledError is
never caught here.

Below: desk, connections, credentials, codec, status, options. Above: runtime.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import grpc
from google.protobuf.message import Message as Proto
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aixgo.errors import ConfigError, MessageTooLarge
from aixgo.message import Message, StreamChunk
from aixgo.rpc.addresses import Address, parse_address
from aixgo.rpc.base import SERVICE, Host
from aixgo.rpc.codec import fill_chunk, fill_message, parse
from aixgo.rpc.connections import Connections
from aixgo.rpc.credentials import PLAIN, Credentials, peer_of
from aixgo.rpc.descriptions import describe_host
from aixgo.rpc.desk import Desk, Served
from aixgo.rpc.options import MAX_WIRE_BYTES, WireSettings
from aixgo.rpc.probes import serve_health
from aixgo.rpc.status import ADMITTED, status_of
from aixgo.rpc.traffic import Traffic
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Server"]

QUIET = 0.05  # seconds without a call after which a server that refuses calls may go
MAX_LINGER = 1.0  # seconds it waits for that
CUT_OFF = 1.0  # seconds a server may take to end once its calls are cut off

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class Server:
    """Serves one `Host` at one address, with health per agent and reflection.

    Belongs to the loop that runs `start`. Off loopback it refuses plaintext unless `credentials` allow it; at
    `health_address` it answers health checks besides, always in plaintext, and serves nothing else.

    Raises:
        ConfigError: an address is none, plaintext would leave the machine, or TLS has no certificate.
    """

    def __init__(
        self,
        host: Host,
        address: str,
        *,
        credentials: Credentials = PLAIN,
        settings: WireSettings | None = None,
        health_address: str = "",
    ) -> None:
        self._address = parse_address(address, what="the address to listen at")
        credentials.check_server(self._address, "listening at")
        self._credentials = credentials
        self._identifies = credentials.identifies(self._address)
        self._host = host
        self._settings = settings or WireSettings()
        self._health_address = (
            parse_address(health_address, what="the address of health checks")
            if health_address
            else None
        )
        self.health_address = ""
        """Where health checks are answered besides, with the port that was bound."""
        self._server: grpc.aio.Server | None = None
        self._probes: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._desk = Desk(host)
        self._connections = Connections(self._desk, self._settings)

    async def start(self) -> str:
        """Listen; the address peers can use, with the port that was bound when 0 was asked for.

        Raises:
            ConfigError: the address is in use or cannot be listened at.
        """
        if self._address.path:
            await _refuse_living_socket(self._address)
        server = grpc.aio.server(
            options=self._settings.server_options(), interceptors=self._credentials.interceptors()
        )
        server.add_generic_rpc_handlers((self._methods(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        try:
            where = self._credentials.listen(server, self._address)
        except ConfigError:
            await server.stop(None)
            raise
        for about in self._host.descriptions():
            await self.set_health(about.name, about.ready)
        await self.set_health("", serving=True)
        await server.start()
        if self._health_address is not None:
            try:
                self._probes, self.health_address = await serve_health(
                    self._health, self._health_address, self._settings
                )
            except ConfigError:
                await server.stop(None)
                raise
        self._server = server
        return where

    @property
    def traffic(self) -> Traffic:
        """What passed over the connections of peers."""
        return self._connections.traffic

    def drain(self) -> None:
        """Ask those who are connected to call elsewhere; what runs goes on."""
        self._connections.drain()

    async def set_health(self, name: str, serving: bool) -> None:
        """Tell health probes whether the agent `name`, or "" for the whole server, takes calls."""
        states = health_pb2.HealthCheckResponse
        await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def stop(self, grace: float = 25.0) -> None:
        """Stop listening, give running calls `grace` seconds, then cancel them. Twice is fine.

        A task that is cancelled meanwhile cuts them off at once: a gRPC server that is let go of before it has
        stopped would keep the process from ending.
        """
        server, self._server = self._server, None
        if server is None:
            return
        try:
            await self._quiet()
            await self._health.enter_graceful_shutdown()
            self._desk.end_receivers()
            began = time.monotonic()
            await self._connections.end(grace)
            await server.stop(max(0.0, began + grace - time.monotonic()))
        except asyncio.CancelledError:
            await _cut_off(server)
            raise
        finally:
            if self._probes is not None:
                await _cut_off(self._probes)
            self._desk.deadlines.close()

    async def _quiet(self) -> None:
        """Return when callers stopped calling: gRPC loses calls that come while it shuts down.

        The host refuses calls by now, and whoever was refused asks before it calls again.
        """
        latest = time.monotonic() + MAX_LINGER
        while (  # noqa: ASYNC110 - silence has no event
            wait := min(QUIET - self._desk.quiet_for, latest - time.monotonic())
        ) > 0:
            await asyncio.sleep(wait)

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
                "Connect": grpc.stream_stream_rpc_method_handler(self._connect),
            },
        )

    def _unary(
        self, method: Callable[[Served, bytes], Awaitable[Proto]]
    ) -> Callable[[bytes, Rpc], Awaitable[bytes]]:
        async def respond(body: bytes, rpc: Rpc) -> bytes:
            served = Served("", self._peer(rpc))
            try:
                return _encode(await method(served, body))
            except Exception as exc:  # noqa: BLE001  # whatever it is, it crosses as a status or not at all
                failure = exc
            return await _refuse(served, rpc, failure)

        return respond

    def _streaming(
        self, method: Callable[[Served, bytes, Rpc], Awaitable[None]]
    ) -> Callable[[bytes, Rpc], Awaitable[None]]:
        async def respond(body: bytes, rpc: Rpc) -> None:
            served = Served("", self._peer(rpc))
            try:
                await method(served, body, rpc)
                return
            except _CallerLeftError:
                return
            except Exception as exc:  # noqa: BLE001  # whatever it is, it crosses as a status or not at all
                failure = exc
            await _refuse(served, rpc, failure)

        return respond

    async def _execute(self, served: Served, body: bytes) -> Proto:
        request = parse(pb.ExecuteRequest, body)
        served.target = request.target
        response = pb.ExecuteResponse()
        fill_message(response.message, await self._desk.call(served, request))
        return response

    async def _execute_stream(self, served: Served, body: bytes, rpc: Rpc) -> None:
        request = parse(pb.ExecuteStreamRequest, body)
        served.target = request.target
        await self._desk.stream(served, request, _RpcReader(rpc))

    async def _send(self, served: Served, body: bytes) -> Proto:
        request = parse(pb.SendRequest, body)
        served.target = request.target
        await self._desk.send(served, request)
        return pb.SendResponse()

    async def _receive(self, served: Served, body: bytes, rpc: Rpc) -> None:
        request = parse(pb.ReceiveRequest, body)
        served.target = request.name

        async def deliver(message: Message) -> None:
            response = pb.ReceiveResponse()
            fill_message(response.message, message)
            await _write(rpc, response)

        await self._desk.receive(served, request.name, request.envelope, deliver)

    async def _connect(self, _: object, rpc: Rpc) -> None:
        await self._connections.serve(rpc, self._peer(rpc))

    def _peer(self, rpc: Rpc) -> str:
        return peer_of(rpc) if self._identifies else ""

    async def _describe(self, _: Served, body: bytes) -> Proto:
        parse(pb.DescribeRequest, body)
        return describe_host(self._host)


class _RpcReader:
    """A streamed reply goes to an RPC of its own; implements `Reader`."""

    __slots__ = ("_rpc",)

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def admitted(self) -> None:
        await self._rpc.send_initial_metadata((ADMITTED,))

    async def chunk(self, chunk: StreamChunk) -> None:
        response = pb.ExecuteStreamResponse()
        fill_chunk(response.chunk, chunk)
        await _write(self._rpc, response)

    async def final(self, message: Message) -> None:
        response = pb.ExecuteStreamResponse()
        fill_message(response.final, message)
        await _write(self._rpc, response)


async def _refuse(served: Served, rpc: Rpc, failure: Exception) -> bytes:
    """End the RPC with the status of `failure`; never returns."""
    context = served.context
    status = status_of(served.error_of(failure), context.spent if context else None)
    trailing = (*status.trailing_metadata, *((ADMITTED,) if served.admitted else ()))
    return await rpc.abort(status.code, status.details, trailing)


def _encode(response: Proto) -> bytes:
    body = response.SerializeToString()
    if len(body) > MAX_WIRE_BYTES:
        raise MessageTooLarge(len(body), MAX_WIRE_BYTES)
    return body


async def _write(rpc: Rpc, response: Proto) -> None:
    """Write when HTTP/2 has room, so that a slow reader slows its producer down."""
    body = _encode(response)
    try:
        await rpc.write(body)
    except grpc.aio.BaseError as exc:  # the connection or the RPC ended while it waited for room
        raise _CallerLeftError from exc


class _CallerLeftError(Exception):
    """Nobody reads what is being written."""


async def _refuse_living_socket(address: Address) -> None:
    """Refuse a socket a server is listening at: gRPC would replace its file."""
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_unix_connection(address.path)
    except (OSError, TimeoutError):  # nobody there: no file, or one that was left behind
        return
    writer.close()
    raise ConfigError(f"cannot listen at {address.text!r}: it is in use")


async def _cut_off(server: grpc.aio.Server) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CUT_OFF):
            await server.stop(None)
