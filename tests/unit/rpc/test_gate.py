"""The gate: who waits passes in turn, nobody is forgotten, and no more pass than there is for them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.errors import RuntimeClosed
from aixgo.rpc.gate import Gate


class Places:
    """A number of places behind a gate, and who took one, in order."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.stalls = 0
        self.passed: list[int] = []
        self.gate = Gate(lambda: self.free > 0, self.stall)

    def stall(self) -> None:
        self.stalls += 1

    async def take(self, who: int) -> None:
        await self.gate.wait()
        assert self.free > 0, "there was a place when it passed"
        self.free -= 1
        self.passed.append(who)

    def leave(self) -> None:
        self.free += 1
        self.gate.knock()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_an_open_gate_lets_through_at_once() -> None:
    places = Places(1)
    assert places.gate.passable
    await places.take(1)
    assert (places.passed, places.stalls) == ([1], 0)


async def test_who_has_to_wait_is_counted_and_passes_when_there_is_a_place() -> None:
    places = Places(0)
    waiter = asyncio.create_task(places.take(1))
    await settle()
    assert (places.passed, places.stalls) == ([], 1)
    places.leave()
    await waiter
    assert places.passed == [1]


async def test_one_place_lets_one_through() -> None:
    places = Places(0)
    waiters = [asyncio.create_task(places.take(who)) for who in range(3)]
    await settle()
    places.leave()
    await settle()
    assert places.passed == [0]
    for _ in waiters:
        places.leave()
    await asyncio.gather(*waiters)
    assert places.passed == [0, 1, 2]


async def test_places_that_come_together_are_all_taken() -> None:
    places = Places(0)
    waiters = [asyncio.create_task(places.take(who)) for who in range(5)]
    await settle()
    places.free = 5
    places.gate.knock()
    await asyncio.gather(*waiters)
    assert places.passed == [0, 1, 2, 3, 4]


async def test_nobody_overtakes_a_waiter_whose_turn_has_come() -> None:
    places = Places(0)
    first = asyncio.create_task(places.take(1))
    await settle()
    places.leave()
    assert not places.gate.passable
    second = asyncio.create_task(places.take(2))
    await first
    assert places.passed == [1]
    second.cancel()
    await asyncio.wait([second])


@pytest.mark.parametrize("knock_first", [True, False], ids=["knock, cancel", "cancel, knock"])
async def test_a_turn_that_comes_as_its_waiter_leaves_is_the_next_ones(knock_first: bool) -> None:
    places = Places(0)
    leaving, staying = (asyncio.create_task(places.take(who)) for who in (1, 2))
    await settle()
    steps = [places.leave, leaving.cancel]
    for step in steps if knock_first else reversed(steps):
        step()
    await asyncio.wait([leaving])
    async with asyncio.timeout(5):
        await staying
    assert places.passed == [2]


async def test_a_waiter_in_the_middle_can_leave() -> None:
    places = Places(0)
    waiters = [asyncio.create_task(places.take(who)) for who in range(3)]
    await settle()
    waiters[1].cancel()
    await settle()
    for _ in range(2):
        places.leave()
    await asyncio.gather(waiters[0], waiters[2])
    assert places.passed == [0, 2]


async def test_a_closed_gate_turns_away_who_waits_and_who_comes() -> None:
    places = Places(0)
    waiters = [asyncio.create_task(places.take(who)) for who in range(3)]
    await settle()
    waiters[1].cancel()
    places.gate.close(lambda: RuntimeClosed("gone"))
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        RuntimeClosed,
        asyncio.CancelledError,
        RuntimeClosed,
    ]
    places.free = 1
    with pytest.raises(RuntimeClosed, match="gone"):
        await places.take(4)
    assert places.passed == []


steps = st.lists(
    st.sampled_from(["come", "come", "leave", "run", "run"]) | st.integers(0, 4),
    min_size=10,
    max_size=60,
)
"""Somebody comes, a place gets free, tasks run; a number: that waiter gives up."""


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(steps=steps)
def test_whatever_happens_waiters_pass_in_turn_and_every_place_is_used(
    steps: list[str | int],
) -> None:
    async def happen() -> None:
        places = Places(0)
        waiters: list[asyncio.Task[None]] = []
        for step in steps:
            if step == "come":
                waiters.append(asyncio.create_task(places.take(len(waiters))))
            elif step == "leave":
                places.leave()
            elif step == "run":
                await asyncio.sleep(0)
            elif isinstance(step, int) and step < len(waiters):
                waiters[step].cancel()
        await settle()
        assert places.passed == sorted(places.passed)
        left = [waiter for waiter in waiters if not waiter.done()]
        assert not (left and places.free), "nobody waits while there is a place"
        for waiter in left:
            waiter.cancel()
        for outcome in await asyncio.gather(*waiters, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)

    asyncio.run(happen())
