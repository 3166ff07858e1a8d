"""Clients that keep to the rules and to nothing else: they announce, ask and never read, or vanish."""

from __future__ import annotations

import asyncio
import sys
import textwrap

import grpc
import pytest

from aixgo.rpc.outbox import MAX_BYTES
from aixgo.v1 import agent_service_pb2 as pb
from tests.integration.rpc.raw_client import (
    MAX_TRANSFER,
    RawClient,
    frame,
    hello,
    raw_client,
    request,
)
from tests.integration.rpc.scene import rss, scene

MIB = 1024 * 1024


def announcement(call: int, total: int) -> pb.Envelope:
    return pb.Envelope(call=call, piece=pb.Piece(total_bytes=total))


async def send_transfer(client: RawClient, envelope: pb.Envelope, most: int | None = None) -> None:
    """Send `envelope` in pieces as credit comes, its first `most` bytes at least."""
    body = envelope.SerializeToString()
    sent, granted = 0, 0
    await client.write(announcement(envelope.call, len(body)))
    while sent < (len(body) if most is None else most):
        while sent == granted:
            credit = (await client.until("credit", envelope.call)).credit
            granted += credit.piece_bytes
        part = body[sent : min(granted, sent + 60_000)]
        await client.write(pb.Envelope(call=envelope.call, piece=pb.Piece(data=part)))
        sent += len(part)


async def test_a_request_in_transfer_is_answered() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await send_transfer(client, request(1, text="x" * 2_000_000))
        reply = bytearray()
        total = (await client.until("piece", 1)).piece.total_bytes
        await client.write(pb.Envelope(call=1, credit=pb.Credit(piece_bytes=total)))
        while len(reply) < total:
            reply += (await client.until("piece", 1)).piece.data
        assert pb.Envelope.FromString(bytes(reply)).reply.message.text == "x" * 2_000_000


async def test_transfers_that_were_only_announced_cost_nothing_and_delay_nobody() -> None:
    async with scene(places=10_000) as stage, raw_client(stage.address) as client:
        before = rss()
        places = client.theirs.max_concurrent_calls
        for first in range(1, places + 1, 100):
            numbers = range(first, min(first + 100, places + 1))
            await client.write(*[announcement(number, MAX_TRANSFER) for number in numbers])
        async with raw_client(stage.address) as other:
            await send_transfer(other, request(1, "stuck", "x" * 2_000_000))
            await stage.stuck_are(1)
        assert rss() - before < 64 * MIB


async def test_a_cancelled_call_has_one_end_also_when_nobody_reads_for_a_while() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        filling = range(1, 121)
        await client.write(*[request(number, "large", "200000") for number in filling])
        while not stage.wire["stalls_room"]:
            await asyncio.sleep(0)
        await client.write(request(200, "stuck"))
        await stage.stuck_are(1)
        await client.write(pb.Envelope(call=200, cancel=pb.Cancel()))
        await stage.stuck_are(0)
        most = MAX_BYTES // 200_000 + 1  # replies that wait to be written; others wait for room
        while stage.wire["queued_envelopes"] <= most:  # until it is ended without room
            await asyncio.sleep(0)
        ends: list[int] = []
        while len(ends) < len(filling) + 1:
            ends.append(await end(client))
        await client.write(request(201, text="the last"))
        while ends[-1] != 201:
            ends.append(await end(client))
        assert ends.count(200) == 1


async def end(client: RawClient) -> int:
    """The number of the next call that ends."""
    while (envelope := await client.read()) is not None:
        if envelope.WhichOneof("frame") in ("reply", "status"):
            return envelope.call
    raise AssertionError("the server closed its side")


async def test_a_cancelled_transfer_is_ended_and_its_rest_dropped() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(announcement(1, 1_000_000))
        await client.until("credit", 1)
        await client.write(pb.Envelope(call=1, cancel=pb.Cancel()))
        assert (await client.until("status", 1)).status.code == 1
        await client.write(pb.Envelope(call=1, piece=pb.Piece(data=b"x" * 1000)), request(2))
        assert await client.reply(2) == "hello"


async def test_a_cancel_breaks_off_a_reply_that_waits_for_credit() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "large", "10000000"))
        await client.until("piece", 1)
        await client.write(pb.Envelope(call=1, cancel=pb.Cancel()))
        assert (await client.until("status", 1)).status.code == 1


async def test_a_reply_that_is_given_no_credit_ends_at_its_deadline() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "large", "10000000", timeout=0.3))
        await client.until("piece", 1)
        assert (await client.until("status", 1)).status.code == 4


async def test_a_stream_that_is_given_no_credit_stops_its_agent_at_the_deadline() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "pour", method=pb.METHOD_EXECUTE_STREAM, timeout=0.3))
        chunks = 0
        while (envelope := await client.read()) is not None:
            chunks += envelope.WhichOneof("frame") == "chunk"
            if envelope.WhichOneof("frame") == "status":
                break
        assert chunks == 16  # the window of the client's hello
        await stage.pour.stopped.wait()


async def test_a_reader_that_grants_everything_and_reads_nothing_holds_the_agent_back() -> None:
    async with scene() as stage, raw_client(stage.address, introduced=False) as client:
        await client.write(hello(chunk_window=2**32 - 1))
        await client.until("hello")
        await client.write(request(1, "pour", method=pb.METHOD_EXECUTE_STREAM))
        produced = await stage.pour.standstill()
        assert produced < 24 * 1024  # KiB: what gRPC keeps under way, and an outbox
        assert stage.wire["queued_bytes"] < 8 * MIB
        client.cancel()
        await stage.pour.stopped.wait()


async def test_credits_without_end_do_not_add_up_to_anything() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "stuck"))
        await stage.stuck_are(1)
        most = pb.Envelope(call=1, credit=pb.Credit(chunks=2**32 - 1, piece_bytes=2**64 - 1))
        for _ in range(50):
            await client.write(*[most] * 100)
        await client.write(request(2))
        following = await client.read()
        ended = following is None and await client.ended() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ended or (following is not None and following.call == 2)


FLOODS: dict[str, list[pb.Envelope]] = {
    "refused requests": [request(0, "x" * 128)],
    "answered requests": [request(0, text="x" * 4000)],
    "transfers": [announcement(0, 1000), pb.Envelope(cancel=pb.Cancel())],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_client_that_asks_and_never_reads_is_read_no_further(
    flood: list[pb.Envelope],
) -> None:
    """What the server keeps for it is bounded, because it takes no more questions then."""
    async with scene() as stage, raw_client(stage.address) as client:
        before = rss()
        number = 0

        async def ask() -> None:
            nonlocal number
            while number < 150_000:
                asked = []
                for _ in range(50):
                    number += 1
                    for envelope in flood:
                        envelope.call = number
                        asked.append(pb.Envelope.FromString(envelope.SerializeToString()))
                await client.write(*asked)

        asking = asyncio.create_task(ask())
        seen = -1
        while not asking.done() and seen != number:
            seen = number
            await asyncio.wait((asking,), timeout=0.5)
            assert stage.wire["queued_bytes"] < 16 * MIB
            assert stage.wire["queued_envelopes"] < 20_000
        assert rss() - before < 96 * MIB
        asking.cancel()
        await asyncio.wait((asking,))


async def test_a_rule_broken_by_a_client_that_does_not_read_stops_its_agents() -> None:
    """What is being written to it cannot be finished, so its status waits until it reads."""
    async with scene() as stage, raw_client(stage.address, introduced=False) as client:
        await client.write(hello(chunk_window=2**32 - 1))
        await client.write(request(1, "stuck"))
        await client.write(request(2, "pour", method=pb.METHOD_EXECUTE_STREAM))
        await stage.stuck_are(1)
        await stage.pour.standstill()
        await client.write(request(1))
        await stage.stuck_are(0)
        await stage.pour.stopped.wait()
        assert await client.ended() is grpc.StatusCode.INVALID_ARGUMENT


async def test_calls_that_are_cancelled_at_once_do_not_pile_up() -> None:
    async with scene(places=10_000) as stage, raw_client(stage.address) as client:
        for first in range(1, 20_001, 50):
            asked = []
            for number in range(first, first + 50):
                asked += [request(number, "stuck"), pb.Envelope(call=number, cancel=pb.Cancel())]
            await client.write(*asked)
            await client.until("status", first + 49)
            assert stage.in_flight <= 2 * 50
        await stage.stuck_are(0)


async def test_a_connection_lost_in_the_middle_of_64_mib_leaves_nothing() -> None:
    async with scene() as stage:
        largest = request(1, text="x" * 64 * MIB)
        before = 0
        for turn in range(4):
            async with raw_client(stage.address) as client:
                await send_transfer(client, largest, 40 * MIB)
                client.cancel()
            await stage.only(1)
            before = before or rss()
            assert turn < 1 or rss() - before < 64 * MIB


LOST = """
    import asyncio, os
    from tests.integration.rpc.raw_client import raw_client, request
    from tests.integration.rpc.test_greedy_clients import MIB, send_transfer

    async def main():
        async with raw_client({address!r}) as client:
            await client.write(request(1, "stuck"))
            await send_transfer(client, request(2, text="x" * 64 * MIB), 40 * MIB)
            os.kill(os.getpid(), 9)

    asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_process_killed_in_the_middle_of_64_mib_stops_its_calls() -> None:
    async with scene() as stage:
        code = textwrap.dedent(LOST.format(address=stage.address))
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        await stage.stuck_are(1)
        assert await child.wait() == -9
        await stage.stuck_are(0)


async def test_a_client_that_says_nothing_is_not_waited_for() -> None:
    """The server's own bound is 10 s; that a second connection is served does not wait for it."""
    async with scene() as stage:
        silent = [raw_client(stage.address, introduced=False) for _ in range(20)]
        clients = [await each.__aenter__() for each in silent]
        async with raw_client(stage.address) as client:
            await client.write(request(1))
            assert await client.reply(1) == "hello"
        for each in silent:
            await each.__aexit__(None, None, None)
        assert len(clients) == 20


async def test_a_thousand_connections_in_a_row_leave_nothing() -> None:
    async with scene() as stage, grpc.aio.insecure_channel(stage.address) as channel:
        for _ in range(1000):
            client = RawClient(channel.stream_stream("/aixgo.v1.AgentService/Connect")())
            await client.write_bytes(frame(hello()))
            await client.write_bytes(frame(request(1), request(2, "stuck")))
            assert await client.reply(1) == "hello"
            client.cancel()
        await stage.stuck_are(0)
        assert stage.wire["connections"] <= 2
