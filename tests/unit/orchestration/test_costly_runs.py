"""Runs that meet a budget or grow too large end with that, and not with half a result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aixgo import Agent, Budget, Message, Usage, agent
from aixgo.context import CallContext
from aixgo.errors import AgentRefused, BudgetExceeded, ConfigError, MessageTooLarge
from aixgo.message import MAX_MESSAGE_BYTES
from aixgo.orchestration import (
    Aggregation,
    Consensus,
    Debate,
    Ensemble,
    MapReduce,
    Orchestrator,
    Parallel,
    Reflection,
    Supervisor,
    Swarm,
)
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent

SURE = RecordingAgent("sure", [{"score": 1}])


async def answer(pattern: Orchestrator, given: str = "x", budget: Budget | None = None) -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(30):
        return await rt.call(pattern.name, given, budget=budget)


@agent
async def pays(_: str) -> dict[str, float]:
    context = CallContext.current()
    assert context.purse is not None
    await context.purse.reserve((0, 0, 1), "pays")
    context.charge(Usage(calls=1))
    return {"score": 0.5}


async def test_a_budget_that_one_of_several_critics_exceeds_ends_the_run() -> None:
    free = RecordingAgent("free", [{"score": 0.95}])
    pattern = Reflection("r", RecordingAgent("writer"), [free, pays])
    with pytest.raises(BudgetExceeded):
        await answer(pattern, budget=Budget(calls=0))


@pytest.mark.parametrize("pattern", [Ensemble, Aggregation, Debate, Consensus])
async def test_a_budget_that_pays_for_some_voices_only_ends_the_run(
    pattern: Callable[[str, list[Agent]], Orchestrator],
) -> None:
    free = [RecordingAgent("one", ["yes"]), RecordingAgent("two", ["yes"])]
    with pytest.raises(BudgetExceeded):
        await answer(pattern("p", [*free, pays]), budget=Budget(calls=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda failing: Parallel("p", [failing, RecordingAgent("b")]),
        lambda failing: Ensemble("p", [failing, RecordingAgent("b")]),
        lambda failing: Reflection("p", RecordingAgent("a"), [failing, SURE]),
    ],
)
async def test_a_result_repeats_of_a_long_refusal_the_beginning(
    make: Callable[[Agent], Orchestrator],
) -> None:
    failing = RecordingAgent("failing", [AgentRefused("no " * 10_000)])
    errors = (await answer(make(failing))).metadata["errors"]
    assert errors == {"failing": {"class": "AgentRefused", "text": ("no " * 86)[:256]}}


async def test_answers_that_fit_into_no_message_stop_the_chunks_that_are_left() -> None:
    quarter = "x" * (MAX_MESSAGE_BYTES // 4)
    mapper = RecordingAgent("mapper", [quarter] * 100)
    with pytest.raises(MessageTooLarge):
        await answer(MapReduce("m", mapper, max_parallel=1), "\n".join(map(str, range(100))))
    assert len(mapper.messages) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: Supervisor("s", "writer", manager="boss"),
        lambda: Supervisor("s", RecordingAgent("writer"), manager="boss"),
        lambda: Swarm("s", "writer", entry="desk"),
        lambda: Swarm("s", RecordingAgent("writer"), entry="desk"),
    ],
)
def test_one_agent_in_place_of_a_list_is_no_list_of_letters(
    make: Callable[[], Orchestrator],
) -> None:
    with pytest.raises(ConfigError, match="give a list of agents, not one"):
        make()
