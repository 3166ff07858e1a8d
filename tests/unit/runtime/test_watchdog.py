"""The loop watch: names who blocks the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from aixgo import Caller, LocalRuntime, agent

STEP, STEPS = 0.03, 40  # seconds of each call, and calls: all in one turn of the loop


@pytest.fixture
def reported(caplog: pytest.LogCaptureFixture) -> threading.Event:
    """Set when a warning is logged, from whichever thread."""
    seen = threading.Event()
    caplog.set_level(logging.WARNING, "aixgo.runtime")
    caplog.handler.addFilter(lambda _: seen.set() or True)
    return seen


async def test_the_agent_that_blocks_the_loop_is_named_with_the_line(
    reported: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def outer(text: str) -> str:
        assert reported.wait(5), "nobody noticed"  # blocks the whole loop
        return text

    async with LocalRuntime(outer) as rt:
        await rt.call("outer", "x")
    text = caplog.records[0].getMessage()
    assert text.startswith("agent 'outer' has blocked the event loop for over 0.5 s")
    assert "threading.py" in text


async def test_of_nested_agents_the_innermost_is_named(
    reported: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def inner(text: str) -> str:
        assert reported.wait(5), "nobody noticed"
        return text

    @agent
    async def outer(text: str, caller: Caller) -> str:
        return (await caller.call("inner", text)).text

    async with LocalRuntime(outer, inner) as rt:
        await rt.call("outer", "x")
    assert "agent 'inner' has blocked" in caplog.records[0].getMessage()


async def test_code_outside_any_agent_is_not_blamed_on_one(
    reported: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def idle(text: str) -> str:
        return text

    async with LocalRuntime(idle):
        assert reported.wait(5), "nobody noticed"
    assert "code outside any agent has blocked" in caplog.records[0].getMessage()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_loop_that_is_merely_busy_is_nobodys_fault(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def brief(text: str) -> str:
        end = time.perf_counter() + STEP
        while time.perf_counter() < end:  # real work, so that the loop has no time to answer
            pass
        return text

    async def many() -> float:
        async with LocalRuntime(brief) as rt:
            began = time.perf_counter()
            await asyncio.gather(*(rt.call("brief", "x") for _ in range(STEPS)))
            return time.perf_counter() - began

    factory = pytest.importorskip(loop).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(many()) > STEP * STEPS
    assert not caplog.records


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_among_busy_agents_the_one_that_blocks_is_named(
    loop: str, reported: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def brief(text: str) -> str:
        return text

    @agent
    async def stuck(text: str) -> str:
        assert reported.wait(5), "nobody noticed"
        return text

    async def many() -> None:
        async with LocalRuntime(brief, stuck) as rt:
            await asyncio.gather(
                *(rt.call("brief", "x") for _ in range(STEPS)), rt.call("stuck", "x")
            )

    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(many())
    (record,) = caplog.records
    assert record.getMessage().startswith("agent 'stuck' has blocked")


async def test_the_watch_ends_with_its_runtime() -> None:
    async with LocalRuntime():
        watching = [t for t in threading.enumerate() if t.name == "aixgo-loop-watch"]
        assert watching
    for thread in watching:
        thread.join(5)
        assert not thread.is_alive()
