"""What crosses on the wire: a cancel and the end of its call, a request and a goodbye."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aixgo.message import Message
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
