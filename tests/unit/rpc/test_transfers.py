"""Transfers: who may send how much, in which order, and what becomes of those that stop."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.errors import InvalidMessage, LimitExceeded, MessageTooLarge
from aixgo.rpc.options import MAX_WIRE_BYTES
from aixgo.rpc.transfers import (
    CRUMB,
    PIECE_BYTES,
    STALL,
    WINDOW,
    Incoming,
    Outgoing,
    Pool,
    announcement,
    piece,
)
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.manual_clock import ManualClock


class Receiver:
    """Incoming transfers, with what they granted and which of them stalled."""

    def __init__(self, pool: Pool | None = None) -> None:
        self.clock = ManualClock()
        self.granted: dict[int, int] = {}
        self.order: list[int] = []
        self.stalled: list[int] = []
        self.incoming = Incoming(self.grant, self.stalled.append, self.clock, pool)

    def grant(self, call: int, size: int) -> None:
        assert size > 0
        if call not in self.granted:
            self.order.append(call)
        self.granted[call] = self.granted.get(call, 0) + size


# -- what is granted --------------------------------------------------------------------------------------


def test_a_transfer_is_granted_all_of_it_or_a_window() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 100)
    receiver.incoming.begin(2, 10 * WINDOW)
    assert receiver.granted == {1: 100, 2: WINDOW}


def test_it_is_granted_more_as_it_comes_and_never_more_than_it_announced() -> None:
    receiver = Receiver()
    total = 3 * WINDOW + 7
    receiver.incoming.begin(1, total)
    came = 0
    while came < total:
        assert came < receiver.granted[1] <= min(total, came + WINDOW)
        size = min(PIECE_BYTES, receiver.granted[1] - came)
        whole = receiver.incoming.add(1, b"x" * size)
        came += size
    assert whole is not None
    assert b"".join(whole) == b"x" * total
    assert receiver.granted[1] == total
    assert 1 not in receiver.incoming


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_whatever_the_pieces_the_whole_is_what_was_sent(sizes: list[int]) -> None:
    receiver = Receiver()
    sent = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    receiver.incoming.begin(1, sum(sizes))
    wholes = [receiver.incoming.add(1, part) for part in sent]
    assert wholes[:-1] == [None] * (len(sent) - 1)
    assert b"".join(wholes[-1] or ()) == b"".join(sent)


def test_small_pieces_cost_no_more_than_the_bytes_they_bring() -> None:
    receiver = Receiver()
    total = 20 * CRUMB
    receiver.incoming.begin(1, total)
    for _ in range(total // 2 - 1):
        assert receiver.incoming.add(1, b"xx") is None
    parts = receiver.incoming.add(1, b"xx")
    assert parts == [b"x" * CRUMB] * 20


def test_transfers_beyond_the_budget_wait_and_go_in_their_order() -> None:
    receiver = Receiver()
    for call in (1, 2, 3):
        receiver.incoming.begin(call, MAX_WIRE_BYTES)
    receiver.incoming.begin(4, 10)
    assert receiver.order == [1, 2]
    receiver.incoming.drop(2)
    assert receiver.order == [1, 2, 3]
    receiver.incoming.drop(1)
    assert receiver.order == [1, 2, 3, 4]


def test_one_that_leaves_the_queue_lets_those_behind_it_go() -> None:
    receiver = Receiver()
    for call, size in ((1, MAX_WIRE_BYTES), (2, 100), (3, MAX_WIRE_BYTES), (4, 10)):
        receiver.incoming.begin(call, size)
    assert receiver.order == [1, 2]
    receiver.incoming.drop(3)
    assert receiver.order == [1, 2, 4]


def test_one_that_is_held_waits_for_its_reader_and_holds_up_nobody() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10, held=True)
    receiver.incoming.begin(2, 10)
    assert receiver.order == [2]
    assert 1 in receiver.incoming
    receiver.incoming.resume(1)
    receiver.incoming.resume(1)
    assert receiver.granted == {1: 10, 2: 10}


def test_one_whose_reader_left_may_bring_what_was_granted_and_no_more() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10 * WINDOW)
    receiver.incoming.stop(1)
    for _ in range(WINDOW // PIECE_BYTES):
        assert receiver.incoming.add(1, b"x" * PIECE_BYTES) is None
    assert receiver.granted == {1: WINDOW}
    with pytest.raises(LimitExceeded):
        receiver.incoming.add(1, b"x")


@pytest.mark.parametrize("held", [True, False])
def test_one_whose_reader_left_before_it_was_granted_anything_is_forgotten(held: bool) -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, MAX_WIRE_BYTES)
    receiver.incoming.begin(2, MAX_WIRE_BYTES)
    receiver.incoming.begin(3, MAX_WIRE_BYTES, held=held)
    receiver.incoming.stop(3)
    assert 3 not in receiver.incoming


# -- one budget for several connections -------------------------------------------------------------------


def test_connections_share_a_pool_and_hear_when_something_is_given_back() -> None:
    pool = Pool(100)
    one, two = Receiver(pool), Receiver(pool)
    one.incoming.begin(1, 80)
    two.incoming.begin(1, 50)
    assert (one.order, two.order, pool.reserved) == ([1], [], 80)
    one.incoming.drop(1)
    assert (two.order, pool.reserved) == ([1], 50)


def test_a_connection_that_closes_gives_back_what_it_had_and_asks_for_nothing() -> None:
    pool = Pool(100)
    one, two, three = Receiver(pool), Receiver(pool), Receiver(pool)
    one.incoming.begin(1, 80)
    two.incoming.begin(1, 50)
    three.incoming.begin(1, 50)
    two.incoming.begin(2, 50, held=True)
    two.incoming.close()
    one.incoming.close()
    assert (two.order, three.order, pool.reserved) == ([], [1], 50)
    assert one.clock.timers == two.clock.timers == 0
    assert 1 not in two.incoming
    assert 2 not in two.incoming


sizes = st.sampled_from([5, 10, 50, 90])
steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "held", "resume", "drop", "stop"]),
        st.integers(0, 1),
        sizes,
    ),
    max_size=60,
)


@given(steps=steps)
def test_whatever_happens_the_pool_is_kept_to_and_nobody_waits_for_nothing(
    steps: list[tuple[str, int, int]],
) -> None:
    pool = Pool(100)
    receivers = [Receiver(pool) for _ in range(2)]
    begun: list[list[int]] = [[], []]
    for number, (kind, who, size) in enumerate(steps):
        incoming = receivers[who].incoming
        if kind in ("begin", "held"):
            incoming.begin(number, size, held=kind == "held")
            begun[who].append(number)
        elif begun[who]:
            getattr(incoming, kind)(begun[who][-(1 + size // 10) % len(begun[who])])
        going = [incoming._active for incoming in (each.incoming for each in receivers)]
        announced = sum(transfer.total for active in going for transfer in active.values())
        assert announced == pool.reserved <= 100
        waiting = {each.incoming for each in receivers if each.incoming._waiting}
        assert waiting == set(pool._waiting)
        for incoming in list(pool._waiting)[:1]:
            first = next(iter(incoming._waiting.values()))
            assert pool.reserved + first.total > 100
    for receiver in receivers:
        receiver.incoming.close()
    assert pool.reserved == 0
    assert not pool._waiting


# -- what is refused --------------------------------------------------------------------------------------


def test_more_than_anything_carries_is_refused_when_it_is_announced() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, MAX_WIRE_BYTES)
    with pytest.raises(MessageTooLarge):
        receiver.incoming.begin(2, MAX_WIRE_BYTES + 1)


@pytest.mark.parametrize("held", [True, False])
def test_a_second_transfer_of_a_call_is_refused_while_one_goes_on(held: bool) -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10, held=held)
    with pytest.raises(InvalidMessage):
        receiver.incoming.begin(1, 10)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_a_piece_of_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        Receiver().incoming.add(1, data)


def test_an_empty_piece_is_refused() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10)
    with pytest.raises(InvalidMessage):
        receiver.incoming.add(1, b"")


@pytest.mark.parametrize("held", [True, False])
def test_more_than_was_granted_is_refused(held: bool) -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10, held=held)
    with pytest.raises(LimitExceeded):
        receiver.incoming.add(1, b"x" * 11)


# -- those that stop --------------------------------------------------------------------------------------


def test_one_that_brings_nothing_has_failed_after_ten_seconds_or_twice_that() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10)
    receiver.clock.advance(STALL)
    assert receiver.stalled == []
    receiver.clock.advance(STALL)
    assert receiver.stalled == [1]
    assert 1 not in receiver.incoming
    assert receiver.clock.timers == 0


def test_one_that_goes_on_however_slowly_has_not_failed() -> None:
    receiver = Receiver()
    receiver.incoming.begin(1, 10)
    for _ in range(9):
        receiver.clock.advance(STALL)
        receiver.incoming.add(1, b"x")
    assert receiver.stalled == []
    assert receiver.incoming.add(1, b"x") == [b"x" * 10]


def test_one_that_waits_for_its_turn_does_not_fail_of_it() -> None:
    receiver = Receiver()
    for call in (1, 2, 3):
        receiver.incoming.begin(call, MAX_WIRE_BYTES)
    receiver.clock.advance(2 * STALL)
    assert receiver.stalled == [1, 2]
    assert receiver.order == [1, 2, 3]
    receiver.clock.advance(STALL)
    assert receiver.stalled == [1, 2]
    receiver.clock.advance(STALL)
    assert receiver.stalled == [1, 2, 3]


# -- the sender's side ------------------------------------------------------------------------------------


async def test_a_sender_waits_until_more_is_allowed_or_nothing_is_wanted() -> None:
    outgoing = Outgoing()
    for step in (lambda: outgoing.grant(5), outgoing.stop):
        waiting = asyncio.create_task(outgoing.changed())
        await asyncio.sleep(0)
        assert not waiting.done()
        step()
        step()
        await waiting
    assert outgoing.allowed == 10
    assert outgoing.stopped


def test_a_piece_fits_into_the_smallest_frame_there_is() -> None:
    assert len(piece(2**63, b"x" * PIECE_BYTES)) <= 64 * 1024


def test_an_announcement_has_no_data() -> None:
    (envelope,) = pb.ConnectRequest.FromString(announcement(7, 99)).envelopes
    assert (envelope.call, envelope.piece.total_bytes, envelope.piece.data) == (7, 99, b"")
