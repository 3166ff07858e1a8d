"""What a stream that its reader leaves costs the budget it was opened within."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aixgo import Budget, CallContext, Caller, DistributedRuntime, Message, agent
from aixgo.ledger import NANOS_PER_USD, Usage
from aixgo.message import StreamChunk

SPENT = 1_000_000  # nano-dollars


class Talker:
    """Spends a little, says a word, and then has nothing more to say."""

    name = "talker"
    role = "talks"

    async def execute(self, message: Message) -> Message:
        return message

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        CallContext.current().charge(Usage(cost_nanos=SPENT, calls=1))
        yield StreamChunk(content=message.text)
        await asyncio.Event().wait()


@agent
async def hasty(text: str, caller: Caller) -> str:
    async with caller.stream("talker", text) as chunks:
        async for chunk in chunks:
            return chunk.content
    return ""


@pytest.mark.parametrize(("transport", "cost"), [("stream", SPENT), ("unary", NANOS_PER_USD // 2)])
async def test_a_stream_that_was_left_costs_what_it_spent_where_that_is_told(
    transport: str, cost: int
) -> None:
    async with (
        asyncio.timeout(20),
        DistributedRuntime(Talker(), address="127.0.0.1:0") as there,
        DistributedRuntime(hasty, peers={"talker": there.address}, transport=transport) as rt,
    ):
        reply = await rt.call("hasty", "hello", budget=Budget(usd=1.0))

    assert reply.text == "hello"
    assert reply.usage.cost_nanos == cost
    assert reply.usage.unsettled is (transport == "unary")
