"""Parallel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Literal

import pytest

from aixgo import Budget, Message, agent
from aixgo.agents import ChatAgent
from aixgo.decorator import AgentFunction
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
)
from aixgo.middleware import ReplyStream
from aixgo.orchestration import Limits, Parallel
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider, served


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def size(text: str) -> dict[str, int]:
    return {"length": len(text)}


@agent
async def broken(text: str) -> str:
    raise RuntimeError(text)


async def drained(stream: AbstractAsyncContextManager[ReplyStream]) -> None:
    async with stream as chunks:
        async for _ in chunks:
            pass


async def test_replies_become_an_object_in_target_order() -> None:
    async with LocalRuntime(Parallel("p", [size, upper])) as rt:
        reply = await rt.call("p", "hi")
    assert reply.payload == {"size": {"length": 2}, "upper": "HI"}
    assert list(reply.payload) == ["size", "upper"]
    assert reply.type == "aggregated"
    assert reply.metadata["agent_count"] == 2
    assert "errors" not in reply.metadata


async def test_all_agents_are_under_way_at_once_and_order_does_not_follow_completion() -> None:
    first, second = (
        RecordingAgent("first", ["1"], gated=True),
        RecordingAgent("second", ["2"], gated=True),
    )
    async with (
        asyncio.timeout(5),
        LocalRuntime(Parallel("p", [first, second], aggregation="concat")) as rt,
    ):
        call = asyncio.create_task(rt.call("p", "x"))
        await first.started.wait()
        await second.started.wait()
        assert (first.running, second.running) == (1, 1)
        second.release()
        await second.finished.wait()
        first.release()
        reply = await call
    assert (reply.text, reply.type) == ("1\n\n2", "concatenated")


async def test_a_failed_agent_is_dropped_and_its_reason_told() -> None:
    async with LocalRuntime(Parallel("p", [broken, upper])) as rt:
        reply = await rt.call("p", "hi")
    assert reply.payload == {"upper": "HI"}
    errors = reply.metadata["errors"]
    assert isinstance(errors, dict)
    assert errors["broken"]["class"] == "AgentFailed"  # type: ignore[index,call-overload]
    assert "hi" not in str(errors)


async def test_a_failed_agent_can_be_kept_in_the_result() -> None:
    async with LocalRuntime(Parallel("p", [broken, upper], on_error="keep")) as rt:
        reply = await rt.call("p", "hi")
    assert isinstance(reply.payload, dict)
    assert list(reply.payload) == ["broken", "upper"]
    assert reply.payload["broken"]["error"]["class"] == "AgentFailed"  # type: ignore[index,call-overload]


async def test_a_failed_agent_can_fail_the_run_after_the_others_finished() -> None:
    other = RecordingAgent("other")
    async with LocalRuntime(Parallel("p", [broken, other], on_error="raise")) as rt:
        with pytest.raises(AgentFailed):
            await rt.call("p", "hi")
    assert len(other.messages) == 1


@pytest.mark.parametrize("on_error", ["drop", "keep"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_budget_that_is_not_enough_fails_the_run_and_not_only_the_agent(
    on_error: Literal["drop", "keep"], streaming: bool
) -> None:
    model = ScriptedProvider(["a line"], cycle=True)
    writer = ChatAgent("writer", provider=model, max_tokens=5_000)
    flow = Parallel("p", [upper, writer], on_error=on_error)
    async with LocalRuntime(flow) as rt:
        budget = Budget(tokens=1_000)
        run = rt.stream("p", "hi", budget=budget) if streaming else None
        with pytest.raises(BudgetExceeded) as failed:
            await (rt.call("p", "hi", budget=budget) if run is None else drained(run))
    assert failed.value.where == "p → writer"
    assert model.requests == []


@pytest.mark.parametrize("streaming", [False, True])
async def test_fail_fast_stops_the_others(streaming: bool) -> None:
    stuck = RecordingAgent("stuck", gated=True)

    @agent
    async def fails(text: str) -> str:
        await stuck.started.wait()
        raise AgentRefused(text)

    async with (
        asyncio.timeout(5),
        LocalRuntime(Parallel("p", [stuck, fails], fail_fast=True)) as rt,
    ):
        run = drained(rt.stream("p", "hi")) if streaming else rt.call("p", "hi")
        with pytest.raises(AgentRefused, match="hi"):
            await run
        assert stuck.cancelled == 1


async def test_an_agent_that_is_stopped_cleans_up_however_soon_the_others_are_done() -> None:
    cleaned: list[str] = []
    began = asyncio.Event()

    def tidy(name: str, turns: int) -> AgentFunction[[str], Awaitable[str]]:
        @agent(name=name)
        async def tidies(text: str) -> str:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(turns):
                    await asyncio.sleep(0)
                cleaned.append(name)
            return text

        return tidies

    @agent
    async def fails(text: str) -> str:
        await began.wait()
        raise AgentRefused(text)

    team = [tidy("quick", 1), tidy("slow", 20), fails]
    async with asyncio.timeout(5), LocalRuntime(Parallel("p", team, fail_fast=True)) as rt:
        with pytest.raises(AgentRefused, match="hi"):
            await rt.call("p", "hi")
        assert cleaned == ["quick", "slow"]


async def test_when_all_fail_the_error_names_them() -> None:
    refuses = RecordingAgent("refuses", [AgentRefused("no")])
    async with LocalRuntime(Parallel("p", [broken, refuses])) as rt:
        with pytest.raises(
            AgentRefused, match="all 2 agents of 'p' failed: broken: AgentFailed; refuses"
        ):
            await rt.call("p", "hi")


async def test_too_few_successes_fail_the_run() -> None:
    async with LocalRuntime(Parallel("p", [broken, upper], min_successes=2)) as rt:
        with pytest.raises(
            AgentRefused, match="only 1 agent of 'p' answered, 2 are needed: broken"
        ):
            await rt.call("p", "hi")


async def test_merge_puts_each_text_under_its_agents_name() -> None:
    async with LocalRuntime(Parallel("p", [upper, size], aggregation="merge")) as rt:
        reply = await rt.call("p", "hi")
    assert reply.text == '[upper]: HI\n---\n[size]: {"length":2}'


async def test_first_is_the_first_target_that_succeeded() -> None:
    async with LocalRuntime(Parallel("p", [broken, size, upper], aggregation="first")) as rt:
        assert (await rt.call("p", "hi")).payload == {"length": 2}


async def test_a_vote_gives_the_winning_reply() -> None:
    def votes(name: str, category: str, confidence: float) -> RecordingAgent:
        facts = {"category": category, "confidence": confidence}
        return RecordingAgent(name, [Message({"said": name}, metadata=facts)])

    voters = [votes("a", "no", 0.9), votes("b", "yes", 0.6), votes("c", "Yes", 0.5)]
    async with LocalRuntime(Parallel("p", voters, aggregation="voting")) as rt:
        reply = await rt.call("p", "well?")
    assert reply.payload == {"said": "b"}
    assert reply.metadata["winner"] == "b"
    assert reply.metadata["agreement"] == pytest.approx(2 / 3)
    assert reply.metadata["votes"] == {"no": 1.0, "yes": 2.0}


async def test_an_aggregator_agent_answers_in_their_place() -> None:
    aggregator = RecordingAgent("judge", ["verdict"])
    async with LocalRuntime(Parallel("p", [upper, size], aggregator=aggregator)) as rt:
        assert (await rt.call("p", "hi")).text == "verdict"
    assert aggregator.messages[0].payload == {"upper": "HI", "size": {"length": 2}}


async def test_a_function_aggregates() -> None:
    pattern = Parallel("p", [upper, size], aggregation=sorted)
    async with LocalRuntime(pattern) as rt:
        assert (await rt.call("p", "hi")).payload == ["size", "upper"]


async def test_a_stream_gives_the_same_result_as_a_call() -> None:
    async with LocalRuntime(Parallel("p", [upper, broken, size])) as rt:
        reply = await rt.call("p", "hi")
        async with rt.stream("p", "hi") as chunks:
            paths = {chunk.path async for chunk in chunks}
    assert chunks.final is not None
    assert chunks.final.payload == reply.payload
    assert paths == {("p", "upper"), ("p", "size")}


async def test_the_pattern_works_over_the_wire() -> None:
    async with served(Parallel("p", [upper, size])) as rt:
        assert (await rt.call("p", "hi")).payload == {"upper": "HI", "size": {"length": 2}}


async def test_a_bytes_payload_becomes_text_or_base64() -> None:
    picture = RecordingAgent("picture", [b"\x00\xff"])
    page = RecordingAgent("page", [Message(b"<p>", content_type="text/html")])
    async with LocalRuntime(Parallel("p", [picture, page])) as rt:
        assert (await rt.call("p", "x")).payload == {"picture": "AP8=", "page": "<p>"}


@pytest.mark.parametrize(
    ("agents", "options", "text"),
    [
        ([], {}, "at least one agent"),
        (["a", "a"], {}, "'a' is given twice"),
        (["a"], {"aggregation": "sum"}, "aggregation is 'sum', not one of json"),
        (["a"], {"voting_strategy": "loud"}, "voting_strategy is 'loud', not one of majority"),
        (["a"], {"on_error": "ignore"}, "on_error"),
        (["a"], {"min_successes": 2}, "min_successes is 2 of 1"),
    ],
)
def test_wrong_arguments_are_refused(agents: list[str], options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Parallel("p", agents, **options)  # type: ignore[arg-type]


def test_it_is_built_from_configuration() -> None:
    config = {"aggregation": "voting", "timeout": "2s", "fail_fast": True, "aggregator": "judge"}
    pattern = Parallel.from_config("p", ["a", "b"], config, Limits())
    assert (pattern.aggregation, pattern.timeout, pattern.fail_fast) == ("voting", 2.0, True)
    assert pattern.members == ("a", "b", "judge")


async def test_a_run_whose_time_is_up_fails_as_that_and_not_as_its_agents_refusing() -> None:
    never = asyncio.Event()

    @agent
    async def waits(text: str) -> str:
        await never.wait()
        return text

    @agent
    async def talks(text: str) -> AsyncIterator[str]:
        yield text
        await never.wait()

    async with (
        asyncio.timeout(10),
        LocalRuntime(Parallel("p", [waits, talks])) as rt,
        rt.stream("p", "x", timeout=0.05) as chunks,
    ):
        assert (await anext(aiter(chunks))).content == "x"
        context_is_over = asyncio.get_running_loop().time() + 0.06
        while asyncio.get_running_loop().time() < context_is_over:
            await asyncio.sleep(0)  # the reader is elsewhere when the time is up
        with pytest.raises(DeadlineExceeded):
            await anext(aiter(chunks))
