"""Calls run side by side, stop when they are left, and end at their deadline: agents at every depth."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.errors import AgentNotFound, AgentRefused, DeadlineExceeded
from tests.conformance.gates import Gates
from tests.conformance.places import EVERYWHERE, World

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)

LATE = 0.5  # seconds a deadline or a cancellation may take to be felt on a busy machine


async def test_two_calls_are_under_way_at_once(world: World, gates: Gates) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(world.rt.call("waits", {"gates": gates.path, "note": n}))
            for n in (1, 2)
        ]
        met = [await gates.arrival("waits"), await gates.arrival("waits")]
        assert all(arrival.waiting for arrival in met)
        for arrival in met:
            arrival.open(f"go {arrival.note}")
    assert [call.result().payload for call in calls] == ["go 1", "go 2"]


async def test_two_calls_of_a_synchronous_agent_are_under_way_at_once(
    world: World, gates: Gates
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(world.rt.call("waits_in_thread", {"gates": gates.path}))
        met = [await gates.arrival("waits_in_thread"), await gates.arrival("waits_in_thread")]
        for arrival in met:
            arrival.open()


async def test_a_slow_call_does_not_hold_up_others(world: World, gates: Gates) -> None:
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(world.rt.call("waits", {"gates": gates.path}))
        arrival = await gates.arrival("waits")
        assert (await world.rt.call("echo", "meanwhile")).payload == "meanwhile"
        assert not slow.done()
        arrival.open()


async def test_cancelling_a_call_stops_the_agent(world: World, gates: Gates) -> None:
    call = asyncio.create_task(world.rt.call("waits", {"gates": gates.path}))
    arrival = await gates.arrival("waits")
    call.cancel()
    assert await arrival.ended() == "stopped"
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_cancelling_a_call_stops_the_agents_below_it(world: World, gates: Gates) -> None:
    task = {"route": ["b", "c", "waits"], "payload": {"gates": gates.path}}
    call = asyncio.create_task(world.rt.call("a", task))
    arrival = await gates.arrival("waits")
    call.cancel()
    async with asyncio.timeout(LATE):
        assert await arrival.ended() == "stopped"
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await world.rt.call("echo", "next")).payload == "next"


@pytest.mark.parametrize("route", [["waits"], ["b", "c", "waits"]], ids=["leaf", "deep"])
async def test_a_deadline_ends_the_call_and_the_agent(
    world: World, gates: Gates, route: list[str]
) -> None:
    await world.rt.call("a", {"route": ["b", "c", "echo"], "payload": "connections stand"})
    clock = asyncio.get_running_loop()
    began = clock.time()
    with pytest.raises(DeadlineExceeded) as raised:
        await world.rt.call("a", {"route": route, "payload": {"gates": gates.path}}, timeout=0.2)
    took = clock.time() - began
    assert raised.value.name == "a"
    assert 0.2 <= took < 0.2 + LATE
    arrival = await gates.arrival("waits")
    async with asyncio.timeout(LATE):
        assert await arrival.ended() == "stopped"


async def test_call_parallel_gives_outcomes_in_order_and_keeps_partial_success(
    world: World, gates: Gates
) -> None:
    targets = ["waits", "raises", "nobody", "echo", "refuses_in_own_words"]
    message = {"gates": gates.path}
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(world.rt.call_parallel(targets, message))
        (await gates.arrival("waits")).open("last")
    outcomes = calling.result()
    assert [outcome.target for outcome in outcomes] == targets
    assert [reply.source for reply in outcomes.replies] == ["waits", "echo"]
    assert outcomes[0].reply is not None
    assert outcomes[0].reply.payload == "last"
    assert isinstance(outcomes[2].error, AgentNotFound)
    assert isinstance(outcomes[4].error, AgentRefused)
    assert [error.agent for error in outcomes.errors] == ["raises", "", "refuses_in_own_words"]
