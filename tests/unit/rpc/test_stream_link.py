"""What only a stream link does: settling cancelled calls, leaving a connection, doing without `Connect`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from aixgo.context import CallContext, Hop
from aixgo.contract import AgentDescription
from aixgo.errors import (
    DeadlineExceeded,
    IncompatiblePeer,
    MessageTooLarge,
    RuntimeClosed,
    Unavailable,
)
from aixgo.ledger import Usage
from aixgo.message import Message, StreamChunk
from aixgo.rpc.frames import Limits, hello
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.status import status_of
from aixgo.rpc.stream import StreamLink
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import Holding, SmallHost, a_context, serving


@pytest.fixture
def transport() -> str:
    return "stream"


async def until(reached: object, *, within: float = 5.0) -> None:
    """Let others run until `reached()` holds."""
    async with asyncio.timeout(within):
        while not reached():  # type: ignore[operator]
            await asyncio.sleep(0)


# -- settling ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
async def test_settling_a_cancelled_call_brings_what_it_spent(
    host: SmallHost, link: StreamLink
) -> None:
    host.agents["hold"] = holding = Holding()
    context = a_context("hold")
    call = asyncio.create_task(link.call("hold", Message("hi"), context))
    await holding.started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await link.settle(context)
    assert context.usage == Usage(calls=1)


@pytest.mark.usefixtures("patient")
async def test_settling_a_call_that_replies_as_it_is_cancelled_brings_what_it_spent(
    host: SmallHost, link: StreamLink
) -> None:
    started = asyncio.Event()

    async def finish_anyway(message: Message, context: CallContext) -> Message:
        context.charge(Usage(calls=3))
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return message.reply("too late")
        return message

    host.agents["stubborn"] = finish_anyway
    context = a_context("stubborn")
    call = asyncio.create_task(link.call("stubborn", Message("hi"), context))
    await started.wait()
    call.cancel()
    await asyncio.wait([call])
    await link.settle(context)
    assert context.usage == Usage(calls=3)


async def test_a_call_nobody_settles_is_forgotten(host: SmallHost, link: StreamLink) -> None:
    host.agents["hold"] = holding = Holding()
    call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
    await holding.started.wait()
    call.cancel()
    await asyncio.wait([call])
    assert link._aborted
    await until(lambda: not link._aborted)


# -- leaving a connection ---------------------------------------------------------------------------------


async def test_asked_to_leave_it_finishes_there_and_calls_on_a_new_connection(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.agents["hold"] = holding = Holding()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        running = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        old = link._channel._channel
        server.drain()
        await until(lambda: link.draining)
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
        assert link.traffic.metrics()["connections"] == 2
        assert link._channel._channel is not old
        assert not running.done()
        holding.finish.set()
        assert (await running).text == "done"
        await until(lambda: not link._leaving)
        assert link.traffic.metrics()["connections"] == 1
        await until(lambda: server.traffic.metrics()["connections"] == 1)
        assert old.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_asked_to_leave_an_idle_connection_it_leaves_at_once(
    host: SmallHost, link_to: OpenLink
) -> None:
    async with serving(host) as (server, bound):
        link = link_to(bound)
        await link.connect()
        server.drain()
        await until(lambda: server.traffic.metrics()["connections"] == 0)
        await until(lambda: not link._leaving)


async def test_a_stream_goes_on_after_its_connection_was_left(
    host: SmallHost, link_to: OpenLink
) -> None:
    async def count(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
        for number in range(300):
            yield StreamChunk(sequence=number)
        yield message.reply("done")

    host.producers["count"] = count
    async with serving(host) as (server, bound):
        link = link_to(bound)
        chunks = await link.stream("count", Message("go"), a_context("count"))
        server.drain()
        await until(lambda: link.draining)
        assert [chunk.sequence async for chunk in chunks] == list(range(300))
        await until(lambda: not link._leaving)


async def test_a_draining_host_is_asked_for_nothing_new(host: SmallHost, link_to: OpenLink) -> None:
    async with serving(host) as (server, bound):
        link = link_to(bound)
        await link.connect()
        host.draining = True
        server.drain()
        await until(lambda: link.draining)
        for attempt in (
            link.call("echo", Message("hi"), a_context()),
            link.send("echo", Message("hi"), a_context()),
            link.stream("echo", Message("hi"), a_context()),
        ):
            with pytest.raises(Unavailable, match="draining") as caught:
                await attempt
            assert caught.value.outcome == "not_started"
        part = a_context(hops=(Hop(host.instance, "outer", "k"),))
        assert (await link.call("echo", Message("hi"), part)).text == "hi"


class DrainsAsItGreets(SmallHost):
    """Drains between describing itself and greeting."""

    def descriptions(self) -> list[AgentDescription]:
        asyncio.get_running_loop().call_soon(setattr, self, "draining", True)
        return super().descriptions()

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        raise RuntimeClosed("draining")


async def test_a_host_that_drains_as_it_greets_did_not_start_the_call(link_to: OpenLink) -> None:
    host = DrainsAsItGreets()
    async with serving(host) as (_, bound):
        for _ in range(5):
            host.draining = False
            link = link_to(bound)
            with pytest.raises((Unavailable, RuntimeClosed)) as caught:
                await link.call("echo", Message("hi"), a_context())
            assert caught.value.retryable
            await until(lambda link=link: not link._leaving)


async def test_closing_a_link_that_leaves_a_connection_closes_both(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.agents["hold"] = holding = Holding()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        running = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        server.drain()
        await until(lambda: link.draining)
        await link.call("echo", Message("hi"), a_context())
        await link.aclose()
        with pytest.raises(Unavailable):
            await running
        assert not link._leaving
        await until(lambda: server.traffic.metrics()["connections"] == 0)


# -- doing without Connect --------------------------------------------------------------------------------


class WithoutConnect(Server):
    """A server that does not know the method."""

    async def _connect(self, _: object, rpc: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await rpc.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


class TakesNoCalls(Server):
    """A server whose hello says that it takes none."""

    async def _connect(self, _: object, rpc: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await rpc.write(hello("small", Limits(calls=0)))
        while isinstance(await rpc.read(), bytes):
            pass


WITHOUT = pytest.mark.parametrize("kind", [WithoutConnect, TakesNoCalls])


async def three(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
    for number in range(3):
        yield StreamChunk(sequence=number)
    yield message.reply("done")


@WITHOUT
async def test_a_peer_that_serves_no_connect_is_called_over_unary(
    host: SmallHost, link_to: OpenLink, kind: type[Server]
) -> None:
    host.producers["three"] = three
    host.mailboxes["box"] = asyncio.Queue()
    async with serving(host, kind=kind) as (_, bound):
        link = link_to(bound)
        assert (await link.connect()).instance == "small"
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
        chunks = await link.stream("three", Message("go"), a_context("three"))
        assert [chunk.sequence async for chunk in chunks] == [0, 1, 2]
        await link.send("box", Message("mail"), a_context("box"))
        messages = link.receive("box", a_context("box"))
        assert (await anext(messages)).text == "mail"
        await messages.aclose()
        assert link.outstanding == 0
        assert link.traffic.metrics()["connections"] == 0


@WITHOUT
async def test_a_peer_without_connect_is_asked_for_it_once(
    host: SmallHost, link_to: OpenLink, kind: type[Server]
) -> None:
    async with serving(host, kind=kind) as (_, bound):
        link = link_to(bound)
        await link.connect()
        frames = link.traffic.frames_sent
        for _ in range(5):
            await link.call("echo", Message("hi"), a_context())
        assert link.traffic.frames_sent == frames


@WITHOUT
@pytest.mark.usefixtures("patient")
async def test_a_deadline_over_unary_is_settled_as_well(
    host: SmallHost, link_to: OpenLink, kind: type[Server]
) -> None:
    host.agents["hold"] = Holding()
    async with serving(host, kind=kind) as (_, bound):
        link = link_to(bound)
        await link.connect()
        context = a_context("hold", timeout=0.5)
        with pytest.raises(DeadlineExceeded):
            await link.call("hold", Message("hi"), context)
        await link.settle(context)
        assert context.usage == Usage(calls=1)


@WITHOUT
async def test_who_serves_connect_at_the_address_later_is_called_by_it(
    link_to: OpenLink, kind: type[Server]
) -> None:
    async with serving(SmallHost(instance="old"), kind=kind) as (_, bound):
        link = link_to(bound)
        await link.call("echo", Message("hi"), a_context())
    async with serving(SmallHost(instance="new"), bound):
        async with asyncio.timeout(5):
            while (await link.connect()).instance != "new":
                await asyncio.sleep(0)
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
        assert link.traffic.metrics()["connections"] == 1


# -- strange greetings ------------------------------------------------------------------------------------


class Silent(Server):
    """A server that takes the hello and says none."""

    async def _connect(self, _: object, rpc: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        while isinstance(await rpc.read(), bytes):
            pass


class Newer(Server):
    """A server whose hello is of another version."""

    async def _connect(self, _: object, rpc: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        said = pb.ConnectRequest.FromString(hello("small", Limits(calls=10)))
        said.envelopes[0].hello.version = 2
        await rpc.write(said.SerializeToString())
        while isinstance(await rpc.read(), bytes):
            pass


class OfAnotherVersion(Server):
    """A server that ends the RPC because of its version."""

    async def _connect(self, _: object, rpc: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        about = status_of(IncompatiblePeer(2, 1))
        await rpc.abort(about.code, about.details, about.trailing_metadata)


async def test_a_peer_that_does_not_greet_is_unavailable_after_the_connect_timeout(
    host: SmallHost, link_to: OpenLink
) -> None:
    async with serving(host, kind=Silent) as (_, bound):
        link = link_to(bound, settings=WireSettings(connect_timeout=0.3))
        with pytest.raises(Unavailable, match="greets nobody") as caught:
            await link.call("echo", Message("hi"), a_context())
        assert caught.value.outcome == "not_started"
        assert link.traffic.metrics()["connections"] == 0


@pytest.mark.parametrize("kind", [Newer, OfAnotherVersion])
async def test_a_hello_in_another_version_is_an_incompatible_peer(
    host: SmallHost, link_to: OpenLink, kind: type[Server]
) -> None:
    async with serving(host, kind=kind) as (_, bound):
        with pytest.raises(IncompatiblePeer):
            await link_to(bound).call("echo", Message("hi"), a_context())


async def test_a_request_that_nothing_carries_is_refused_here(
    host: SmallHost, link: StreamLink
) -> None:
    sized = a_context(baggage={"k": "v" * 2_000_000})
    with pytest.raises(MessageTooLarge):
        await link.call("echo", Message(b"x" * (64 * 1024 * 1024 - 100)), sized)
    assert link.outstanding == 0
    assert not host.contexts
