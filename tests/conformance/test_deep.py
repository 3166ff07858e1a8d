"""Deadlines, back-pressure and leaving early, several agents deep."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo.errors import DeadlineExceeded
from tests.conformance.calls import failure, read
from tests.conformance.gates import Gates
from tests.conformance.places import COVERING, EVERYWHERE, World

covering = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)
everywhere = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)

OVERSHOOT = 0.05  # seconds after its deadline by which a call has ended, five agents deep
CHUNK = 256 * 1024  # bytes
AHEAD = 8 * 1024 * 1024  # bytes unread that may be under way at one boundary between processes


@covering
async def test_every_hop_sees_less_time_than_the_one_before(world: World, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    task = {"route": ["b", "c", "d", "e", "echo"], "payload": "x", "trace": str(trace)}
    await world.rt.call("a", task, timeout=20)
    lines = [line.split() for line in trace.read_text().splitlines()]
    assert [name for name, _ in lines] == ["a", "b", "c", "d", "e"]
    left = [20.0, *(float(remaining) for _, remaining in lines)]
    assert left == sorted(left, reverse=True)
    if world.place.kind in ("two-servers", "processes"):
        assert len(set(left)) == len(left)  # the way takes time, and it is taken off


@covering
async def test_a_deadline_five_agents_deep_ends_everything_in_time(
    world: World, gates: Gates
) -> None:
    route = ["b", "c", "d", "e"]
    await world.rt.call("a", {"route": [*route, "echo"], "payload": "connections stand"})
    clock = asyncio.get_running_loop()
    began = clock.time()
    task = {"route": [*route, "waits"], "payload": {"gates": gates.path}}
    error = await failure(world.rt, "a", task, timeout=0.3)
    took = clock.time() - began
    assert isinstance(error, DeadlineExceeded)
    assert took <= 0.3 + OVERSHOOT
    arrival = await gates.arrival("waits")
    assert await arrival.ended() == "stopped"
    assert clock.time() - began <= 0.3 + 2 * OVERSHOOT  # nothing works on at the leaf


@covering
async def test_a_call_whose_time_is_over_does_not_start(world: World, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    error = await failure(world.rt, "counts", {"file": str(effects)}, timeout=0)
    assert isinstance(error, DeadlineExceeded)
    assert not effects.exists()


@covering
async def test_chunks_come_through_several_agents(world: World, gates: Gates) -> None:
    task = {"route": ["carry_right", "ends_with_message"], "payload": "deep"}
    chunks, final = await read(world.rt, "carry_left", task)
    assert [chunk.type for chunk in chunks] == ["thinking", "content", "tool_call", "status"]
    assert {chunk.source for chunk in chunks} == {"ends_with_message"}
    assert {chunk.path for chunk in chunks} == {("carry_left", "carry_right", "ends_with_message")}
    assert final is not None
    assert final.source == "carry_left"


@everywhere
async def test_a_slow_reader_holds_back_an_agent_three_streams_down(
    world: World, gates: Gates, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    payload = {"size": CHUNK, "count": 10**9, "file": str(made), "gates": gates.path}
    task = {"route": ["carry_right", "produce"], "payload": payload}
    boundaries = 3 if world.place.kind in ("two-servers", "processes") else 0
    async with world.rt.stream("carry_left", task) as chunks:
        for taken in (1, 2):
            await anext(chunks)
            before = quiet = 0
            while quiet < 50:  # until it makes no more, however often it gets a turn
                await world.rt.call("echo", "your turn")
                count = made.stat().st_size
                assert (count - taken) * CHUNK <= boundaries * AHEAD
                quiet = quiet + 1 if count == before else 0
                before = count
    await gates.arrival("produce ended")


@covering
async def test_a_deadline_ends_a_stream_three_agents_down(world: World, gates: Gates) -> None:
    payload = {"words": "one two", "gates": gates.path}
    task = {"route": ["carry_right", "streams"], "payload": payload}
    with pytest.raises(DeadlineExceeded):
        await read(world.rt, "carry_left", task, timeout=0.3)
    arrival = await gates.arrival("streams")
    assert await arrival.ended() == "stopped"


@covering
async def test_cancelling_the_reader_stops_an_agent_three_streams_down(
    world: World, gates: Gates
) -> None:
    payload = {"words": "one two", "gates": gates.path}
    task = {"route": ["carry_right", "streams"], "payload": payload}
    reading = asyncio.create_task(read(world.rt, "carry_left", task))
    arrival = await gates.arrival("streams")
    reading.cancel()
    assert await arrival.ended() == "stopped"
    await asyncio.wait([reading])
    assert reading.cancelled()
