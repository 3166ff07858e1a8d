"""What crosses on the wire: a cancel and the end of its call, a request and a goodbye."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from aixgo.errors import RuntimeClosed, Unavailable
from aixgo.message import Message
from aixgo.rpc.channel import PeerChannel
from aixgo.rpc.connection import CLOSING
from aixgo.rpc.options import WireSettings
from aixgo.rpc.transports import open_link
from aixgo.v1 import agent_service_pb2 as pb
from tests.integration.rpc.raw_server import Peer, answer, behave, raw_server
from tests.unit.rpc.small_host import SmallHost, a_context, serving


def cut_up(envelope: pb.Envelope) -> tuple[pb.Envelope, pb.Envelope]:
    """`envelope` as a transfer: what announces it, and its one piece."""
    data = envelope.SerializeToString()
    announced = pb.Envelope(call=envelope.call, piece=pb.Piece(total_bytes=len(data)))
    return announced, pb.Envelope(call=envelope.call, piece=pb.Piece(data=data))


async def test_a_place_is_free_again_when_the_last_piece_of_a_reply_crosses_the_cancel() -> None:
    leaves = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.introduce(max_concurrent_calls=1)
        asked = await peer.until("request")
        announced, rest = cut_up(answer(asked))
        await peer.write(announced)
        await peer.until("credit")
        leaves.set()
        await peer.until("cancel")
        await peer.write(rest)  # sent before the cancel came: for the server the call has ended
        await peer.write(answer(await peer.until("request")))
        await peer.wait()

    async with asyncio.timeout(10), raw_server(script) as server:
        link = open_link("stream", server.address)
        try:
            first = asyncio.create_task(link.call("echo", Message("first"), a_context()))
            await leaves.wait()
            first.cancel()
            with suppress(asyncio.CancelledError):
                await first
            assert (await link.call("echo", Message("second"), a_context())).text == "second"
        finally:
            await link.aclose()
        assert server.failures == []


async def test_a_call_that_waits_for_a_place_moves_on_when_its_server_says_goodbye() -> None:
    waits, moved = asyncio.Event(), asyncio.Event()

    async def leave(peer: Peer) -> None:
        await peer.introduce(max_concurrent_calls=1)
        asked = await peer.until("request")
        await waits.wait()
        await peer.write(pb.Envelope(go_away=pb.GoAway()))
        await moved.wait()  # the call that holds the place here goes on
        await peer.write(answer(asked))
        await peer.wait()

    async with asyncio.timeout(10), raw_server(leave, behave) as server:
        link = open_link("stream", server.address)
        try:
            first = asyncio.create_task(link.call("echo", Message("first"), a_context()))
            second = asyncio.create_task(link.call("echo", Message("second"), a_context()))
            while not link.traffic.stalls_place:
                await asyncio.sleep(0)
            waits.set()
            assert (await second).text == "second"
            assert not first.done()
            moved.set()
            assert (await first).text == "first"
        finally:
            await link.aclose()
        assert server.failures == []


async def test_who_connects_while_a_stream_is_being_opened_opens_no_second_one() -> None:
    async with asyncio.timeout(10), serving(SmallHost()) as (server, address):
        link = open_link("stream", address)
        try:
            connecting = [asyncio.create_task(link.connect())]
            while not connecting[0].done():
                connecting.append(asyncio.create_task(link.connect()))
                await asyncio.sleep(0)
            await asyncio.gather(*connecting)
            assert (await link.call("echo", Message("hello"), a_context())).text == "hello"
        finally:
            await link.aclose()
        assert server.traffic.connections_opened == 1


async def test_a_goodbye_right_after_the_hello_leaves_the_call_an_rpc_of_its_own() -> None:
    async def turn_away(peer: Peer) -> None:
        await peer.write(pb.Envelope(hello=greeting(instance="another")))  # so the link asks again
        await peer.write(pb.Envelope(go_away=pb.GoAway()))
        await peer.wait()

    async with asyncio.timeout(10), raw_server(turn_away) as server:
        link = open_link("stream", server.address)
        try:
            assert (await link.call("echo", Message("hello"), a_context())).text == "hello"
        finally:
            await link.aclose()
        assert (server.opened, server.executed, server.failures) == (1, 1, [])


async def test_a_peer_that_takes_no_calls_on_a_stream_costs_no_wait() -> None:
    async def take_none(peer: Peer) -> None:
        await peer.write(pb.Envelope(hello=greeting(max_concurrent_calls=0)))
        await peer.wait()

    async with asyncio.timeout(10), raw_server(take_none) as server:
        link = open_link("stream", server.address)
        try:
            async with asyncio.timeout(CLOSING / 2):  # it would be waited for that long to leave
                assert (await link.call("echo", Message("hello"), a_context())).text == "hello"
        finally:
            await link.aclose()


async def test_a_hello_that_nobody_waits_for_any_more_is_no_broken_rule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    greet = asyncio.Event()

    async def greet_late(peer: Peer) -> None:
        await greet.wait()
        await peer.write(pb.Envelope(hello=greeting()))
        await peer.wait()

    async with asyncio.timeout(10), raw_server(greet_late) as server:
        link = open_link("stream", server.address)
        call = asyncio.create_task(link.call("echo", Message("hello"), a_context()))
        while not server.opened:
            await asyncio.sleep(0)
        closing = asyncio.create_task(link.aclose())
        greet.set()
        await closing
        with pytest.raises(RuntimeClosed):
            await call
    assert [record for record in caplog.records if record.name.startswith("aixgo")] == []


async def test_an_rpc_that_ends_with_its_channel_cancels_nobody() -> None:
    async with asyncio.timeout(10), await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = PeerChannel(f"127.0.0.1:{port}", WireSettings())
        asking = asyncio.create_task(channel.describe())
        await asyncio.sleep(0)
        await channel.renew()()  # as after a goodbye, when the last call has ended
        with pytest.raises(Unavailable) as caught:
            await asking
        assert caught.value.outcome == "not_started"
        await channel.aclose()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes until the other side leaves."""
    await reader.read()
    writer.close()


def greeting(**changes: object) -> pb.Hello:
    """The hello of a server that describes itself as `raw`, with `changes`."""
    fields: dict[str, object] = {
        "version": 1,
        "instance": "raw",
        "max_concurrent_calls": 100,
        "max_frame_envelopes": 256,
        "max_frame_bytes": 256 * 1024,
        "chunk_window": 16,
        **changes,
    }
    return pb.Hello(**fields)  # type: ignore[arg-type]
