"""How many calls a link carries at once, and what becomes of the others."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.context import CallContext, Hop
from aixgo.errors import DeadlineExceeded, LimitExceeded
from aixgo.message import Message
from aixgo.rpc.base import Link
from aixgo.rpc.options import WireSettings
from tests.unit.rpc.small_host import Holding, SmallHost, a_context, linked

ONE = WireSettings(max_concurrent_calls=1)


@pytest.mark.parametrize("slots", [1, 3])
async def test_calls_beyond_the_links_slots_wait_for_their_turn(
    host: SmallHost, transport: str, slots: int
) -> None:
    running = most = 0

    async def count(message: Message, context: CallContext) -> Message:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return message.reply("done")

    host.agents["count"] = count
    settings = WireSettings(max_concurrent_calls=slots)
    async with linked(host, settings=settings, transport=transport) as link:
        calls = [link.call("count", Message("hi"), a_context("count")) for _ in range(50)]
        replies = await asyncio.gather(*calls)
    assert [reply.text for reply in replies] == ["done"] * 50
    assert most <= slots


async def test_a_call_waiting_for_a_slot_ends_at_its_deadline(
    host: SmallHost, transport: str
) -> None:
    host.agents["hold"] = holding = Holding()
    async with linked(host, settings=ONE, transport=transport) as link:
        first = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        with pytest.raises(DeadlineExceeded):
            await link.call("echo", Message("hi"), a_context(timeout=0.1))
        assert not any(context.agent == "echo" for context in host.contexts)
        holding.finish.set()
        assert (await first).text == "done"
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_cancelled_call_gives_its_slot_back(host: SmallHost, transport: str) -> None:
    async with linked(host, settings=ONE, transport=transport) as link:
        for _ in range(5):
            host.agents["hold"] = holding = Holding()
            call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
            await holding.started.wait()
            call.cancel()
            assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_call_that_leaves_while_it_waits_for_a_slot_takes_none(
    host: SmallHost, transport: str
) -> None:
    host.agents["hold"] = holding = Holding()
    async with linked(host, settings=ONE, transport=transport) as link:
        first = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        leaving, staying = (
            asyncio.create_task(link.call("echo", Message("hi"), a_context())) for _ in range(2)
        )
        await asyncio.sleep(0)
        holding.finish.set()
        await first
        leaving.cancel()
        assert (await staying).text == "hi"


async def call_itself(host: SmallHost, link: Link, depth: int) -> str:
    """Have an agent call itself over `link`, each call part of the one before."""

    async def call_back(message: Message, context: CallContext) -> Message:
        hops = (*context.hops, Hop(host.instance, "again", "k"))
        if len(hops) > depth:
            return message.reply("bottom")
        return await link.call("again", message, a_context("again", hops=hops))

    host.agents["again"] = call_back
    return (await link.call("again", Message("hi"), a_context("again"))).text


async def test_over_unary_a_call_that_came_through_the_peer_itself_needs_no_slot(
    host: SmallHost,
) -> None:
    async with linked(host, settings=ONE) as link:
        assert await call_itself(host, link, depth=4) == "bottom"


async def test_over_a_stream_a_call_that_came_through_a_full_peer_fails_at_once(
    host: SmallHost,
) -> None:
    """Its place may be held by the very call it is part of."""
    settings = WireSettings(max_concurrent_calls=3)
    async with linked(host, settings=settings, transport="stream") as link, asyncio.timeout(5):
        assert await call_itself(host, link, depth=2) == "bottom"
        with pytest.raises(LimitExceeded, match="calls of one connection"):
            await call_itself(host, link, depth=4)
        assert link.outstanding == 0
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
