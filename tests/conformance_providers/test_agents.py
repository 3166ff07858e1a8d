"""An agent on each adapter: what its caller does reaches the vendor's socket."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import LocalRuntime
from aixgo.agents import ChatAgent
from aixgo.errors import DeadlineExceeded, RateLimited
from tests.conformance_providers.dialects import Dialect
from tests.conformance_providers.wire import Act, Answer, WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUND = 10  # seconds for what takes milliseconds


def agent(dialect: Dialect, wire: WireServer) -> ChatAgent:
    return ChatAgent("chat", model=dialect.model, provider=dialect.provider(wire.url))


async def test_the_answer_and_its_tokens_reach_the_caller(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_json(dialect.whole("yes"))]
    async with LocalRuntime(agent(dialect, wire)) as rt:
        reply = await rt.call("chat", "hi")
    assert reply.text == "yes"
    assert reply.metadata["tokens_total"] == 17


async def test_a_caller_that_leaves_a_stream_stops_the_model(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_events(*dialect.pieces("one ", "two "), Act.HANG)]
    async with LocalRuntime(agent(dialect, wire)) as rt:
        async with rt.stream("chat", "hi") as pieces:
            assert (await anext(aiter(pieces))).content == "one "
        async with asyncio.timeout(BOUND):
            await wire.left.wait()


async def test_a_call_whose_time_is_up_stops_the_model(dialect: Dialect, wire: WireServer) -> None:
    wire.answers = [Answer([Act.HANG])]
    async with LocalRuntime(agent(dialect, wire)) as rt:
        with pytest.raises((DeadlineExceeded, TimeoutError)):
            await rt.call("chat", "hi", timeout=0.2)
        async with asyncio.timeout(BOUND):
            await wire.left.wait()


async def test_the_vendors_refusal_is_the_callers_error(dialect: Dialect, wire: WireServer) -> None:
    wire.answers = [as_json(dialect.error("rate_limit_error", "no"), 429, retry_after="7")]
    async with LocalRuntime(agent(dialect, wire)) as rt:
        with pytest.raises(RateLimited) as caught:
            await rt.call("chat", "hi")
    assert caught.value.retry_after == 7
