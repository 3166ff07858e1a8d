"""Calls over a link of either transport: replies, what travels with them, and how they end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo.context import CallContext, Hop, SystemClock
from aixgo.errors import (
    AgentFailed,
    AgentNotFound,
    AgentRefused,
    DeadlineExceeded,
    RuntimeClosed,
)
from aixgo.ledger import Budget, Usage
from aixgo.message import Message
from aixgo.rpc.base import Link
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import Holding, SmallHost, a_context, linked

# -- replies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", ["text \N{SNOWMAN}", b"\x00\xff", {"a": [1, 2.5, None]}, None, 7]
)
async def test_a_reply_comes_back_as_it_was_made(link: Link, payload: object) -> None:
    reply = await link.call("echo", Message(payload), a_context())
    assert reply.payload == payload
    assert reply.source == "echo"


@pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 + 1, 5_000_000])
async def test_a_large_payload_travels_like_a_small_one(link: Link, size: int) -> None:
    payload = b"x" * size
    small = asyncio.create_task(link.call("echo", Message("hi"), a_context()))
    reply = await link.call("echo", Message(payload), a_context())
    assert reply.payload == payload
    assert (await small).text == "hi"


@pytest.mark.parametrize("payload", ["x" * 500_000, "\N{SNOWMAN}" * 200_000, [1, "x" * 300_000]])
async def test_large_text_and_json_come_back_as_they_were_made(link: Link, payload: object) -> None:
    reply = await link.call("echo", Message(payload), a_context())
    assert reply.payload == payload


async def test_a_unix_socket_is_an_address_like_any_other(
    host: SmallHost, transport: str, tmp_path: Path
) -> None:
    async with linked(host, f"unix:{tmp_path}/agents.sock", transport=transport) as link:
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_link_that_never_connected_connects_with_its_first_call(
    host: SmallHost, link: Link, link_to: OpenLink
) -> None:
    fresh = link_to(link.address)
    assert (fresh.instance, fresh.outstanding) == ("", 0)
    calls = [fresh.call("echo", Message(str(each)), a_context()) for each in range(20)]
    assert [reply.text for reply in await asyncio.gather(*calls)] == list(map(str, range(20)))
    assert fresh.instance == host.instance


async def test_the_host_gets_what_travels_with_a_call(host: SmallHost, link: Link) -> None:
    hops = (Hop("i1", "planner", "flow"), Hop("i2", "writer", "flow/write"))
    sent = a_context(
        key="flow/write/echo",
        hops=hops,
        max_hops=5,
        budget=Budget(usd=0.25, tokens=100),
        session="s1",
        principal="ann",
        tenant="acme",
        traceparent="00-aa-bb-01",
        baggage={"k": "v"},
        idempotency_key="once",
    )
    await link.call("echo", Message("hi"), sent)
    (got,) = host.contexts
    for name in ("agent", "key", "hops", "max_hops", "budget", "session", "principal", "tenant"):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.traceparent, got.baggage, got.idempotency_key) == (
        "00-aa-bb-01",
        {"k": "v"},
        "once",
    )
    assert 9 < got.deadline - SystemClock().monotonic() <= 10


# -- failures ---------------------------------------------------------------------------------------------


async def test_usage_of_a_reply_and_of_a_failure_is_charged_to_the_call(
    host: SmallHost, link: Link
) -> None:
    async def spend(message: Message, context: CallContext) -> Message:
        context.charge(Usage(cost_nanos=3, calls=1))
        if message.text == "fail":
            raise AgentRefused("too expensive")
        return message.reply("done")

    host.agents["spend"] = spend
    context = a_context("spend")
    reply = await link.call("spend", Message("go"), context)
    assert reply.usage == context.usage == Usage(cost_nanos=3, calls=1)
    with pytest.raises(AgentRefused, match="too expensive"):
        await link.call("spend", Message("fail"), context)
    assert context.usage == Usage(cost_nanos=6, calls=2)


async def test_an_unknown_agent_is_not_found(link: Link) -> None:
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.call("nobody", Message("hi"), a_context("nobody"))
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.stream("nobody", Message("hi"), a_context("nobody"))
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.send("nobody", Message("hi"), a_context("nobody"))
    assert link.outstanding == 0


async def test_what_an_agent_raises_crosses_without_its_text(host: SmallHost, link: Link) -> None:
    async def fail(message: Message, context: CallContext) -> Message:
        raise ValueError("a secret")

    host.agents["fail"] = fail
    with pytest.raises(AgentFailed, match="fail") as caught:
        await link.call("fail", Message("hi"), a_context("fail"))
    assert "secret" not in str(caught.value)
    assert caught.value.error_id


async def test_a_draining_hosts_refusal_arrives_as_a_call_not_started(
    host: SmallHost, link: Link
) -> None:
    async def refuse(message: Message, context: CallContext) -> Message:
        raise RuntimeClosed("draining")

    host.agents["echo"] = refuse
    with pytest.raises(RuntimeClosed, match="draining") as caught:
        await link.call("echo", Message("hi"), a_context())
    assert caught.value.retryable
    assert caught.value.agent == ""  # so that a caller knows no agent ran


# -- deadlines and cancels --------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
async def test_the_caller_raises_at_its_deadline_and_learns_the_usage_after(
    host: SmallHost, link: Link
) -> None:
    host.agents["linger"] = Holding()
    context = a_context("linger", timeout=0.5)
    with pytest.raises(DeadlineExceeded, match="linger"):
        await link.call("linger", Message("hi"), context)
    assert -0.5 < context.remaining <= 0
    assert link.outstanding == 0
    await link.settle(context)
    assert context.usage == Usage(calls=1)


async def test_settling_a_call_that_is_settled_returns_at_once(link: Link) -> None:
    context = a_context()
    await link.call("echo", Message("hi"), context)
    async with asyncio.timeout(0.1):
        await link.settle(context)


async def test_usage_that_comes_after_settling_gave_up_is_not_counted(
    host: SmallHost, link: Link
) -> None:
    """The agent goes on for longer than the peer is waited for, and tells then what it spent."""
    holding = Holding()
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(message: Message, context: CallContext) -> Message:
        try:
            return await holding(message, context)
        finally:
            waiting.set()
            await go_on.wait()

    host.agents["dawdle"] = dawdle
    context = a_context("dawdle", timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        await link.call("dawdle", Message("hi"), context)
    await link.settle(context)
    assert context.usage == Usage()
    await waiting.wait()
    go_on.set()
    for _ in range(20):
        await link.call("echo", Message("hi"), a_context())
    assert context.usage == Usage()


async def test_cancelling_a_call_stops_the_callee(host: SmallHost, link: Link) -> None:
    host.agents["hold"] = holding = Holding()
    call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
    await holding.started.wait()
    assert link.outstanding == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert link.outstanding == 0
    async with asyncio.timeout(5):
        await holding.stopped.wait()


async def test_a_call_that_is_cancelled_at_once_leaves_nothing_behind(
    host: SmallHost, link: Link
) -> None:
    host.agents["hold"] = Holding()
    calls = [
        asyncio.create_task(link.call("hold", Message("hi"), a_context("hold"))) for _ in range(20)
    ]
    for steps, call in enumerate(calls):
        for _ in range(steps % 5):
            await asyncio.sleep(0)
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert link.outstanding == 0
    assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_deadline_that_has_passed_ends_the_call_before_it_is_sent(
    host: SmallHost, link: Link
) -> None:
    with pytest.raises(DeadlineExceeded):
        await link.call("echo", Message("hi"), a_context(timeout=-1))
    await link.call("echo", Message("hi"), a_context())
    assert len(host.contexts) <= 2
