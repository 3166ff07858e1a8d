"""Streams over a link of either transport: chunks, the final message, and how they end early."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from aixgo.context import CallContext
from aixgo.errors import AgentRefused, DeadlineExceeded
from aixgo.ledger import Usage
from aixgo.message import Message, StreamChunk
from aixgo.rpc.base import Link
from tests.unit.rpc.small_host import Producer, SmallHost, a_context

Parts = AsyncIterator[StreamChunk | Message]


async def three(message: Message, context: CallContext) -> Parts:
    for number in range(3):
        yield StreamChunk(content=str(number), sequence=number, source="three")
    context.charge(Usage(calls=2))
    yield message.reply("012")


def endless(stopped: asyncio.Event, size: int = 1000) -> Producer:
    async def forever(message: Message, context: CallContext) -> Parts:
        try:
            while True:
                yield StreamChunk(content="x" * size)
        finally:
            stopped.set()

    return forever


async def test_a_stream_gives_its_chunks_then_its_final(host: SmallHost, link: Link) -> None:
    host.producers["three"] = three
    context = a_context("three")
    chunks = await link.stream("three", Message("go"), context)
    assert chunks.final is None
    assert [(chunk.content, chunk.sequence) async for chunk in chunks] == [
        ("0", 0),
        ("1", 1),
        ("2", 2),
    ]
    assert chunks.final is not None
    assert chunks.final.text == "012"
    assert context.usage == Usage(calls=2)
    assert link.outstanding == 0
    await chunks.aclose()


@pytest.mark.parametrize("size", [10, 100_000])
async def test_more_chunks_than_may_be_under_way_arrive_in_order(
    host: SmallHost, link: Link, size: int
) -> None:
    async def count(message: Message, context: CallContext) -> Parts:
        for number in range(200):
            yield StreamChunk(content="x" * size, sequence=number)
        yield message.reply("y" * 5 * size)

    host.producers["count"] = count
    chunks = await link.stream("count", Message("go"), a_context("count"))
    assert [chunk.sequence async for chunk in chunks] == list(range(200))
    assert chunks.final is not None
    assert len(chunks.final.text) == 5 * size


async def test_a_stream_that_fails_raises_from_the_iteration(host: SmallHost, link: Link) -> None:
    async def break_off(message: Message, context: CallContext) -> Parts:
        context.charge(Usage(calls=1))
        if message.text != "at once":
            yield StreamChunk(content="so far")
        raise AgentRefused("no more")
        yield message

    host.producers["break_off"] = break_off
    for text, so_far in (("later", ["so far"]), ("at once", [])):
        context = a_context("break_off")
        chunks = await link.stream("break_off", Message(text), context)
        assert [(await anext(chunks)).content for _ in so_far] == so_far
        with pytest.raises(AgentRefused, match="no more"):
            await anext(chunks)
        assert chunks.final is None
        assert context.usage == Usage(calls=1)
    assert link.outstanding == 0


@pytest.mark.parametrize("size", [10, 100_000])
async def test_leaving_a_stream_early_stops_the_producer(
    host: SmallHost, link: Link, size: int
) -> None:
    stopped = asyncio.Event()
    host.producers["forever"] = endless(stopped, size)
    chunks = await link.stream("forever", Message("go"), a_context("forever"))
    await anext(chunks)
    await chunks.aclose()
    async with asyncio.timeout(5):
        await stopped.wait()
    assert link.outstanding == 0
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_a_stream_nobody_holds_any_more_stops_its_producer(
    host: SmallHost, link: Link
) -> None:
    stopped = asyncio.Event()
    host.producers["forever"] = endless(stopped)
    chunks = await link.stream("forever", Message("go"), a_context("forever"))
    await anext(chunks)
    del chunks
    gc.collect()
    async with asyncio.timeout(5):
        await stopped.wait()
    assert link.outstanding == 0


async def test_a_slow_reader_slows_the_producer_down_and_no_other_stream(
    host: SmallHost, link: Link
) -> None:
    produced = 0

    async def hurry(message: Message, context: CallContext) -> Parts:
        nonlocal produced
        for _ in range(2_000):
            produced += 1
            yield StreamChunk(content="x" * 50_000)
        yield message.reply("done")

    host.producers["hurry"], host.producers["three"] = hurry, three
    slow = await link.stream("hurry", Message("go"), a_context("hurry"))
    await anext(slow)
    for _ in range(20):
        chunks = await link.stream("three", Message("go"), a_context("three"))
        assert [chunk.content async for chunk in chunks] == ["0", "1", "2"]
    assert 0 < produced < 1_000
    await slow.aclose()


async def test_a_stream_ends_at_its_deadline(host: SmallHost, link: Link) -> None:
    async def stall(message: Message, context: CallContext) -> Parts:
        yield StreamChunk(content="one")
        await asyncio.Event().wait()

    host.producers["stall"] = stall
    chunks = await link.stream("stall", Message("go"), a_context("stall", timeout=0.2))
    assert (await anext(chunks)).content == "one"
    with pytest.raises(DeadlineExceeded, match="stall"):
        await anext(chunks)
    assert link.outstanding == 0


async def test_a_stream_that_is_not_admitted_ends_at_its_deadline(
    host: SmallHost, link: Link
) -> None:
    """Opening it takes too long: there is no reply to hold on to, and nothing is left of it."""
    host.stream = never  # type: ignore[method-assign, assignment]
    with pytest.raises(DeadlineExceeded, match="three"):
        await link.stream("three", Message("go"), a_context("three", timeout=0.2))
    assert link.outstanding == 0


async def never(target: str, message: Message, context: CallContext) -> None:
    await asyncio.Event().wait()


async def test_cancelling_who_waits_for_a_chunk_leaves_the_stream_to_be_closed(
    host: SmallHost, link: Link
) -> None:
    stopped = asyncio.Event()

    async def stall(message: Message, context: CallContext) -> Parts:
        try:
            yield StreamChunk(content="one")
            await asyncio.Event().wait()
        finally:
            stopped.set()

    host.producers["stall"] = stall
    chunks = await link.stream("stall", Message("go"), a_context("stall"))
    await anext(chunks)
    waiting = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await chunks.aclose()
    async with asyncio.timeout(5):
        await stopped.wait()
    assert link.outstanding == 0
