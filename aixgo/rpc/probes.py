"""Health alone, at an address of its own and in plaintext: for probes that can neither do TLS nor show a token.

A kubelet's gRPC probe is one. Nothing is served here but `grpc.health.v1`, which tells whether agents take calls.

Below: credentials, addresses, options. Above: server, and the `health` verb, which asks.
"""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from aixgo.errors import Unavailable
from aixgo.rpc.addresses import Address, parse_address
from aixgo.rpc.credentials import PLAIN
from aixgo.rpc.options import WireSettings
from aixgo.rpc.symptoms import symptom

__all__ = ["ask_health", "serve_health"]


async def serve_health(
    servicer: health.aio.HealthServicer, address: Address, settings: WireSettings
) -> tuple[grpc.aio.Server, str]:
    """A server that answers for `servicer` at `address` and nothing else, and where it listens.

    Raises:
        ConfigError: the address is in use or cannot be listened at.
    """
    server = grpc.aio.server(options=settings.server_options())
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    where = PLAIN.listen(server, address)
    await server.start()
    return server, where


async def ask_health(text: str, agent: str = "", timeout: float = 3.0) -> str:
    """What the health service at an address says about `agent`, or about the whole server: `SERVING` or why not.

    Raises:
        ConfigError: the address is none.
        Unavailable: nobody answers there within `timeout` seconds.
    """
    address = parse_address(text)
    options = WireSettings(connect_timeout=timeout).client_options()
    async with grpc.aio.insecure_channel(address.target, options=options) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        check = channel.unary_unary(f"/{health.SERVICE_NAME}/Check")
        request = health_pb2.HealthCheckRequest(service=agent).SerializeToString()
        try:
            async with asyncio.timeout(timeout + 1):
                answer = await check(request, timeout=timeout)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.NOT_FOUND:
                return "UNKNOWN"
            raise Unavailable(text, _why(exc)) from exc
        except TimeoutError as exc:
            raise Unavailable(text, "it does not answer") from exc
    response = health_pb2.HealthCheckResponse.FromString(answer)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)


def _why(error: grpc.aio.AioRpcError) -> str:
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return symptom(error.details() or "", name="", refused=None)
    return "it answers no health check"
