"""One side of a connection over a pipe of the test's own: what it reads, writes, answers and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from aixgo.errors import InvalidMessage, LimitExceeded, MessageTooLarge, Unavailable
from aixgo.rpc import outbox
from aixgo.rpc.conduit import PINGS_AT_ONCE, Conduit
from aixgo.rpc.frames import OURS, Limits, cancel, credit, frame_of, hello, pong
from aixgo.rpc.options import MAX_WIRE_BYTES
from aixgo.rpc.traffic import Traffic
from aixgo.rpc.transfers import PIECE_BYTES, STALL, WINDOW
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.manual_clock import ManualClock
from tests.unit.rpc.fake_pipe import FakePipe, run

HELLO = hello("peer", Limits(calls=10))


class Side:
    """A conduit with its pipe, a clock the test moves, and what it took."""

    def __init__(self) -> None:
        self.pipe = FakePipe()
        self.clock = ManualClock()
        self.traffic = Traffic()
        self.taken: list[pb.Envelope] = []
        self.stalled: list[int] = []
        self.conduit = Conduit(
            self.pipe,
            self.taken.append,
            self.stalled.append,
            clock=self.clock,
            traffic=self.traffic,
            view=None,
            half_close=self.pipe.done_writing,
        )

    def start(self) -> None:
        self.conduit.start("writer", hello("", Limits()))

    async def read(self, *frames: bytes, pause: bool = False) -> None:
        """Read the peer's hello, `frames`, and the end."""
        for frame in (HELLO, *frames):
            self.pipe.coming.put_nowait(frame)
        self.pipe.coming.put_nowait(grpc.aio.EOF)
        await self.conduit.read(pause=pause)


async def send(conduit: Conduit, call: int, body: bytes) -> None:
    """Send an envelope as both owners of a conduit do: when there is room, in pieces if it is large."""
    await conduit.outbox.room.wait()
    if conduit.fits(body):
        conduit.outbox.put(body)
    else:
        await conduit.send_in_pieces(call, body)


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    side = Side()
    async with asyncio.timeout(20):
        yield side
        side.pipe.free()
        await side.conduit.close()


def large(call: int, size: int) -> bytes:
    """An encoded request of about `size` bytes."""
    frame, envelope = frame_of(call)
    envelope.request.message.text = "x" * size
    return frame.SerializeToString()


# -- reading ----------------------------------------------------------------------------------------------


async def test_envelopes_are_taken_in_the_order_in_which_they_stand(side: Side) -> None:
    await side.read(cancel(1) + cancel(2), b"", cancel(3))
    assert [envelope.call for envelope in side.taken] == [0, 1, 2, 3]
    metrics = side.traffic.metrics()
    assert (metrics["frames_received"], metrics["envelopes_received"]) == (4, 4)


@pytest.mark.parametrize("first", [b"", HELLO + cancel(1), HELLO + HELLO])
async def test_the_first_frame_is_a_hello_and_nothing_else(side: Side, first: bytes) -> None:
    side.pipe.coming.put_nowait(first)
    with pytest.raises(InvalidMessage):
        await side.conduit.read(pause=False)
    assert side.taken == []


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (large(1, OURS.frame_bytes), LimitExceeded),
        (cancel(1) * (OURS.envelopes + 1), LimitExceeded),
        (b"\xff\xff\xff", InvalidMessage),
    ],
    ids=["bytes", "envelopes", "garbage"],
)
async def test_a_frame_beyond_what_it_takes_ends_the_reading(
    side: Side, frame: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await side.read(frame)
    assert len(side.taken) == 1


@pytest.mark.parametrize("pause", [True, False])
async def test_it_pauses_while_the_peer_does_not_take_what_it_is_answered(
    side: Side, monkeypatch: pytest.MonkeyPatch, pause: bool
) -> None:
    monkeypatch.setattr(outbox, "MAX_ENVELOPES", 10)
    side.pipe.stuck = True
    side.start()
    for number in range(21):
        side.conduit.outbox.put(cancel(number + 1))
    reading = asyncio.create_task(side.read(cancel(1), pause=pause))
    await run()
    assert reading.done() is not pause
    side.pipe.free()
    await reading
    assert len(side.taken) == 2


# -- pings ------------------------------------------------------------------------------------------------


async def test_a_ping_is_answered_before_everything_that_waits(side: Side) -> None:
    side.conduit.outbox.put(cancel(1))
    side.conduit.answer(pb.Ping(id=9))
    side.start()
    await run()
    first, second = side.pipe.envelopes()
    assert (first.ping.id, first.ping.answer, second.call) == (9, True, 1)


async def test_an_answer_is_not_answered_and_costs_nothing(side: Side) -> None:
    for _ in range(2 * PINGS_AT_ONCE):
        side.conduit.answer(pb.Ping(id=9, answer=True))
    assert len(side.conduit.outbox) == 0
    side.conduit.answer(pb.Ping(id=9))
    assert side.conduit.outbox.take(1, 1000) == (pong(9), 1)


async def test_a_hundred_pings_at_once_are_fine_and_ten_more_each_second(side: Side) -> None:
    for seconds, allowed in ((0, PINGS_AT_ONCE), (1, 10), (3600, PINGS_AT_ONCE)):
        side.clock.advance(seconds)
        for _ in range(allowed):
            side.conduit.answer(pb.Ping())
        with pytest.raises(LimitExceeded, match="pings"):
            side.conduit.answer(pb.Ping())


# -- writing ----------------------------------------------------------------------------------------------


async def test_the_hello_is_written_alone_and_what_waits_in_one_frame(side: Side) -> None:
    for number in range(1, 4):
        side.conduit.outbox.put(cancel(number))
    side.start()
    await run()
    assert side.pipe.written == [hello("", Limits()), cancel(1) + cancel(2) + cancel(3)]
    metrics = side.traffic.metrics()
    assert (metrics["frames_sent"], metrics["envelopes_sent"]) == (2, 4)
    assert metrics["connections"] == metrics["connections_opened"] == 1


async def test_frames_keep_to_what_the_peer_takes_and_to_what_is_sensible_here(side: Side) -> None:
    side.conduit.agree(Limits(calls=5, envelopes=16, frame_bytes=64 * 1024, chunks=7))
    assert side.conduit.theirs == Limits(5, 16, 64 * 1024, 7)
    for number in range(1, 21):
        side.conduit.outbox.put(cancel(number))
    side.start()
    await run()
    assert side.pipe.written[1:] == [
        b"".join(cancel(number) for number in range(1, 17)),
        b"".join(cancel(number) for number in range(17, 21)),
    ]
    side.conduit.agree(Limits(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    assert side.conduit.theirs.envelopes == OURS.envelopes
    assert side.conduit.theirs.frame_bytes == OURS.frame_bytes


async def test_what_was_withdrawn_makes_no_empty_frame(side: Side) -> None:
    side.conduit.outbox.withdraw(side.conduit.outbox.put(cancel(1)))
    side.start()
    await run()
    assert len(side.pipe.written) == 1


async def test_it_knows_how_long_the_peer_has_not_made_room(side: Side) -> None:
    assert side.conduit.writing_for < 0
    side.pipe.stuck = True
    side.start()
    await run()
    assert side.conduit.writing_for > 0
    side.pipe.free()
    await run()
    assert side.conduit.writing_for < 0


async def test_finishing_writes_what_is_queued_and_closes_this_side(side: Side) -> None:
    side.start()
    side.conduit.outbox.put(cancel(1))
    side.conduit.finish()
    await run()
    assert side.pipe.written[1:] == [cancel(1)]
    assert side.pipe.half_closed


async def test_flushing_ends_when_the_peer_does_not_read(side: Side) -> None:
    side.pipe.stuck = True
    side.start()
    side.conduit.outbox.put(cancel(1))
    await side.conduit.flush(0.01)
    assert len(side.pipe.written) == 1


@pytest.mark.parametrize(
    "failure", [asyncio.InvalidStateError("over"), grpc.aio.UsageError("over"), grpc.RpcError()]
)
async def test_when_the_rpc_is_over_nobody_waits_for_room_any_more(
    side: Side, failure: Exception
) -> None:
    side.pipe.failure = failure
    side.start()
    await run()
    with pytest.raises(Unavailable, match="lost"):
        await send(side.conduit, 1, cancel(1))


# -- large envelopes --------------------------------------------------------------------------------------


async def test_what_fits_into_a_frame_is_sent_as_it_is(side: Side) -> None:
    side.start()
    await send(side.conduit, 1, large(1, 1000))
    await run()
    assert [envelope.WhichOneof("frame") for envelope in side.pipe.envelopes()] == ["request"]


async def test_what_does_not_fit_is_announced_and_sent_as_the_peer_grants_it(side: Side) -> None:
    side.start()
    body = large(1, 300_000)
    inner = pb.ConnectRequest.FromString(body).envelopes[0].SerializeToString()
    sending = asyncio.create_task(send(side.conduit, 1, body))
    await run()
    (announced,) = side.pipe.envelopes()
    assert (announced.piece.total_bytes, announced.piece.data) == (len(inner), b"")
    side.conduit.grant_pieces(1, PIECE_BYTES)
    await run()
    assert len(side.pipe.envelopes()) == 2
    assert side.traffic.stalls_credit > 0
    assert not sending.done()
    side.conduit.grant_pieces(1, len(inner))
    await sending
    assert b"".join(envelope.piece.data for envelope in side.pipe.envelopes()) == inner
    side.conduit.grant_pieces(1, 5)  # comes too late, and is dropped


async def test_a_small_envelope_is_not_late_behind_a_large_one(side: Side) -> None:
    side.pipe.stuck = True
    side.start()
    sending = asyncio.create_task(send(side.conduit, 1, large(1, 2_000_000)))
    await run()
    side.conduit.grant_pieces(1, 3_000_000)
    side.conduit.outbox.put(cancel(2))
    side.pipe.free()
    await sending
    position = [envelope.call for envelope in side.pipe.envelopes()].index(2)
    assert position <= 3


async def test_more_than_anything_carries_is_refused_before_it_is_queued(side: Side) -> None:
    with pytest.raises(MessageTooLarge):
        await send(side.conduit, 1, large(1, MAX_WIRE_BYTES))
    assert len(side.conduit.outbox) == 0


@pytest.mark.parametrize("how", ["break_off", "stop"])
async def test_a_transfer_whose_call_is_over_stops(side: Side, how: str) -> None:
    side.start()
    sending = asyncio.create_task(send(side.conduit, 1, large(1, 300_000)))
    await run()
    side.conduit.incoming.begin(1, 10 * WINDOW)
    getattr(side.conduit, how)(1)
    await sending
    assert (1 in side.conduit.incoming) is (how == "stop")
    getattr(side.conduit, how)(2)  # one that has no transfers


async def test_pieces_that_come_are_granted_to_by_control(side: Side) -> None:
    side.conduit.incoming.begin(1, 100)
    assert side.conduit.outbox.take(9, 1000) == (credit(1, piece_bytes=100), 1)


async def test_a_transfer_that_brings_nothing_is_told_of(side: Side) -> None:
    side.conduit.incoming.begin(1, 100)
    side.clock.advance(2 * STALL)
    assert side.stalled == [1]


async def test_a_transfer_between_two_sides_arrives_whole(side: Side) -> None:
    body = large(1, 1_000_000)
    other = Side()
    other.start()
    side.start()
    sending = asyncio.create_task(send(side.conduit, 1, body))
    wholes: list[bytes] = []
    seen = granted = 0
    while not sending.done() or seen < len(side.pipe.envelopes()):
        for envelope in side.pipe.envelopes()[seen:]:
            seen += 1
            if envelope.piece.total_bytes:
                other.conduit.incoming.begin(1, envelope.piece.total_bytes)
            elif parts := other.conduit.incoming.add(1, envelope.piece.data):
                wholes.append(b"".join(parts))
        await run()
        for envelope in other.pipe.envelopes()[granted:]:
            granted += 1
            side.conduit.grant_pieces(1, envelope.credit.piece_bytes)
        await run()
    await other.conduit.close()
    assert wholes == [pb.ConnectRequest.FromString(body).envelopes[0].SerializeToString()]


# -- closing ----------------------------------------------------------------------------------------------


async def test_closing_turns_away_who_waits_and_stops_every_transfer(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_ENVELOPES", 2)
    side.pipe.stuck = True
    side.start()
    transfer = asyncio.create_task(send(side.conduit, 1, large(1, 300_000)))
    await run()
    side.conduit.outbox.put(cancel(2))
    waiting = asyncio.create_task(send(side.conduit, 3, cancel(3)))
    await run()
    await side.conduit.close()
    await transfer
    with pytest.raises(Unavailable, match="lost"):
        await waiting
    assert side.traffic.metrics()["connections"] == 0
    assert side.clock.timers == 0
    await side.conduit.close()


@pytest.mark.parametrize("size", [10, 300_000])
async def test_nothing_is_sent_on_a_closed_conduit(side: Side, size: int) -> None:
    side.start()
    await side.conduit.close()
    with pytest.raises(Unavailable, match="lost"):
        await send(side.conduit, 1, large(1, size))


async def test_closing_may_wait_for_the_frame_that_is_being_written(side: Side) -> None:
    side.pipe.stuck = True
    side.start()
    await run()
    closing = asyncio.create_task(side.conduit.close(10))
    await run()
    assert not closing.done()
    side.conduit.finish()
    side.pipe.free()
    await closing
