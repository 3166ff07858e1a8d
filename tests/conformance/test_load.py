"""Many calls at once, and an agent that holds up its whole process."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.conformance.places import COVERING, IN_PROCESS, World

MANY = 10_000


@pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)
async def test_ten_thousand_calls_in_flight_are_all_answered(world: World) -> None:
    calls = [asyncio.create_task(world.rt.call("echo", number)) for number in range(MANY)]
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, world.rt.metrics()["calls_in_flight"])

    calls[0].add_done_callback(look)
    replies = await asyncio.gather(*calls)
    assert [reply.payload for reply in replies] == list(range(MANY))
    if world.rt not in world.hosts:
        assert most > MANY / 2
    metrics = world.rt.metrics()
    assert (metrics["calls_succeeded"], metrics["calls_failed"]) == (MANY, 0)
    assert metrics["calls_in_flight"] == 0


@pytest.mark.parametrize("place", IN_PROCESS, indirect=True, ids=str)
async def test_an_agent_that_blocks_the_loop_is_named_within_a_second(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "aixgo.runtime"):
        await world.rt.call("blocks", 1.0)
    (told,) = {record.getMessage() for record in caplog.records if "blocked" in record.msg}
    assert told.startswith("agent 'blocks' has blocked the event loop for over 0.5 s at ")
