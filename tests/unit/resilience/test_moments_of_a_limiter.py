"""Two things at one moment in front of a limit, and what nobody looked at since."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.resilience._gate import Gate, Permit
from tests.unit.manual_clock import ManualClock


def gate(
    clock: ManualClock | None = None,
    *,
    concurrency: int | None = None,
    requests: int | None = None,
    max_wait: float = 10.0,
) -> Gate:
    return Gate(
        clock or ManualClock(0),
        concurrency=concurrency,
        requests=requests,
        tokens=None,
        max_waiting=5,
        max_wait=max_wait,
    )


async def in_line(gate: Gate) -> asyncio.Task[Permit]:
    """A call that waits for its turn."""
    task = asyncio.create_task(gate.enter(0))
    await asyncio.sleep(0)
    assert gate.stats.waiting == 1
    return task


async def test_a_turn_that_comes_as_its_caller_leaves_is_the_next_ones() -> None:
    slots = gate(concurrency=1, requests=2)
    first = await slots.enter(0)
    waiting = await in_line(slots)
    first.end(0)  # the turn of the one that waits, which has not run since
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (slots.stats.running, slots.stats.requests_left) == (0, 1)
    async with asyncio.timeout(1):
        (await slots.enter(0)).end(0)


async def test_a_caller_that_leaves_as_its_turn_comes_is_passed_over() -> None:
    slots = gate(concurrency=1)
    first = await slots.enter(0)
    waiting = await in_line(slots)
    waiting.cancel()  # and has not run since
    first.end(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (slots.stats.running, slots.stats.waiting) == (0, 0)


async def test_what_left_the_window_while_nobody_looked_lets_a_call_in_that_may_not_wait() -> None:
    clock = ManualClock(0)
    requests = gate(clock, requests=1, max_wait=0)
    (await requests.enter(0)).end(0)
    clock.advance(60)
    async with asyncio.timeout(1):
        await requests.enter(0)


async def test_a_call_made_inside_another_takes_no_slot_of_those_outside() -> None:
    slots = gate(concurrency=2)
    await slots.enter(0)
    inner = await slots.enter(0, inside=True)
    assert slots.stats.running == 1
    async with asyncio.timeout(1):
        await slots.enter(0)
    inner.end(0)
    assert slots.stats.running == 2
