"""Bearer tokens over real sockets: asked on every method but the health check, and refused with a reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aixgo.errors import Unauthenticated
from aixgo.message import Message
from aixgo.rpc.base import SERVICE
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.server import Server
from aixgo.rpc.transports import TRANSPORTS, open_link
from aixgo.security.auth import Token
from tests.unit.rpc.small_host import SmallHost, a_context

RIGHT = Token("the-token-of-this-fleet")
WRONG = Token("the-token-of-that-fleet")
METHODS = ("Execute", "ExecuteStream", "Send", "Receive", "Describe", "Connect", "NoSuchMethod")


@pytest.fixture
def host() -> SmallHost:
    return SmallHost()


@pytest.fixture
async def address(host: SmallHost) -> AsyncIterator[str]:
    """Where a server asks for the token."""
    server = Server(host, "127.0.0.1:0", credentials=Credentials(token=RIGHT))
    bound = await server.start()
    async with asyncio.timeout(20):
        yield bound
    await server.stop(0)


async def status_of(address: str, path: str, *headers: tuple[str, str]) -> grpc.StatusCode:
    """How a request ends that sends its headers and then waits for the server."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(path)(metadata=headers or None)
        await call.done_writing()
        return await call.code()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_sends_the_token_is_let_in(host: SmallHost, address: str, transport: str) -> None:
    link = open_link(transport, address, credentials=Credentials(token=RIGHT))
    assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
    await link.aclose()
    assert [context.peer for context in host.contexts] == [""]  # a token names nobody


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("credentials", "said"),
    [(PLAIN, "no token was sent"), (Credentials(token=WRONG), "the token is wrong")],
)
async def test_a_missing_and_a_wrong_token_are_told_apart_at_once(
    host: SmallHost, address: str, transport: str, credentials: Credentials, said: str
) -> None:
    link = open_link(transport, address, credentials=credentials)
    async with asyncio.timeout(3):
        for attempt in (
            link.connect(),
            link.call("echo", Message("hi"), a_context()),
            link.stream("echo", Message("hi"), a_context()),
            link.send("echo", Message("hi"), a_context()),
        ):
            with pytest.raises(Unauthenticated, match=said):
                await attempt
    await link.aclose()
    assert not host.contexts


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_asks_for_the_token(address: str, method: str) -> None:
    path = f"/{SERVICE}/{method}"
    assert await status_of(address, path) is grpc.StatusCode.UNAUTHENTICATED


async def test_connect_is_refused_before_anything_is_sent(address: str) -> None:
    """Its client waits for the server's greeting first; it must not wait for ever."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(3):
        call = channel.stream_stream(f"/{SERVICE}/Connect")()
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {RIGHT.value}",
        RIGHT.value,
        f"Bearer  {RIGHT.value}",
        f"Bearer {RIGHT.value}x",
        f"Bearer {RIGHT.value[:-1]}",
    ],
)
async def test_anything_but_the_token_behind_bearer_is_refused(address: str, value: str) -> None:
    path = f"/{SERVICE}/Describe"
    status = await status_of(address, path, ("authorization", value))
    assert status is grpc.StatusCode.UNAUTHENTICATED


async def test_two_tokens_are_refused_though_one_is_right(address: str) -> None:
    headers = [("authorization", f"Bearer {token.value}") for token in (RIGHT, WRONG)]
    status = await status_of(address, f"/{SERVICE}/Describe", *headers)
    assert status is grpc.StatusCode.UNAUTHENTICATED


async def test_the_scheme_may_be_written_in_any_case(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        describe = channel.unary_unary(f"/{SERVICE}/Describe")
        assert await describe(b"", metadata=(("authorization", f"bearer {RIGHT.value}"),))


async def test_a_health_check_needs_no_token_and_watching_health_does(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="echo"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Watch(health_pb2.HealthCheckRequest()).read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_reflection_asks_for_the_token(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([asked]))
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
        headers = (("authorization", f"Bearer {RIGHT.value}"),)
        async for answer in stub.ServerReflectionInfo(iter([asked]), metadata=headers):
            names = [service.name for service in answer.list_services_response.service]
            assert SERVICE in names


async def test_the_servers_log_tells_of_refusals_and_shows_no_token(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    link = open_link("unary", address, credentials=Credentials(token=WRONG))
    with caplog.at_level(logging.WARNING, "aixgo"):
        for _ in range(3):
            with pytest.raises(Unauthenticated) as caught:
                await link.connect()
    await link.aclose()
    (record,) = caplog.records  # one line in ten seconds, however many there are
    assert "Describe of ipv4:127.0.0.1" in record.getMessage()
    assert "the token is wrong" in record.getMessage()
    for text in (record.getMessage(), str(caught.value)):
        assert WRONG.value not in text
        assert RIGHT.value not in text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_comes_back_with_another_token_refuses_its_old_callers(
    host: SmallHost, transport: str
) -> None:
    first = Server(host, "127.0.0.1:0", credentials=Credentials(token=RIGHT))
    bound = await first.start()
    link = open_link(transport, bound, credentials=Credentials(token=RIGHT))
    await link.call("echo", Message("hi"), a_context())
    await first.stop(0)
    second = Server(host, bound, credentials=Credentials(token=WRONG))
    await second.start()
    async with asyncio.timeout(5):
        with pytest.raises(Unauthenticated):
            await link.connect()
        with pytest.raises(Unauthenticated):
            await link.call("echo", Message("hi"), a_context())
    await link.aclose()
    await second.stop(0)
