"""The outbox: what is put leaves once, in its order, in frames within the bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.errors import Unavailable
from aixgo.rpc import outbox as module
from aixgo.rpc.frames import frame_of
from aixgo.rpc.outbox import MAX_BYTES, Outbox, Parcel
from aixgo.v1 import agent_service_pb2 as pb

LOST = Unavailable("", "the connection was lost", "unknown")


def new_outbox(place: Callable[[], bool] = lambda: True) -> Outbox:
    return Outbox(place, lambda: None)


def body(call: int, number: int, size: int = 0) -> bytes:
    """A frame with one envelope that says whose it is and the how manieth."""
    frame, envelope = frame_of(call)
    envelope.piece.total_bytes = number + 1
    envelope.piece.data = b"x" * size
    return frame.SerializeToString()


def read(frame: bytes) -> list[tuple[int, int]]:
    """Calls and numbers of the envelopes in `frame`."""
    envelopes = pb.ConnectRequest.FromString(frame).envelopes
    return [(envelope.call, envelope.piece.total_bytes - 1) for envelope in envelopes]


def take(outbox: Outbox, envelopes: int = 256, size: int = 256 * 1024) -> list[tuple[int, int]]:
    frame, count = outbox.take(envelopes, size)
    taken = read(frame)
    assert len(taken) == count <= envelopes
    assert len(frame) <= size
    return taken


# -- what leaves when -------------------------------------------------------------------------------------


def test_everything_that_waits_leaves_in_one_frame_in_its_order() -> None:
    outbox = new_outbox()
    for number in range(5):
        outbox.put(body(1, number))
    assert take(outbox) == [(1, number) for number in range(5)]
    assert (len(outbox), outbox.bytes) == (0, 0)


def test_control_goes_before_calls() -> None:
    outbox = new_outbox()
    outbox.put(body(1, 0))
    outbox.put_control(body(2, 0))
    assert take(outbox) == [(2, 0), (1, 0)]


async def test_pieces_take_what_is_left_and_no_more_than_two_a_frame() -> None:
    outbox = new_outbox()
    pieces = [asyncio.create_task(outbox.pass_piece(body(9, number))) for number in range(3)]
    await asyncio.sleep(0)
    outbox.put(body(1, 0))
    assert take(outbox) == [(1, 0), (9, 0), (9, 1)]
    await asyncio.gather(*pieces[:2])
    assert not pieces[2].done()
    assert take(outbox) == [(9, 2)]
    await pieces[2]


def test_what_does_not_fit_waits_for_the_next_frame() -> None:
    outbox = new_outbox()
    for number in range(3):
        outbox.put(body(1, number, size=60_000))
    assert take(outbox, size=130_000) == [(1, 0), (1, 1)]
    assert take(outbox, size=130_000) == [(1, 2)]


# -- taking back ------------------------------------------------------------------------------------------


def test_a_parcel_that_was_withdrawn_does_not_leave() -> None:
    outbox = new_outbox()
    kept, withdrawn = outbox.put(body(1, 0)), outbox.put(body(2, 0))
    assert outbox.withdraw(withdrawn)
    assert take(outbox) == [(1, 0)]
    assert kept.taken
    assert outbox.bytes == 0


def test_a_parcel_that_left_cannot_be_withdrawn() -> None:
    outbox = new_outbox()
    parcel = outbox.put(body(1, 0))
    take(outbox)
    assert not outbox.withdraw(parcel)


async def test_a_piece_whose_sender_left_does_not_leave() -> None:
    outbox = new_outbox()
    leaving, staying = (asyncio.create_task(outbox.pass_piece(body(call, 0))) for call in (1, 2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert take(outbox) == [(2, 0)]
    await staying


async def test_a_sender_may_leave_as_its_piece_does() -> None:
    outbox = new_outbox()
    sender = asyncio.create_task(outbox.pass_piece(body(1, 0)))
    await asyncio.sleep(0)
    assert take(outbox) == [(1, 0)]
    sender.cancel()
    await asyncio.wait([sender])
    assert sender.cancelled()
    assert len(outbox) == 0


# -- bounds -----------------------------------------------------------------------------------------------


async def test_a_full_outbox_has_room_again_when_something_was_taken() -> None:
    outbox = new_outbox()
    outbox.put(b"x" * MAX_BYTES)
    assert not outbox.room.passable
    waiter = asyncio.create_task(outbox.room.wait())
    await asyncio.sleep(0)
    outbox.take(256, 2 * MAX_BYTES)
    async with asyncio.timeout(5):
        await waiter


def test_too_many_envelopes_fill_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENVELOPES", 3)
    outbox = new_outbox()
    for number in range(3):
        assert outbox.has_room
        outbox.put(body(1, number))
    assert not outbox.has_room


def test_it_is_overfull_at_twice_its_bound_whatever_is_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENVELOPES", 3)
    outbox = new_outbox()
    for number in range(7):
        assert not outbox.overfull
        outbox.put_control(body(1, number))
    assert outbox.overfull


def test_there_is_no_room_without_a_place() -> None:
    free = False
    outbox = new_outbox(lambda: free)
    assert outbox.has_room
    assert not outbox.room.passable


# -- its writer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["put", "put_control", "pass_piece"])
async def test_the_writer_wakes_for_whatever_is_put(how: str) -> None:
    outbox = new_outbox()
    writer = asyncio.create_task(outbox.filled())
    await asyncio.sleep(0)
    assert not writer.done()
    put = getattr(outbox, how)(body(1, 0))
    sender = asyncio.ensure_future(put) if how == "pass_piece" else None
    async with asyncio.timeout(5):
        assert await writer
    assert take(outbox) == [(1, 0)]
    if sender is not None:
        await sender


async def test_a_finished_outbox_is_written_to_its_end() -> None:
    outbox = new_outbox()
    outbox.put(body(1, 0))
    outbox.finish()
    assert await outbox.filled()
    take(outbox)
    assert not await outbox.filled()


async def test_closing_turns_away_who_waits_for_room_or_for_a_piece_to_leave() -> None:
    outbox = new_outbox(lambda: False)
    piece = asyncio.create_task(outbox.pass_piece(body(1, 0)))
    room = asyncio.create_task(outbox.room.wait())
    await asyncio.sleep(0)
    outbox.close(LOST)
    async with asyncio.timeout(5):
        await piece  # its transfer is stopped, too
        for later in (room, outbox.room.wait(), outbox.pass_piece(body(1, 1))):
            with pytest.raises(Unavailable):
                await later
    assert len(outbox) == 0


async def test_a_closed_outbox_lets_nobody_pass_however_much_room_there_is() -> None:
    outbox = new_outbox()
    assert outbox.room.passable
    outbox.close(LOST)
    assert not outbox.room.passable


# -- always -----------------------------------------------------------------------------------------------

calls = st.integers(1, 4)
steps = st.lists(
    st.tuples(st.just("put"), calls, st.integers(0, 3_000))
    | st.tuples(st.just("control"), calls, st.just(0))
    | st.tuples(st.just("piece"), calls, st.integers(0, 3_000))
    | st.tuples(st.just("withdraw"), st.integers(0, 20), st.just(0))
    | st.tuples(st.just("leave"), st.integers(0, 20), st.just(0))
    | st.tuples(st.just("take"), st.integers(1, 6), st.integers(4_000, 10_000)),
    max_size=50,
)
"""Something is put, a parcel is withdrawn, the sender of a piece leaves, a frame is taken."""


class Run:
    """Steps on an outbox, beside a record of what was put and what left."""

    def __init__(self) -> None:
        self.outbox = new_outbox()
        self.put: dict[str, list[tuple[int, int]]] = {"put": [], "control": [], "piece": []}
        self.parcels: list[tuple[tuple[int, int], Parcel]] = []
        self.senders: list[tuple[tuple[int, int], asyncio.Task[None]]] = []
        self.given_up: set[tuple[int, int]] = set()
        self.left: list[tuple[int, int]] = []
        self.made = 0

    async def step(self, kind: str, one: int, two: int) -> None:
        if kind == "take":
            self.left += take(self.outbox, one, two)
        elif kind == "withdraw":
            if one < len(self.parcels):
                what, parcel = self.parcels[one]
                if self.outbox.withdraw(parcel):
                    self.given_up.add(what)
        elif kind == "leave":
            if one < len(self.senders) and not self.senders[one][1].done():
                what, sender = self.senders[one]
                sender.cancel()
                if what not in self.left:
                    self.given_up.add(what)
        else:
            self.made += 1
            self.add(kind, (one, self.made), body(one, self.made, two))
        await asyncio.sleep(0)
        waiting = [p for what, p in self.parcels if not p.taken]
        assert self.outbox.bytes == sum(len(parcel.body) for parcel in waiting)

    def add(self, kind: str, what: tuple[int, int], encoded: bytes) -> None:
        self.put[kind].append(what)
        if kind == "put":
            self.parcels.append((what, self.outbox.put(encoded)))
        elif kind == "control":
            self.outbox.put_control(encoded)
        else:
            sender = asyncio.create_task(self.outbox.pass_piece(encoded))
            self.senders.append((what, sender))


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(steps=steps)
def test_nothing_is_lost_or_doubled_and_each_kind_keeps_its_order(
    steps: list[tuple[str, int, int]],
) -> None:
    async def happen() -> None:
        run = Run()
        for step in steps:
            await run.step(*step)
        run.outbox.finish()
        while await run.outbox.filled():
            run.left += take(run.outbox, 6, 10_000)
            await asyncio.sleep(0)
        await asyncio.gather(*(task for _, task in run.senders), return_exceptions=True)
        for put in run.put.values():
            expected = [what for what in put if what not in run.given_up]
            assert [what for what in run.left if what in put] == expected
        assert len(run.left) == len(set(run.left))
        assert run.outbox.bytes == 0

    asyncio.run(happen())
