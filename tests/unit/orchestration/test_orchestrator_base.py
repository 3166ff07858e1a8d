"""What every pattern gets from its base: binding, limits, metadata, streaming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aixgo import CallContext, Caller, Message, agent
from aixgo.agents import ChatAgent
from aixgo.errors import (
    AgentRefused,
    ConfigError,
    DeadlineExceeded,
    HopLimit,
    LimitExceeded,
    NotBound,
    rebuild_error,
)
from aixgo.ledger import Usage
from aixgo.orchestration import (
    Aggregation,
    Consensus,
    Debate,
    Ensemble,
    Limits,
    Orchestrator,
    Parallel,
    Planning,
    Router,
    Sequential,
)
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider, ScriptedStream


@agent
async def upper(text: str) -> str:
    return text.upper()


async def test_executing_a_pattern_nobody_hosts_is_refused() -> None:
    flow = Sequential("flow", [upper])
    with pytest.raises(NotBound):
        await flow.execute(Message("x"))

    @agent
    async def sneaks(text: str) -> str:
        return (await flow.execute(Message(text))).text

    async with LocalRuntime(sneaks) as rt:
        with pytest.raises(NotBound):
            await rt.call("sneaks", "x")


@pytest.mark.parametrize(
    "name", ["max_agents", "max_depth", "max_iterations", "timeout", "max_tokens"]
)
@pytest.mark.parametrize("value", [-1, True, "5", None, float("nan")])
def test_a_limit_that_is_none_is_refused(name: str, value: object) -> None:
    given: Any = {name: value}
    with pytest.raises(ConfigError, match=f"Limits: {name}"):
        Limits(**given)


def test_a_part_of_an_agent_is_no_limit() -> None:
    agents: Any = 1.5
    with pytest.raises(ConfigError, match="max_agents must be a whole number, not float"):
        Limits(max_agents=agents)


def test_limits_are_read_from_configuration() -> None:
    assert Limits.from_config({"timeout": "2m", "max_depth": 3}) == Limits(timeout=120, max_depth=3)
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        Limits.from_config({"max_deth": 3})


def test_two_agents_of_one_name_are_refused_and_one_agent_twice_is_not() -> None:
    assert Sequential("flow", [upper, "upper", upper]).members == (upper,)
    with pytest.raises(ConfigError, match="two different agents called 'a'"):
        Sequential("flow", [RecordingAgent("a"), RecordingAgent("a")])


def test_a_slot_holds_an_agent_or_a_name_and_nothing_else() -> None:
    with pytest.raises(ConfigError, match="not function"):
        Sequential("flow", [lambda text: text])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="is empty"):
        Sequential("flow", [""])


async def test_results_carry_pattern_and_what_was_spent_below() -> None:
    spends = ChatAgent(
        "spends",
        provider=ScriptedProvider(["hi"], usage=Usage(cost_nanos=5_000, tokens_prompt=3, calls=1)),
    )
    async with LocalRuntime(Sequential("outer", [Sequential("inner", [spends]), upper])) as rt:
        reply = await rt.call("outer", "x")
    assert reply.text == "HI"
    assert reply.metadata["pattern"] == "sequential"
    assert reply.metadata["cost_usd"] == pytest.approx(5e-6)
    assert reply.metadata["tokens_total"] == 3
    assert reply.usage.calls == 1


async def test_results_that_cost_nothing_say_so() -> None:
    async with LocalRuntime(Sequential("flow", [upper])) as rt:
        reply = await rt.call("flow", "x")
    assert (reply.metadata["cost_usd"], reply.metadata["tokens_total"]) == (0.0, 0)


async def test_max_tokens_stops_the_next_call_and_not_the_one_that_spent() -> None:
    provider = ScriptedProvider(["one"], usage=Usage(tokens_prompt=50, calls=1))
    after = RecordingAgent("after")
    flow = Sequential(
        "flow", [ChatAgent("a", provider=provider), after], limits=Limits(max_tokens=49)
    )
    async with LocalRuntime(flow) as rt:
        with pytest.raises(LimitExceeded, match="max_tokens of 49"):
            await rt.call("flow", "x")
    assert len(provider.requests) == 1
    assert after.messages == []


async def test_max_depth_counts_agents_below() -> None:
    nested = Sequential("inner", [upper])
    async with LocalRuntime(Sequential("deep", [nested], limits=Limits(max_depth=2))) as rt:
        assert (await rt.call("deep", "x")).text == "X"
    async with LocalRuntime(Sequential("deep", [nested], limits=Limits(max_depth=1))) as rt:
        with pytest.raises(HopLimit):
            await rt.call("deep", "x")


async def test_the_limits_timeout_ends_the_inner_call() -> None:
    stuck = RecordingAgent("stuck", gated=True)
    async with (
        asyncio.timeout(5),
        LocalRuntime(Sequential("f", [stuck], limits=Limits(timeout=0.05))) as rt,
    ):
        with pytest.raises(DeadlineExceeded):
            await rt.call("f", "x")
    assert stuck.cancelled == 1


async def test_max_agents_is_checked_when_the_runtime_starts() -> None:
    flow = Sequential("flow", [upper, RecordingAgent("b")], limits=Limits(max_agents=1))
    with pytest.raises(LimitExceeded, match="max_agents"):
        async with LocalRuntime(flow):
            pass


async def test_keys_of_inner_calls_name_the_step_and_count_repetitions() -> None:
    keys: list[str] = []

    @agent
    async def notes(text: str, context: CallContext) -> str:
        keys.append(context.key)
        return text

    async with LocalRuntime(Sequential("flow", [notes, Parallel("p", [notes]), notes])) as rt:
        await rt.call("flow", "x")
        plain = list(keys)
        keys.clear()
        async with rt.stream("flow", "x") as chunks:
            async for _ in chunks:
                pass
    assert plain == ["flow/notes", "flow/p/notes", "flow/notes[1]"]
    assert keys == plain


async def test_streaming_forwards_inner_chunks_with_their_path_and_ends_with_the_result() -> None:
    chat = ChatAgent("chat", provider=ScriptedProvider([ScriptedStream(["he", "llo"])]))
    async with LocalRuntime(Sequential("outer", [Sequential("inner", [chat]), upper])) as rt:
        async with rt.stream("outer", "x") as chunks:
            seen = [(chunk.path, chunk.source, chunk.content) async for chunk in chunks]
        final = chunks.final
    assert seen == [
        (("outer", "inner", "chat"), "chat", "he"),
        (("outer", "inner", "chat"), "chat", "llo"),
        (("outer", "upper"), "upper", "HELLO"),
    ]
    assert final is not None
    assert final.text == "HELLO"
    assert final.metadata["pattern"] == "sequential"
    assert final.usage.calls == 1


async def test_streaming_gives_the_error_of_the_run() -> None:
    refuses = RecordingAgent("refuses", [AgentRefused("not today")])
    async with (
        LocalRuntime(Sequential("flow", [upper, refuses])) as rt,
        rt.stream("flow", "x") as chunks,
    ):
        assert (await anext(chunks)).content == "X"
        with pytest.raises(AgentRefused, match="not today"):
            await anext(chunks)


async def test_leaving_a_stream_early_stops_the_inner_agents() -> None:
    stopped = asyncio.Event()

    @agent
    async def endless(text: str) -> AsyncIterator[str]:
        try:
            while True:
                yield text
                await asyncio.sleep(0)
        finally:
            stopped.set()

    async with asyncio.timeout(5), LocalRuntime(Sequential("flow", [endless])) as rt:
        async with rt.stream("flow", "x") as chunks:
            async for _ in chunks:
                break
        await stopped.wait()
        assert rt.metrics()["calls_in_flight"] == 0


async def test_a_slow_reader_slows_the_producer_down() -> None:
    produced = 0

    @agent
    async def eager(text: str) -> AsyncIterator[str]:
        nonlocal produced
        for _ in range(10_000):
            produced += 1
            yield text

    async with (
        asyncio.timeout(5),
        LocalRuntime(Sequential("flow", [eager])) as rt,
        rt.stream("flow", "x") as chunks,
    ):
        await anext(chunks)
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert produced < 200


async def test_a_pattern_of_ones_own_needs_only_run() -> None:
    from aixgo.orchestration.base import Orchestrator

    class Twice(Orchestrator):
        pattern = "twice"

        @classmethod
        def from_config(cls, name, agents, config, limits):  # type: ignore[no-untyped-def]
            return cls(name, agents, limits=limits)

        async def run(self, message: Message, caller: Caller) -> Message:
            first = await caller.call("upper", message)
            return await caller.call("upper", f"{first.text}{first.text}")

    async with LocalRuntime(Twice("twice", [upper])) as rt:
        reply = await rt.call("twice", "a")
    assert (reply.text, reply.metadata["pattern"]) == ("AA", "twice")


def test_errors_of_patterns_survive_the_wire() -> None:
    error = AgentRefused("all 2 agents of 'p' failed")
    assert str(rebuild_error("AgentRefused", error.wire_fields())) == str(error)


def test_limits_that_are_none_are_refused_where_they_are_given() -> None:
    limits: Any = {"timeout": 5}
    with pytest.raises(ConfigError, match=r"give Limits\(…\)"):
        Sequential("flow", [upper], limits=limits)
    seconds: Any = "5s"
    with pytest.raises(ConfigError, match="Limits: timeout must be seconds, not the text '5s'"):
        Limits(timeout=seconds)


def test_routes_without_categories_are_refused() -> None:
    routes: Any = [upper]
    with pytest.raises(ConfigError, match="routes is a mapping of category → agent"):
        Router("either", upper, routes)


@pytest.mark.parametrize("agents", ["upper", upper])
@pytest.mark.parametrize(
    "make",
    [
        lambda agents: Aggregation("p", agents),
        lambda agents: Consensus("p", agents),
        lambda agents: Debate("p", agents),
        lambda agents: Ensemble("p", agents),
        lambda agents: Parallel("p", agents),
        lambda agents: Planning("p", "planner", agents),
        lambda agents: Sequential("p", agents),
    ],
)
def test_one_agent_in_place_of_a_list_is_refused(
    make: Callable[[Any], Orchestrator], agents: Any
) -> None:
    with pytest.raises(ConfigError, match=r"'p': give a list of agents, not one"):
        make(agents)
