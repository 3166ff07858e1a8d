"""Sequential."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import agent
from aixgo.agents import ChatAgent
from aixgo.errors import AgentRefused, ConfigError, DeadlineExceeded
from aixgo.orchestration import Limits, Sequential
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def exclaim(text: str) -> str:
    return f"{text}!"


async def test_each_output_is_the_next_input() -> None:
    async with LocalRuntime(Sequential("flow", [upper, exclaim, exclaim])) as rt:
        reply = await rt.call("flow", "hi")
    assert reply.text == "HI!!"
    assert reply.metadata["steps"] == [
        {"agent": "upper"},
        {"agent": "exclaim"},
        {"agent": "exclaim"},
    ]
    assert reply.metadata["step_count"] == 3


async def test_agents_may_be_given_by_name() -> None:
    async with LocalRuntime(upper, Sequential("flow", ["upper"])) as rt:
        assert (await rt.call("flow", "hi")).text == "HI"


async def test_an_error_stops_the_run_with_its_own_class() -> None:
    after = RecordingAgent("after")
    refuses = RecordingAgent("refuses", [AgentRefused("no")])
    async with LocalRuntime(Sequential("flow", [refuses, after])) as rt:
        with pytest.raises(AgentRefused, match="no"):
            await rt.call("flow", "hi")
    assert after.messages == []


async def test_continue_skips_a_failed_step_and_notes_it() -> None:
    refuses = RecordingAgent("refuses", [AgentRefused("no")])
    async with LocalRuntime(
        Sequential("flow", [upper, refuses, exclaim], on_error="continue")
    ) as rt:
        reply = await rt.call("flow", "hi")
    assert reply.text == "HI!"
    assert reply.metadata["steps"] == [
        {"agent": "upper"},
        {"agent": "refuses", "error": "AgentRefused"},
        {"agent": "exclaim"},
    ]


async def test_continue_still_fails_when_no_step_succeeds() -> None:
    refuses = RecordingAgent("refuses", [AgentRefused("first"), AgentRefused("second")])
    async with LocalRuntime(Sequential("flow", [refuses, refuses], on_error="continue")) as rt:
        with pytest.raises(AgentRefused, match="second"):
            await rt.call("flow", "hi")


async def test_a_step_has_its_own_timeout() -> None:
    stuck = RecordingAgent("stuck", gated=True)
    flow = Sequential("flow", [stuck, upper], timeout=0.05, on_error="continue")
    async with asyncio.timeout(5), LocalRuntime(flow) as rt:
        reply = await rt.call("flow", "hi")
    assert reply.text == "HI"
    assert reply.metadata["steps"] == [
        {"agent": "stuck", "error": "DeadlineExceeded"},
        {"agent": "upper"},
    ]


async def test_continue_ends_when_the_whole_time_is_up() -> None:
    stuck, after = RecordingAgent("stuck", gated=True), RecordingAgent("after")
    flow = Sequential("flow", [stuck, after], on_error="continue", limits=Limits(timeout=0.05))
    async with asyncio.timeout(5), LocalRuntime(flow) as rt:
        with pytest.raises(DeadlineExceeded):
            await rt.call("flow", "hi")
    assert after.messages == []


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one agent"):
        Sequential("flow", [])
    with pytest.raises(ConfigError, match="on_error"):
        Sequential("flow", [upper], on_error="ignore")  # type: ignore[arg-type]


def test_it_is_built_from_configuration() -> None:
    config = {"on_error": "continue", "step_timeout": "500ms"}
    flow = Sequential.from_config("flow", ["a", "b"], config, Limits())
    assert (flow.on_error, flow.timeout, flow.members) == ("continue", 0.5, ("a", "b"))
    with pytest.raises(ConfigError, match="did you mean 'on_error'"):
        Sequential.from_config("flow", ["a"], {"onerror": "stop"}, Limits())


async def test_a_model_agents_facts_survive_as_metadata_of_the_result() -> None:
    async with LocalRuntime(Sequential("flow", [ChatAgent("chat", model="offline")])) as rt:
        reply = await rt.call("flow", "The sun is a star. It shines.")
    assert reply.metadata["offline"] is True
