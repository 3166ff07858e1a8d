"""Servers that break the rules of `Connect`, and a real link: its calls end as they should, and it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aixgo.context import CallContext
from aixgo.errors import AixgoError, DeadlineExceeded, IncompatiblePeer, Unavailable
from aixgo.message import Message
from aixgo.rpc.base import Link
from aixgo.rpc.options import WireSettings
from aixgo.rpc.transports import open_link
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2
from tests.integration.rpc.raw_client import MAX_TRANSFER
from tests.integration.rpc.raw_server import (
    Peer,
    RawServer,
    Script,
    answer,
    behave,
    message,
    raw_server,
)
from tests.unit.rpc.small_host import a_context

MIB = 1024 * 1024


@asynccontextmanager
async def linked(
    *scripts: Script | None, settings: WireSettings | None = None
) -> AsyncIterator[tuple[RawServer, Link]]:
    """A link to a server that plays `scripts`; at the end nothing is outstanding."""
    async with asyncio.timeout(12), raw_server(*scripts) as server:
        link = open_link("stream", server.address, settings=settings)
        try:
            yield server, link
            assert link.outstanding == 0
        finally:
            await link.aclose()
        assert server.failures == []


def call(link: Link, text: str = "hello", timeout: float = 4.0) -> Awaitable[Message]:
    return link.call("echo", Message(text), a_context(timeout=timeout))


async def goes_on(server: RawServer, link: Link, opened: int) -> None:
    """A call after what happened succeeds, on the connection of that number."""
    assert (await call(link, "still here")).text == "still here"
    assert server.opened == opened


def reply(number: int, text: str = "hello") -> pb.Envelope:
    return pb.Envelope(call=number, reply=pb.Reply(message=message(text)))


def chunk(number: int) -> pb.Envelope:
    return pb.Envelope(call=number, chunk=message_pb2.StreamChunk(content="x"))


def piece(number: int, *, total: int = 0, data: bytes = b"") -> pb.Envelope:
    return pb.Envelope(call=number, piece=pb.Piece(total_bytes=total, data=data))


# -- opening ----------------------------------------------------------------------------------------------


async def test_a_server_without_connect_is_called_by_rpcs_of_their_own() -> None:
    async with linked(None) as (server, link):
        assert (await call(link)).text == "hello"
        assert server.executed == 1


def opening(*envelopes: pb.Envelope) -> Script:
    """A server that says `envelopes` first, in one frame."""

    async def play(peer: Peer) -> None:
        await peer.write(*envelopes)
        await peer.wait()

    return play


def said(**changes: object) -> pb.Envelope:
    fields: dict[str, object] = {
        "version": 1,
        "instance": "raw",
        "max_concurrent_calls": 10,
        "max_frame_envelopes": 64,
        "max_frame_bytes": 65_536,
        "chunk_window": 4,
        **changes,
    }
    return pb.Envelope(hello=pb.Hello(**fields))  # type: ignore[arg-type]


async def test_a_server_that_takes_no_calls_here_is_called_by_rpcs_of_their_own() -> None:
    async with linked(opening(said(max_concurrent_calls=0))) as (server, link):
        assert (await call(link)).text == "hello"
        assert server.executed == 1


OPENINGS: dict[str, tuple[list[pb.Envelope], type[AixgoError]]] = {
    "a newer version": ([said(version=2)], IncompatiblePeer),
    "no version": ([said(version=0)], IncompatiblePeer),
    "room for one envelope": ([said(max_frame_envelopes=1)], Unavailable),
    "room for a byte": ([said(max_frame_bytes=1)], Unavailable),
    "no room for chunks": ([said(chunk_window=0)], Unavailable),
    "a ping": ([pb.Envelope(ping=pb.Ping())], Unavailable),
    "a reply": ([reply(1)], Unavailable),
    "nothing": ([], Unavailable),
    "a hello and more": ([said(), pb.Envelope(ping=pb.Ping())], Unavailable),
}


@pytest.mark.parametrize(("envelopes", "error"), OPENINGS.values(), ids=OPENINGS)
async def test_a_server_that_opens_wrongly_is_left_before_anything_ran(
    envelopes: list[pb.Envelope], error: type[AixgoError]
) -> None:
    async with linked(opening(*envelopes), behave) as (server, link):
        with pytest.raises(error) as caught:
            await call(link)
        assert not isinstance(caught.value, Unavailable) or caught.value.outcome == "not_started"
        await server.left()


async def test_a_server_that_never_says_hello_is_unavailable_within_the_time_to_connect() -> None:
    settings = WireSettings(connect_timeout=0.5)
    async with linked(opening_of_silence, behave, settings=settings) as (server, link):
        with pytest.raises(Unavailable) as caught:
            await call(link)
        assert caught.value.outcome == "not_started"
        await server.left()
        await goes_on(server, link, opened=2)


async def opening_of_silence(peer: Peer) -> None:
    await peer.wait()


# -- a broken rule ends the connection -----------------------------------------------------------------------


Broken = Callable[[Peer, int], Awaitable[None]]


def sends(*envelopes: pb.Envelope) -> Broken:
    """Sends `envelopes`, those of call 0 that are of a call as of the call that is in flight."""

    async def play(peer: Peer, number: int) -> None:
        for envelope in envelopes:
            if envelope.WhichOneof("frame") not in ("ping", "go_away", "hello"):
                envelope.call = envelope.call or number
        await peer.write(*envelopes)

    return play


def writes(body: bytes) -> Broken:
    async def play(peer: Peer, number: int) -> None:
        await peer.write_bytes(body)

    return play


async def floods_pings(peer: Peer, number: int) -> None:
    for _ in range(10):
        await peer.write(*[pb.Envelope(ping=pb.Ping(id=i)) for i in range(100)])


async def sends_a_transfer_of(peer: Peer, number: int, data: bytes) -> None:
    await peer.write(piece(number, total=len(data)))
    await peer.until("credit")
    await peer.write(piece(number, data=data))


def transfers(data: bytes) -> Broken:
    async def play(peer: Peer, number: int) -> None:
        await sends_a_transfer_of(peer, number, data)

    return play


BROKEN: dict[str, Broken] = {
    "answers a call nobody made": sends(reply(1_000)),
    "fails a call nobody made": sends(pb.Envelope(call=1_000, status=pb.CallStatus(code=13))),
    "grants credit to a call nobody made": sends(
        pb.Envelope(call=1_000, credit=pb.Credit(chunks=1))
    ),
    "announces a transfer of a call nobody made": sends(piece(1_000, total=10)),
    "says hello twice": sends(said()),
    "requests": sends(pb.Envelope(request=pb.Request(method=pb.METHOD_EXECUTE, target="x"))),
    "cancels": sends(pb.Envelope(cancel=pb.Cancel())),
    "pings a call": sends(pb.Envelope(call=1, ping=pb.Ping())),
    "sends a piece nobody announced": sends(piece(0, data=b"x")),
    "announces nothing": sends(piece(0)),
    "announces with data": sends(piece(0, total=10, data=b"x")),
    "announces twice": sends(piece(0, total=10), piece(0, total=10)),
    "announces more than a transfer holds": sends(piece(0, total=MAX_TRANSFER + 1)),
    "announces 16 EiB": sends(piece(0, total=2**64 - 1)),
    "sends an empty piece": sends(piece(0, total=10), piece(0)),
    "sends more than it announced": sends(piece(0, total=10), piece(0, data=b"x" * 11)),
    "answers in the middle of its transfer": sends(piece(0, total=10), reply(0)),
    "transfers noise": transfers(b"\xff" * 40),
    "transfers the envelope of another call": transfers(reply(1_000).SerializeToString()),
    "transfers a hello": transfers(said().SerializeToString()),
    "floods pings": floods_pings,
    "writes noise": writes(b"\xff" * 40),
    "writes half a frame": writes(
        pb.ConnectResponse(envelopes=[reply(1, "x" * 50)]).SerializeToString()[:-9]
    ),
    "writes an enormous frame": writes(
        pb.ConnectResponse(envelopes=[reply(1, "x" * 60 * MIB)]).SerializeToString()
    ),
    "writes a frame of too many envelopes": writes(
        pb.ConnectResponse(envelopes=[pb.Envelope()] * 100_000).SerializeToString()
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_rule_ends_the_connection_and_the_next_call_has_a_new_one(
    broken: Broken,
) -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        await broken(peer, (await peer.until("request")).call)
        await peer.wait()

    async with linked(play, behave) as (server, link):
        with pytest.raises(Unavailable) as caught:
            await call(link)
        assert caught.value.outcome == "unknown"
        await server.left()
        await goes_on(server, link, opened=2)


ODD: dict[str, list[pb.Envelope]] = {
    "a reply without a message": [pb.Envelope(reply=pb.Reply())],
    "a chunk": [chunk(0)],
    "an admission": [pb.Envelope(admitted=pb.Admitted())],
    "a delivery": [pb.Envelope(delivery=pb.Delivery(message=message("x")))],
    "a status that is no failure": [pb.Envelope(status=pb.CallStatus())],
    "a cancellation nobody asked for": [pb.Envelope(status=pb.CallStatus(code=1))],
}


@pytest.mark.parametrize("envelopes", ODD.values(), ids=ODD)
async def test_an_answer_that_is_none_leaves_an_unknown_outcome(
    envelopes: list[pb.Envelope],
) -> None:
    """Whether it ends the connection or only the call is the client's choice; that it ends is not."""

    async def play(peer: Peer) -> None:
        await peer.introduce()
        await sends(*envelopes)(peer, (await peer.until("request")).call)
        while (asked := await peer.read()) is not None:
            if asked.WhichOneof("frame") == "request":
                await peer.write(answer(asked))

    async with linked(play, behave) as (_, link):
        with pytest.raises(Unavailable) as caught:
            await call(link, timeout=5)
        assert caught.value.outcome == "unknown"
        assert (await call(link, "still here")).text == "still here"


# -- streams ------------------------------------------------------------------------------------------------


async def read_all(link: Link, context: CallContext) -> int:
    chunks = await link.stream("echo", Message("go"), context)
    try:
        return len([each async for each in chunks])
    finally:
        await chunks.aclose()


UNRULY: dict[str, list[pb.Envelope]] = {
    "chunks before its admission": [chunk(0)],
    "ends before its admission": [reply(0)],
    "ends without a message": [pb.Envelope(admitted=pb.Admitted()), pb.Envelope(reply=pb.Reply())],
    "delivers": [
        pb.Envelope(admitted=pb.Admitted()),
        pb.Envelope(delivery=pb.Delivery(message=message("x"))),
    ],
}


@pytest.mark.parametrize("envelopes", UNRULY.values(), ids=UNRULY)
async def test_a_stream_out_of_order_leaves_an_unknown_outcome(
    envelopes: list[pb.Envelope],
) -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        await sends(*envelopes)(peer, (await peer.until("request")).call)
        await peer.wait()

    async with linked(play, behave) as (_, link):
        with pytest.raises(Unavailable) as caught:
            await read_all(link, a_context(timeout=5))
        assert caught.value.outcome == "unknown"


async def test_more_chunks_than_were_granted_end_the_connection() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        number = (await peer.until("request")).call
        await peer.write(pb.Envelope(call=number, admitted=pb.Admitted()))
        for _ in range(peer.theirs.chunk_window + 1):
            await peer.write(chunk(number))
        await peer.wait()

    async with linked(play, behave) as (server, link):
        chunks = await link.stream("echo", Message("go"), a_context())
        await server.left()  # nobody read, so nothing more was granted
        with pytest.raises(Unavailable) as caught:
            async for _ in chunks:
                pass
        assert caught.value.outcome == "unknown"
        await goes_on(server, link, opened=2)


async def test_data_before_credit_ends_the_connection() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        numbers = [(await peer.until("request")).call for _ in range(3)]
        # Two of the largest are as much as a client grants at a time.
        await peer.write(*[piece(number, total=MAX_TRANSFER) for number in numbers])
        await peer.write(piece(numbers[2], data=b"x"))
        await peer.wait()

    async with linked(play, behave) as (server, link):
        ended = await asyncio.gather(*[call(link) for _ in range(3)], return_exceptions=True)
        assert [getattr(each, "outcome", each) for each in ended] == ["unknown"] * 3
        await server.left()
        await goes_on(server, link, opened=2)


# -- what crosses an end is dropped -----------------------------------------------------------------------------


LATE: dict[str, list[pb.Envelope]] = {
    "a second reply": [reply(0, "again")],
    "a status": [pb.Envelope(status=pb.CallStatus(code=13))],
    "a chunk": [chunk(0)],
    "an admission": [pb.Envelope(admitted=pb.Admitted())],
    "a credit": [pb.Envelope(credit=pb.Credit(chunks=1, piece_bytes=1))],
    "an announcement": [piece(0, total=1000)],
    "a transfer": [piece(0, total=10), piece(0, data=b"x" * 10)],
    "a piece of no transfer": [piece(0, data=b"x" * 10)],
    "an envelope of the future": [pb.Envelope.FromString(b"\xfa\x3f\x02\x08\x01")],
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
async def test_what_comes_for_a_call_that_ended_is_dropped(late: list[pb.Envelope]) -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        asked = await peer.until("request")
        await peer.write(answer(asked))
        await sends(*late)(peer, asked.call)
        while (asked_next := await peer.read()) is not None:
            if asked_next.WhichOneof("frame") == "request":
                await peer.write(answer(asked_next))

    async with linked(play) as (server, link):
        assert (await call(link, "first")).text == "first"
        assert (await call(link, "second")).text == "second"
        await goes_on(server, link, opened=1)


async def test_a_server_that_never_answers_costs_its_callers_deadline_and_no_connection() -> None:
    cancelled = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.introduce()
        while (asked := await peer.read()) is not None:
            if asked.WhichOneof("frame") == "cancel":
                cancelled.set()
            elif asked.request.message.text != "never":
                await peer.write(answer(asked))

    async with linked(play) as (server, link):
        unanswered = asyncio.ensure_future(call(link, "never", timeout=0.5))
        assert (await call(link, "two")).text == "two"
        with pytest.raises(DeadlineExceeded):
            await unanswered
        await goes_on(server, link, opened=1)
        await cancelled.wait()


async def test_a_ping_is_answered_with_its_id() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        asked = await peer.until("request")
        await peer.write(pb.Envelope(ping=pb.Ping(id=41)))
        while (envelope := await peer.read()) is not None:
            if envelope.ping.answer:
                assert envelope.ping.id == 41
                await peer.write(answer(asked))

    async with linked(play) as (_, link):
        assert (await call(link)).text == "hello"


# -- the end ------------------------------------------------------------------------------------------------


async def test_after_go_away_calls_in_flight_finish_and_new_ones_go_elsewhere() -> None:
    told, go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.introduce()
        asked = await peer.until("request")
        await peer.write(pb.Envelope(go_away=pb.GoAway(reason="draining")))
        told.set()
        await go_on.wait()
        await peer.write(answer(asked))
        await peer.wait()
        closed.set()

    async with linked(play, behave) as (server, link):
        first = asyncio.ensure_future(call(link, "first"))
        await told.wait()
        while not link.draining:  # a call that crosses the goodbye would be this server's to end
            await asyncio.sleep(0)
        while server.opened < 2:
            ended = await asyncio.gather(call(link, "second", timeout=2), return_exceptions=True)
            assert all(getattr(each, "outcome", "not_started") == "not_started" for each in ended)
        go_on.set()
        assert (await first).text == "first"
        async with asyncio.timeout(5):
            await closed.wait()


async def test_a_server_that_ends_the_connection_leaves_an_unknown_outcome() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        await peer.until("request")

    async with linked(play, behave) as (server, link):
        with pytest.raises(Unavailable) as caught:
            await call(link)
        assert caught.value.outcome == "unknown"
        await goes_on(server, link, opened=2)


async def test_a_server_that_is_gone_in_the_middle_of_a_large_reply_is_noticed_at_once() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        number = (await peer.until("request")).call
        await peer.write(piece(number, total=60 * MIB))
        granted = (await peer.until("credit")).credit.piece_bytes
        for _ in range(granted // 60_000):
            await peer.write(piece(number, data=b"x" * 60_000))

    async with linked(play, behave) as (server, link):
        with pytest.raises(Unavailable) as caught:
            await call(link)
        assert caught.value.outcome == "unknown"
        await goes_on(server, link, opened=2)


async def test_a_request_whose_transfer_was_cut_off_did_not_run() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        number = (await peer.until("piece")).call
        await peer.write(pb.Envelope(call=number, credit=pb.Credit(piece_bytes=1_000_000)))
        await peer.until("piece")

    async with linked(play, behave) as (_, link):
        with pytest.raises(Unavailable) as caught:
            await call(link, "x" * 60 * MIB)
        assert caught.value.outcome == "not_started"


async def test_a_server_that_reads_nothing_costs_its_callers_deadline_and_no_memory() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce(max_concurrent_calls=10_000)
        await asyncio.Event().wait()

    async with linked(play) as (_, link):
        calls = [asyncio.ensure_future(call(link, "x" * 20_000, timeout=1.0)) for _ in range(2_000)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} == {DeadlineExceeded}


async def test_a_server_that_grants_bytes_one_by_one_still_gets_a_request() -> None:
    async def play(peer: Peer) -> None:
        await peer.introduce()
        first = await peer.until("piece")
        single = pb.Envelope(call=first.call, credit=pb.Credit(piece_bytes=1))
        for _ in range(0, first.piece.total_bytes, 200):
            await peer.write(*[single] * 200)
        data = b""
        while len(data) < first.piece.total_bytes:
            data += (await peer.until("piece")).piece.data
        assert pb.Envelope.FromString(data).request.target == "echo"
        await peer.write(reply(first.call))
        await peer.wait()

    async with linked(play) as (_, link):
        assert (await call(link, "x" * 300_000, timeout=10)).text == "hello"
