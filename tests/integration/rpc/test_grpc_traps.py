"""What grpc.aio gets wrong unless somebody takes care, one test for each trap."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aixgo.context import CallContext, SystemClock
from aixgo.errors import AgentFailed, AgentRefused, ConfigError, MessageTooLarge, Unavailable
from aixgo.message import MAX_MESSAGE_BYTES, Message, StreamChunk
from aixgo.rpc import base
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.unary import UnaryLink
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.rpc.small_host import SmallHost, a_context, call_echo, linked, serving


@pytest.fixture
def host() -> SmallHost:
    return SmallHost()


class Stuck:
    """Work that only ends when it is cancelled, and says when it starts and stops."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, message: Message, context: CallContext) -> Message:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        return message

    async def chunks(
        self, message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        yield StreamChunk(content="first")
        yield await self(message, context)


async def seen(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


async def test_a_cancelled_call_stops_the_agent_and_whom_it_called(host: SmallHost) -> None:
    far, near = SmallHost(instance="far"), host
    leaf = Stuck()
    far.agents["leaf"] = leaf
    async with linked(far) as to_far, linked(near) as to_near:

        async def pass_on(message: Message, context: CallContext) -> Message:
            return await to_far.call("leaf", message, a_context("leaf"))

        near.agents["pass_on"] = pass_on
        call = asyncio.create_task(to_near.call("pass_on", Message("go"), a_context("pass_on")))
        await seen(leaf.started)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await seen(leaf.stopped)


async def test_a_caller_whose_process_dies_stops_the_agent(host: SmallHost) -> None:
    stuck = Stuck()
    host.agents["stuck"] = stuck
    script = """
        import asyncio
        from aixgo.message import Message
        from aixgo.context import SystemClock
        from aixgo.rpc.unary import UnaryLink
        from tests.unit.rpc.small_host import a_context

        async def main(address):
            await UnaryLink(address, SystemClock()).call("stuck", Message("go"), a_context("stuck"))
    """
    async with serving(host) as (_, bound):
        code = f"{textwrap.dedent(script)}\nasyncio.run(main({bound!r}))"
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        async with asyncio.timeout(20):
            await stuck.started.wait()
        child.kill()
        await child.wait()
        await seen(stuck.stopped)


async def test_a_dropped_stream_is_cancelled_when_it_is_collected(host: SmallHost) -> None:
    stuck = Stuck()
    host.producers["stuck"] = stuck.chunks
    async with linked(host) as link:
        chunks = await link.stream("stuck", Message("go"), a_context("stuck"))
        await anext(chunks)
        await seen(stuck.started)
        assert link.outstanding == 1
        del chunks
        gc.collect()
        await seen(stuck.stopped)
        assert link.outstanding == 0


async def test_a_burst_of_two_thousand_calls_loses_none(host: SmallHost) -> None:
    async with linked(host) as link:
        calls = [
            link.call("echo", Message(number), a_context(timeout=25)) for number in range(2000)
        ]
        replies = await asyncio.gather(*calls)
    assert [reply.payload for reply in replies] == list(range(2000))


async def test_the_text_of_an_exception_never_crosses(
    host: SmallHost, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(message: Message, context: CallContext) -> Message:
        raise ValueError("password=hunter2")

    async def fail_midway(
        message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        yield StreamChunk(content="ok")
        raise ValueError("password=hunter2")

    host.agents["fail"] = fail
    host.producers["fail"] = fail_midway
    request = pb.ExecuteRequest(target="fail", message={"text": "go"}).SerializeToString()
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await channel.unary_unary(f"/{base.SERVICE}/Execute")(request)
        stream = channel.unary_stream(f"/{base.SERVICE}/ExecuteStream")(request)
        with pytest.raises(grpc.aio.AioRpcError) as streamed:
            [part async for part in stream]
        for caught in (unary, streamed):
            assert "hunter2" not in repr(caught.value)
            assert "hunter2" not in repr(caught.value.trailing_metadata())
        link = UnaryLink(bound, SystemClock())
        with pytest.raises(AgentFailed) as failed:
            await link.call("fail", Message("go"), a_context("fail"))
        await link.aclose()
    assert failed.value.error_id in caplog.text  # the owner of the process finds it
    assert "hunter2" in caplog.text


async def test_a_broad_except_in_an_agent_does_not_swallow_its_cancellation(
    host: SmallHost,
) -> None:
    stuck = Stuck()

    async def careless(message: Message, context: CallContext) -> Message:
        try:
            return await stuck(message, context)
        except Exception:
            return message.reply("carried on")

    host.agents["careless"] = careless
    async with linked(host) as link:
        call = asyncio.create_task(link.call("careless", Message("go"), a_context("careless")))
        await seen(stuck.started)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await seen(stuck.stopped)


async def test_a_message_of_the_largest_size_passes_both_ways(host: SmallHost) -> None:
    async with linked(host) as link:
        largest = Message(b"x" * MAX_MESSAGE_BYTES)
        reply = await link.call("echo", largest, a_context(timeout=25))
        assert reply.size == MAX_MESSAGE_BYTES


async def test_too_large_a_request_is_refused_here_and_the_channel_lives(host: SmallHost) -> None:
    async with linked(host) as link:
        stuffed = a_context(baggage={"k": "x" * (2 * 1024 * 1024)})
        with pytest.raises(MessageTooLarge):
            await link.call("echo", Message(b"x" * MAX_MESSAGE_BYTES), stuffed)
        assert host.contexts == []
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_long_refusal_fits_the_metadata_of_its_status(host: SmallHost) -> None:
    text = "\N{SNOWMAN}" * 2048  # the longest that crosses, in a wide script

    async def refuse(message: Message, context: CallContext) -> Message:
        raise AgentRefused(text)

    host.agents["refuse"] = refuse
    async with linked(host) as link:
        with pytest.raises(AgentRefused) as caught:
            await link.call("refuse", Message("go"), a_context("refuse"))
        assert caught.value.text == text


async def test_a_port_is_never_shared_silently(host: SmallHost) -> None:
    async with serving(host) as (_, bound):
        with pytest.raises(ConfigError, match="in use"):
            await Server(SmallHost(), bound).start()


async def test_a_long_quiet_call_survives_the_quickest_keepalive(host: SmallHost) -> None:
    """Pings more frequent than a server allows end the connection: gRPC's floor is 5 minutes."""

    async def quiet(message: Message, context: CallContext) -> Message:
        with contextlib.suppress(TimeoutError):  # the silence is what is tested
            async with asyncio.timeout(8):  # a server forgives the first few
                await asyncio.Event().wait()
        return message.reply("still here")

    host.agents["quiet"] = quiet
    async with linked(host, settings=WireSettings(keepalive_time=1.0)) as link:
        assert (await link.call("quiet", Message("go"), a_context("quiet"))).text == "still here"


async def test_a_channel_made_outside_the_loop_would_bind_to_no_loop(host: SmallHost) -> None:
    async with serving(host) as (_, bound):

        def elsewhere() -> str:
            link = UnaryLink(bound, SystemClock())  # no loop runs here

            async def use() -> str:
                reply = await link.call("echo", Message("hi"), a_context())
                await link.aclose()
                return reply.text

            return asyncio.run(use())

        assert await asyncio.to_thread(elsewhere) == "hi"


async def test_proxy_variables_do_not_divert_calls(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with linked(host) as link:
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_process_that_used_grpc_can_start_others_by_spawn(host: SmallHost) -> None:
    """After a fork gRPC hangs in the child, so nothing in aixgo forks."""
    async with linked(host) as link:
        await link.call("echo", Message("hi"), a_context())
        child = multiprocessing.get_context("spawn").Process(target=call_echo, args=(link.address,))
        child.start()
        await asyncio.to_thread(child.join, 20)
        assert child.exitcode == 0


@pytest.mark.parametrize(
    "noise",
    [os.urandom(4096), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""],
    ids=["random bytes", "HTTP/1", "TLS", "nothing"],
)
async def test_noise_on_the_port_does_not_disturb_others(host: SmallHost, noise: bytes) -> None:
    async with linked(host) as link:
        name, port = link.address.split(":")
        for _ in range(20):
            reader, writer = await asyncio.open_connection(name, int(port))
            writer.write(noise)
            reply = await link.call("echo", Message("hi"), a_context())
            assert reply.text == "hi"
            writer.close()
            del reader


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "speaks HTTP/1"),
        (b"220 mail.example.org ESMTP\r\n", "does not speak gRPC"),
        (b"", "wants TLS"),
    ],
    ids=["HTTP/1", "mail", "closes"],
)
async def test_another_protocol_at_the_peers_port_is_named(answer: bytes, reason: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        link = UnaryLink(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", SystemClock())
        with pytest.raises(Unavailable, match=reason) as caught:
            await link.connect()
        assert caught.value.outcome == "not_started"
        await link.aclose()


async def test_a_client_that_tries_tls_is_turned_away_and_others_are_served(
    host: SmallHost,
) -> None:
    async with linked(host) as link:
        name, port = link.address.split(":")
        trusting = ssl.create_default_context()
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.open_connection(name, int(port), ssl=trusting)
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_slow_reader_slows_the_agent_down(
    host: SmallHost, caplog: pytest.LogCaptureFixture
) -> None:
    produced = 0
    progress = asyncio.Event()

    async def pour(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
        nonlocal produced
        while True:
            produced += 1
            progress.set()
            yield StreamChunk(content="x" * 1024)

    host.producers["pour"] = pour
    async with linked(host) as link:
        chunks = await link.stream("pour", Message("go"), a_context("pour"))
        await anext(chunks)
        with contextlib.suppress(TimeoutError):  # until the producer stands still
            async with asyncio.timeout(10) as patience:
                while True:
                    progress.clear()
                    patience.reschedule(asyncio.get_running_loop().time() + 0.3)
                    await progress.wait()
        # KiB that nobody read: gRPC's window, which was 5 MiB when this was written.
        assert produced < 16 * 1024
        await chunks.aclose()
    assert caplog.text == ""  # that a reader left is nobody's failure


async def test_health_is_told_per_agent(host: SmallHost) -> None:
    states = health_pb2.HealthCheckResponse
    async with serving(host) as (server, bound), grpc.aio.insecure_channel(bound) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def status(name: str) -> int:
            reply = await health.Check(health_pb2.HealthCheckRequest(service=name))
            return int(reply.status)

        assert await status("") == await status("echo") == states.SERVING
        await server.set_health("echo", serving=False)
        assert await status("echo") == states.NOT_SERVING
        assert await status("") == states.SERVING
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await status("nobody")


async def test_reflection_lists_the_service(host: SmallHost) -> None:
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        replies = stub.ServerReflectionInfo(iter([request]))
        reply = await replies.read()
        replies.cancel()
    names = {service.name for service in reply.list_services_response.service}
    assert {base.SERVICE, "grpc.health.v1.Health"} <= names


def test_importing_aixgo_does_not_import_grpc() -> None:
    code = "import aixgo, sys; aixgo.Message; assert 'grpc' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_free_port_is_reported_when_none_is_asked_for() -> None:
    async def bound() -> str:
        async with serving(SmallHost()) as (_, address):
            return address

    name, port = asyncio.run(bound()).split(":")
    assert name == "127.0.0.1"
    assert int(port) > 0
    with socket.socket() as probe:
        assert probe.connect_ex((name, int(port))) != 0
