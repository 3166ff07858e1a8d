"""What a result says of its run: what its own pattern did, what an agent said of its answer, and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import pytest

from aixgo import Agent, Caller, LocalRuntime, Message, agent
from aixgo.errors import AgentRefused
from aixgo.message import JSONValue, WireParts, from_wire
from aixgo.orchestration import (
    RAG,
    Debate,
    ErrorStrategy,
    Fact,
    Limits,
    Orchestrator,
    Parallel,
    Router,
    Sequential,
    Supervisor,
    _facts,
)
from aixgo.orchestration.base import COMMON, Slot
from aixgo.testing import RecordingAgent
from tests.unit.observability.collected import Collected
from tests.unit.orchestration.failing import Fails, down

NO: JSONValue = {"class": "AgentRefused", "text": "no"}
SEQUENTIAL = {"pattern", "agent_count", "cost_usd", "tokens_total", "steps", "step_count"}


def says(name: str, text: str = "x", **metadata: JSONValue) -> RecordingAgent:
    return RecordingAgent(name, [Message(text, metadata=metadata)] * 9)


def refuses(name: str = "refuses") -> RecordingAgent:
    return RecordingAgent(name, [AgentRefused("no")] * 9)


def lame(name: str = "lame") -> Parallel:
    """A pattern of which one agent fails."""
    return Parallel(name, [says("fine"), refuses()], aggregation="first")


async def metadata(pattern: Agent) -> dict[str, JSONValue]:
    async with LocalRuntime(pattern) as rt:
        return (await rt.call(pattern.name, "x")).metadata


class Asks(Orchestrator):
    """A pattern of somebody's own, that gives its agent's reply as it is, or with a fact."""

    pattern = "asks"
    facts: ClassVar[Mapping[str, Fact]] = {"rounds": Fact("how often it asked")}

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        return cls(name, agents, limits=limits)

    async def run(self, message: Message, caller: Caller) -> Message:
        (agent,) = self.members
        return await caller.call(agent if isinstance(agent, str) else agent.name, message)


class Counts(Asks):
    """The same, and says how often it asked."""

    pattern = "counts"

    async def run(self, message: Message, caller: Caller) -> Message:
        return self.result(await super().run(message, caller), rounds=1, unsaid=None)


# -- whose facts ----------------------------------------------------------------------------------------


async def test_what_a_pattern_inside_says_of_its_run_is_not_said_of_the_one_around_it() -> None:
    talk = Debate("talk", [says("one"), says("other")])
    assert set(await metadata(Sequential("p", [talk]))) == SEQUENTIAL


async def test_what_an_agent_says_of_its_answer_stays_through_all_patterns() -> None:
    sure = says("sure", confidence=0.9, lang="en")
    found = await metadata(Sequential("p", [Parallel("q", [sure], aggregation="first")]))
    assert (found["confidence"], found["lang"]) == (0.9, "en")


async def test_what_a_router_was_told_is_not_what_its_agent_said_of_the_answer() -> None:
    desk = Router("desk", says("kind", "a", confidence=0.8), {"a": says("a", lang="en")})
    found = await metadata(Sequential("p", [desk]))
    assert set(found) == {*SEQUENTIAL, "lang"}


async def test_the_sources_of_an_answer_stay_with_it() -> None:
    ask = RAG("ask", RecordingAgent("finds", [["roses"]]), RecordingAgent("writes", ["Water."]))
    found = await metadata(Sequential("p", [ask]))
    assert found["sources"] == ["roses"]
    assert "document_count" not in found


async def test_a_name_that_a_pattern_declares_is_its_own_whoever_else_says_it() -> None:
    found = await metadata(Parallel("p", [says("a", winner="me", retries=7)], aggregation="first"))
    assert not {"winner", "retries"} & set(found)


async def test_a_pattern_within_one_of_its_kind_leaves_no_facts_there() -> None:
    desk = Supervisor("inner", [says("a")])
    found = await metadata(Supervisor("outer", [desk]))
    assert found["path"] == ["inner"]


@pytest.mark.parametrize("kind", [Asks, Counts])
async def test_a_pattern_of_ones_own_says_what_it_declares(kind: type[Asks]) -> None:
    talk = Debate("talk", [says("one"), says("other")], rounds=3, early_end=False)
    found = await metadata(kind("p", [kind("q", [Sequential("s", [talk])])]))
    assert found.get("rounds") == (1 if kind is Counts else None)
    assert (found["pattern"], found["agent_count"]) == (kind.pattern, 1)
    assert set(found) <= set(kind.facts)


async def test_a_pattern_that_is_not_installed_here_leaves_what_it_declares() -> None:
    elsewhere = says("elsewhere", pattern="made-elsewhere", agent_count=4, orbit=3)
    found = await metadata(Sequential("p", [elsewhere]))
    assert (found["pattern"], found["agent_count"], found["orbit"]) == ("sequential", 1, 3)


async def test_any_number_of_patterns_that_are_not_installed_leave_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(_facts._declared, "debate")
    monkeypatch.delitem(sys.modules, "aixgo.orchestration.debate")
    for number in range(200):
        await metadata(Sequential("p", [says("elsewhere", pattern=f"unheard-of-{number}")]))
    found = await metadata(Sequential("p", [says("talk", pattern="debate", rounds=3, lang="en")]))
    assert set(found) == {*SEQUENTIAL, "lang"}


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_metadata_that_cannot_be_read_is_the_error_of_its_agent_alone(
    streaming: bool,
) -> None:
    @agent
    async def broken(text: str) -> Message:
        parts = WireParts("text", text, "", b'{"a', 1)
        return from_wire(parts, id="1", type="message", source="")

    async with LocalRuntime(Parallel("p", [broken, says("a")])) as rt:
        if streaming:
            async with rt.stream("p", "x") as chunks:
                async for _ in chunks:
                    pass
            reply = chunks.final
        else:
            reply = await rt.call("p", "x")
    assert reply is not None
    assert reply.payload == {"a": "x"}
    assert "InvalidMessage" in str(reply.metadata["errors"])


def test_every_pattern_declares_what_all_results_say() -> None:
    assert all(Debate.facts[name] == fact for name, fact in COMMON.items())
    assert "rounds" not in Orchestrator.facts


# -- what went wrong inside -----------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_what_is_missing_inside_is_told_by_all_around_it(streaming: bool) -> None:
    pattern = Sequential("p", [Parallel("q", [lame(), says("b")])])
    async with LocalRuntime(pattern) as rt:
        if streaming:
            async with rt.stream("p", "x") as chunks:
                async for _ in chunks:
                    pass
            reply = chunks.final
        else:
            reply = await rt.call("p", "x")
    assert reply is not None
    errors: JSONValue = {"degraded": True, "errors": {"refuses": NO}}
    inner: JSONValue = {"q": {"degraded": True, "inner": {"lame": errors}}}
    assert (reply.metadata["degraded"], reply.metadata["inner"]) == (True, inner)
    assert "errors" not in reply.metadata


async def test_patterns_inside_are_told_of_in_the_order_they_were_given() -> None:
    late = Sequential("late", [says("a"), lame()])
    early = Supervisor("early", [says("b", done=False)], max_rounds=1)
    found = await metadata(Parallel("p", [late, early]))
    assert isinstance(found["inner"], dict)
    assert list(found["inner"]) == ["late", "early"]


async def test_a_run_is_not_degraded_by_what_merely_ended_early_inside() -> None:
    flow = Supervisor("in", [says("a", done=False)], max_rounds=1)
    found = await metadata(Sequential("p", [flow, says("b", stopped_by="max_rounds", errors=2)]))
    assert found["inner"] == {
        "in": {"stopped_by": "max_rounds"},
        "b": {"stopped_by": "max_rounds"},
    }
    assert not {"degraded", "stopped_by"} & set(found)
    assert found["errors"] == 2  # the agent's own, of its answer


async def test_who_answered_instead_inside_is_told() -> None:
    strategy = ErrorStrategy("retry", 0, fallbacks={"a": [Fails("spare")]})
    q = Sequential("q", [Fails("a", [down()])], error_strategy=strategy)
    found = await metadata(Sequential("p", [q]))
    inner = cast("dict[str, Any]", found["inner"])
    assert inner["q"]["fallbacks"]["a"]["served_by"] == "spare"
    assert "degraded" not in found


# -- who watches ----------------------------------------------------------------------------------------


async def test_a_run_is_measured_by_its_own_facts_alone() -> None:
    talk = Debate("talk", [says("one"), says("other")])
    with Collected() as collected:
        await metadata(Sequential("p", [talk, lame()]))
        found = collected.all()
    assert set(found["aixgo.orchestration.rounds"]) == {("debate", "talk")}
    assert set(found["aixgo.orchestration.agreement"]) == {("debate", "talk")}
    assert set(found["aixgo.orchestration.steps"]) == {("sequential", "p")}
    assert found["aixgo.orchestration.degraded"] == {("parallel", "lame"): (1, 1)}


async def test_retries_are_counted_for_the_run_that_made_them() -> None:
    flaky = Sequential("flaky", [Fails("a", [down()])], error_strategy=ErrorStrategy("retry", 1, 0))
    with Collected() as collected:
        await metadata(Sequential("p", [flaky], error_strategy="retry"))
        assert collected["aixgo.orchestration.retries"] == {("sequential", "flaky"): (1, 1)}
