"""Who answers at an address, over a link of either transport: reaching them, losing them, and meeting others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from aixgo.context import CallContext, Hop
from aixgo.errors import IncompatiblePeer, RuntimeClosed, Unavailable
from aixgo.message import Message, StreamChunk
from aixgo.rpc.base import Link
from aixgo.rpc.options import WireSettings
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import Holding, SmallHost, a_context, serving

# -- who is there -------------------------------------------------------------------------------------------


async def test_describing_tells_who_answers(host: SmallHost, link: Link) -> None:
    host.draining = True
    info = await link.describe()
    assert (info.instance, info.version, info.draining) == ("small", 1, True)
    assert [(about.name, about.role) for about in info.agents] == [("echo", "echos")]
    assert (link.instance, link.draining) == ("small", True)


async def test_connecting_again_is_fine(link: Link) -> None:
    infos = await asyncio.gather(*(link.connect() for _ in range(5)))
    assert {info.instance for info in infos} == {"small"}


async def test_nobody_there_is_said_at_once_and_before_anything_was_sent(link_to: OpenLink) -> None:
    link = link_to("127.0.0.1:1", settings=WireSettings(connect_timeout=30))
    async with asyncio.timeout(3):
        for attempt in (
            link.connect(),
            link.call("echo", Message("hi"), a_context()),
            link.stream("echo", Message("hi"), a_context()),
            link.send("echo", Message("hi"), a_context()),
        ):
            with pytest.raises(Unavailable, match="refused") as caught:
                await attempt
            assert caught.value.outcome == "not_started"
    assert link.outstanding == 0


async def test_a_peer_that_never_answers_is_unavailable_after_the_connect_timeout(
    link_to: OpenLink,
) -> None:
    done = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = link_to(f"127.0.0.1:{port}")
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await link.connect(timeout=0.2)
        assert caught.value.outcome == "not_started"
        await link.aclose()
        done.set()


async def test_another_major_version_is_an_incompatible_peer(
    host: SmallHost, link_to: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aixgo.rpc.descriptions.WIRE_VERSION", 2)
    async with serving(host) as (_, bound):
        link = link_to(bound)
        with pytest.raises(IncompatiblePeer, match="version 2"):
            await link.connect()
        with pytest.raises(IncompatiblePeer, match="version 2"):
            await link.call("echo", Message("hi"), a_context())


async def test_a_grpc_server_without_our_service_is_an_incompatible_peer(link_to: OpenLink) -> None:
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    with pytest.raises(IncompatiblePeer):
        await link_to(f"127.0.0.1:{port}").connect()
    await other.stop(None)


async def test_a_draining_peer_takes_what_is_part_of_its_own_calls_only(
    host: SmallHost, link: Link
) -> None:
    host.draining = True
    await link.describe()
    part = a_context(hops=(Hop(host.instance, "outer", "k"),))
    assert (await link.call("echo", Message("hi"), part)).text == "hi"


# -- losing a peer ------------------------------------------------------------------------------------------


async def test_a_connection_lost_under_a_call_leaves_the_outcome_unknown(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.agents["hold"] = holding = Holding()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        await server.stop(0)
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.outcome == "unknown"
        assert link.outstanding == 0


async def test_a_connection_lost_under_a_stream_leaves_the_outcome_unknown(
    host: SmallHost, link_to: OpenLink
) -> None:
    async def stall(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
        yield StreamChunk(content="one")
        await asyncio.Event().wait()

    host.producers["stall"] = stall
    async with serving(host) as (server, bound):
        link = link_to(bound)
        chunks = await link.stream("stall", Message("go"), a_context("stall"))
        assert (await anext(chunks)).content == "one"
        await server.stop(0)
        with pytest.raises(Unavailable) as caught:
            await anext(chunks)
        assert caught.value.outcome == "unknown"
        assert link.outstanding == 0


async def test_a_connection_lost_under_a_send_leaves_the_outcome_unknown(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.mailboxes["box"] = asyncio.Queue(maxsize=1)
    async with serving(host) as (server, bound):
        link = link_to(bound)
        await link.send("box", Message("first"), a_context("box"))
        send = asyncio.create_task(link.send("box", Message("second"), a_context("box")))
        while not host.mailboxes["box"]._putters:
            await asyncio.sleep(0)
        await server.stop(0)
        with pytest.raises(Unavailable) as caught:
            await send
        assert caught.value.outcome == "unknown"


async def test_a_connection_lost_under_a_reader_of_mail_is_unavailable(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        waiting = asyncio.ensure_future(anext(link.receive("box", a_context("box"))))
        while not host.mailboxes["box"]._getters:
            await asyncio.sleep(0)
        await server.stop(0)
        with pytest.raises((Unavailable, RuntimeClosed)):
            await waiting
        assert link.outstanding == 0


async def test_a_peer_that_comes_back_is_reached_again_under_its_new_instance(
    link_to: OpenLink,
) -> None:
    async with serving(SmallHost(instance="one")) as (server, bound):
        link = link_to(bound)
        await link.connect()
        assert link.instance == "one"
        await server.stop(0)
        with pytest.raises(Unavailable):
            await link.call("echo", Message("hi"), a_context())
    async with serving(SmallHost(instance="two"), bound):
        async with asyncio.timeout(5):
            assert (await link.connect()).instance == "two"
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
        assert link.instance == "two"


async def test_closing_a_link_fails_its_calls_and_twice_is_fine(
    host: SmallHost, link: Link
) -> None:
    host.agents["hold"] = holding = Holding()
    call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
    await holding.started.wait()
    await link.aclose()
    with pytest.raises(Unavailable) as caught:
        await call
    assert caught.value.outcome == "unknown"
    await link.aclose()
    with pytest.raises(RuntimeClosed):
        await link.call("echo", Message("hi"), a_context())
    with pytest.raises(RuntimeClosed):
        await link.connect()


async def test_closing_a_link_while_it_connects_says_that_it_is_closed(link_to: OpenLink) -> None:
    done, met = asyncio.Event(), asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        link = link_to(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        call = asyncio.create_task(link.call("echo", Message("hi"), a_context()))
        await met.wait()
        await link.aclose()
        with pytest.raises(RuntimeClosed):
            await call
        done.set()


# -- calls for one process --------------------------------------------------------------------------------


async def test_a_call_with_a_key_notes_who_it_was_sent_to(host: SmallHost, link: Link) -> None:
    context = a_context(idempotency_key="once")
    await link.call("echo", Message("hi"), context)
    assert context.at_instance == host.instance


@pytest.mark.parametrize("how", ["call", "send", "stream"])
async def test_a_call_with_a_key_for_another_process_is_not_sent(
    host: SmallHost, link: Link, how: str
) -> None:
    context = a_context(idempotency_key="once")
    context.at_instance = "another"
    with pytest.raises(Unavailable, match="another process") as caught:
        await getattr(link, how)("echo", Message("hi"), context)
    assert caught.value.outcome == "not_started"
    assert not host.contexts
    assert link.outstanding == 0


async def test_a_call_with_a_key_is_not_sent_to_who_answers_now(link_to: OpenLink) -> None:
    context = a_context(idempotency_key="once")
    async with serving(SmallHost(instance="one")) as (_, bound):
        link = link_to(bound)
        await link.call("echo", Message("hi"), context)
    successor = SmallHost(instance="two")
    async with serving(successor, bound):
        async with asyncio.timeout(5):
            while (await link.connect()).instance != "two":
                await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="another process") as caught:
            await link.call("echo", Message("hi"), context)
        assert caught.value.outcome == "not_started"
        assert not successor.contexts
