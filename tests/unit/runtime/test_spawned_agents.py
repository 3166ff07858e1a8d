"""Spawned agents: nothing of them stays, and one scope's end is not another's."""

from __future__ import annotations

import asyncio
import threading

from aixgo import LocalRuntime, agent
from aixgo.orchestration.sequential import Sequential
from tests.unit.runtime.waiting import until


@agent
async def worker(text: str) -> str:
    return f"{text}!"


async def test_the_members_of_a_spawned_orchestration_leave_with_it() -> None:
    async with asyncio.timeout(5), LocalRuntime() as rt:
        async with rt.spawn(Sequential("flow", [worker])) as name:
            assert (await rt.call(name, "hello")).text == "hello!"
        assert rt.list_agents() == []


async def test_members_that_were_registered_before_stay() -> None:
    async with asyncio.timeout(5), LocalRuntime(worker) as rt:
        async with rt.spawn(Sequential("flow", [worker])):
            pass
        assert rt.list_agents() == ["worker"]
        assert (await rt.call("worker", "hello")).text == "hello!"


async def test_members_of_two_spawned_orchestrations_leave_with_the_last() -> None:
    async with asyncio.timeout(5), LocalRuntime() as rt:
        first = rt.spawn(Sequential("one", [worker]))
        await first.__aenter__()
        async with rt.spawn(Sequential("two", [worker])) as name:
            await first.__aexit__(None, None, None)
            assert (await rt.call(name, "hello")).text == "hello!"
        assert rt.list_agents() == []


async def test_calls_queued_for_a_synchronous_agent_outlive_another_scope_of_it() -> None:
    gate = threading.Event()

    @agent
    def blocking(text: str) -> str:
        gate.wait(5)
        return text

    async with asyncio.timeout(10), LocalRuntime() as rt, rt.spawn(blocking) as name:
        async with rt.spawn(blocking):
            calls = [asyncio.create_task(rt.call(name, f"{number}")) for number in range(12)]
            await until(lambda: rt.metrics()["calls_in_flight"] == 12)
        gate.set()
        assert [(await call).text for call in calls] == [f"{number}" for number in range(12)]
