"""A run that is left at whatever turn of the loop leaves nobody at work, and the team as good as before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aixgo import Budget, LocalRuntime, Message
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Actor, Case, tables

CASES = [case for cases in tables().values() for case in cases]
TURNS = range(0, 75, 4)  # of the loop, after which a run is left
AFTER = 3  # turns in which what was stopped may end


class Counted(Actor):
    """An actor that takes some turns, and says whether it is at work."""

    at_work = 0

    async def execute(self, message: Message) -> Message:
        self.at_work += 1
        try:
            return await super().execute(message)
        finally:
            self.at_work -= 1


@asynccontextmanager
async def at_home(case: Case) -> AsyncIterator[tuple[LocalRuntime, list[Counted]]]:
    agents = [Counted(name, rule, steps=lambda: 4) for name, rule in case.agents.items()]
    async with LocalRuntime(*agents, case.build()) as rt, asyncio.timeout(HANG):
        yield rt, agents


async def run(rt: LocalRuntime, case: Case, kind: str) -> Message | None:
    budget = Budget(calls=1_000)
    if kind == "call":
        return await rt.call(case.name, case.given, budget=budget)
    async with rt.stream(case.name, case.given, budget=budget) as chunks:
        async for _ in chunks:
            pass
    return chunks.final


@pytest.mark.parametrize("kind", ["call", "stream"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_run_that_is_left_leaves_nobody_at_work(case: Case, kind: str) -> None:
    async with at_home(case) as (rt, agents):
        for turns in TURNS:
            task = asyncio.create_task(run(rt, case, kind))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            for _ in range(AFTER):
                await asyncio.sleep(0)
            assert [agent.name for agent in agents if agent.at_work] == []
            assert rt.metrics()["calls_in_flight"] == 0
        reply = await run(rt, case, kind)
    assert reply is not None
    assert reply.payload == case.gives
