"""Slots: whoever waits for one leaves the line cleanly, whatever happens at the same moment."""

from __future__ import annotations

import asyncio

from aixgo import LocalRuntime, agent
from tests.unit.runtime.waiting import until


async def test_a_slot_given_back_to_a_line_of_cancelled_waiters_is_free_for_the_next_call() -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gate.wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(busy, max_in_flight=1) as rt:
        first = asyncio.create_task(rt.call("busy", "first"))
        await inside.wait()
        waiters = [asyncio.create_task(rt.call("busy", "waits")) for _ in range(3)]
        await until(lambda: rt.metrics()["calls_waiting"] == 3)
        first.cancel()  # runs first and gives its slot back while the others are cancelled, not yet awake
        for waiter in waiters:
            waiter.cancel()
        outcomes = await asyncio.gather(first, *waiters, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 4
        gate.set()
        assert (await rt.call("busy", "next")).text == "next"
        assert rt.metrics()["calls_in_flight"] == rt.metrics()["calls_waiting"] == 0
