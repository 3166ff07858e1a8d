"""A streamed reply arrives while it is made, and leaving it stops whoever makes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo import Message
from aixgo.errors import AgentNotFound, DeadlineExceeded
from tests.conformance.calls import read, stream_failure
from tests.conformance.gates import Gates
from tests.conformance.places import EVERYWHERE, World

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)


async def test_chunks_arrive_while_the_agent_still_makes_more(world: World, gates: Gates) -> None:
    got: asyncio.Queue[str] = asyncio.Queue()

    async def read() -> Message | None:
        task = {"words": "one two three", "gates": gates.path}
        async with world.rt.stream("streams", task) as chunks:
            async for chunk in chunks:
                got.put_nowait(chunk.content)
        return chunks.final

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        for word in ("one", "two"):
            arrival = await gates.arrival("streams")  # the agent is at work on the next chunk,
            assert await got.get() == word  # and we have this one already
            assert got.empty()
            arrival.open()
    assert await got.get() == "three"
    final = reading.result()
    assert final is not None
    assert (final.payload, final.source) == ("onetwothree", "streams")


async def test_chunks_carry_their_number_source_and_time(world: World) -> None:
    got, _ = await read(world.rt, "ends_with_message", "text")
    assert [chunk.sequence for chunk in got] == [0, 1, 2, 3]
    assert {chunk.source for chunk in got} == {"ends_with_message"}
    assert {chunk.path for chunk in got} == {("ends_with_message",)}
    assert all(chunk.timestamp > 1e9 for chunk in got)


async def test_every_kind_of_chunk_and_the_agents_own_final_arrive(world: World) -> None:
    got, final = await read(world.rt, "ends_with_message", "text")
    plain = [(chunk.type, chunk.content, chunk.tool_calls, chunk.status) for chunk in got]
    assert plain == [
        ("thinking", "hm", [], ""),
        ("content", "text", [], ""),
        ("tool_call", "", [{"name": "t", "arguments": {"n": 1}}], ""),
        ("status", "", [], "done"),
    ]
    assert final is not None
    assert (final.payload, final.type, final.metadata) == ({"whole": "text"}, "answer", {"n": 1})


async def test_an_agent_that_does_not_stream_gives_one_chunk(world: World) -> None:
    got, final = await read(world.rt, "upper", "loud")
    assert [chunk.content for chunk in got] == ["LOUD"]
    assert final is not None
    assert final.payload == "LOUD"


async def test_a_streaming_agent_can_be_called(world: World) -> None:
    assert (await world.rt.call("ends_with_message", "text")).payload == {"whole": "text"}


async def test_leaving_early_stops_the_agent(world: World, gates: Gates, tmp_path: Path) -> None:
    made = tmp_path / "made"
    task = {"size": 10, "count": 10**9, "file": str(made), "gates": gates.path}
    async with world.rt.stream("produce", task) as chunks:
        assert (await anext(chunks)).content == "x" * 10
    assert chunks.final is None
    await gates.arrival("produce ended")
    count = made.stat().st_size
    assert (await world.rt.call("echo", "next")).payload == "next"
    assert made.stat().st_size == count


async def test_cancelling_the_reader_stops_the_agent(world: World, gates: Gates) -> None:
    async def read() -> None:
        async with world.rt.stream("streams", {"words": "one two", "gates": gates.path}) as chunks:
            async for _ in chunks:
                pass

    reading = asyncio.create_task(read())
    arrival = await gates.arrival("streams")
    reading.cancel()
    assert await arrival.ended() == "stopped"
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_deadline_ends_a_stream_and_its_agent(world: World, gates: Gates) -> None:
    with pytest.raises(DeadlineExceeded):
        await read(world.rt, "streams", {"words": "one two", "gates": gates.path}, timeout=0.2)
    arrival = await gates.arrival("streams")
    assert await arrival.ended() == "stopped"


async def test_the_stream_of_an_unknown_agent_says_so(world: World) -> None:
    assert isinstance(await stream_failure(world.rt, "nobody", "hello"), AgentNotFound)
