"""aixgo.testing."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.errors import AgentRefused, DeadlineExceeded
from aixgo.providers import ChatMessage, CompletionRequest
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import FakeClock, RecordingAgent, ScriptedProvider, ScriptExhausted, served

REQUEST = CompletionRequest(model="m", messages=[ChatMessage("user", "shout")])


async def test_a_fake_clock_fires_timers_in_order_at_their_own_moment() -> None:
    clock = FakeClock(now=100.0)
    fired: list[tuple[str, float]] = []
    clock.call_later(2, lambda: fired.append(("late", clock.monotonic())))
    clock.call_later(1, lambda: fired.append(("early", clock.monotonic())))
    clock.call_later(1, lambda: fired.append(("never", 0.0))).cancel()
    await clock.advance(1.5)
    assert fired == [("early", 1.0)]
    await clock.advance(1)
    assert fired == [("early", 1.0), ("late", 2.0)]
    assert (clock.monotonic(), clock.time()) == (2.5, 102.5)


async def test_a_runtimes_deadlines_follow_a_fake_clock() -> None:
    clock, stuck = FakeClock(), RecordingAgent("stuck", gated=True)
    async with asyncio.timeout(5), LocalRuntime(stuck, clock=clock) as rt:
        call = asyncio.create_task(rt.call("stuck", "x", timeout=30))
        await stuck.started.wait()
        await clock.advance(29)
        assert not call.done()
        await clock.advance(2)
        with pytest.raises(DeadlineExceeded):
            await call


async def test_a_script_runs_out_or_begins_again() -> None:
    provider = ScriptedProvider(["a", lambda request: request.text.upper()])
    assert [(await provider.complete(REQUEST)).text for _ in range(2)] == ["a", "SHOUT"]
    with pytest.raises(ScriptExhausted, match="request 3"):
        await provider.complete(REQUEST)
    again = ScriptedProvider(["a"], cycle=True)
    assert [(await again.complete(REQUEST)).text for _ in range(2)] == ["a", "a"]


async def test_a_recording_agent_replies_by_script_then_echoes() -> None:
    agent = RecordingAgent("r", ["one", AgentRefused("no"), lambda message: f"{message.text}!"])
    async with LocalRuntime(agent) as rt:
        assert (await rt.call("r", "x")).text == "one"
        with pytest.raises(AgentRefused):
            await rt.call("r", "x")
        assert [(await rt.call("r", "x")).text for _ in range(2)] == ["x!", "x"]
    assert len(agent.messages) == 4


async def test_served_agents_are_peers() -> None:
    agent = RecordingAgent("r")
    async with served(agent) as rt:
        assert rt.list_agents() == ["r"]
        assert (await rt.call("r", "over the wire")).text == "over the wire"
    assert agent.messages[0].text == "over the wire"
