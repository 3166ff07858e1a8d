"""The loop watch: names who blocks the loop."""

from __future__ import annotations

import logging
import threading

import pytest

from aixgo import Caller, LocalRuntime, agent


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


async def test_the_watch_ends_with_its_runtime() -> None:
    async with LocalRuntime():
        watching = [t for t in threading.enumerate() if t.name == "aixgo-loop-watch"]
        assert watching
    for thread in watching:
        thread.join(5)
        assert not thread.is_alive()
