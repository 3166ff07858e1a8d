"""Who speaks after a fan is left a part of the budget, though every voice of the fan spends all that it is lent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from aixgo import Budget, CallContext, Message, Usage
from aixgo.errors import AgentNotReady
from aixgo.message import JSONValue
from aixgo.orchestration import (
    RAG,
    Aggregation,
    Consensus,
    Debate,
    Ensemble,
    ErrorStrategy,
    Hierarchical,
    MapReduce,
    Orchestrator,
    Parallel,
    Planning,
)
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import IN_PROCESS, Actor, Rule, open_stage

EACH = 2  # model calls of each part


class Spender:
    """A voice: spends whatever it is lent, then answers; fails at first if it `fails`."""

    role = "spender"

    def __init__(self, name: str, rule: Rule, *, fails: bool = False) -> None:
        self.name = name
        self._rule = rule
        self._fails = fails
        self.lent: list[int] = []

    async def execute(self, message: Message) -> Message:
        context = CallContext.current()
        assert context.budget is not None
        self.lent.append(context.budget.calls or 0)
        context.charge(Usage(calls=self.lent[-1]))
        if self._fails and len(self.lent) == 1:
            raise AgentNotReady(self.name)
        return Message.of(self._rule(message.payload))  # type: ignore[arg-type]  # rules answer to text and JSON


@dataclass(frozen=True)
class Fan:
    """A team whose voices are `a` and `b`, and whose last word has `z`."""

    team: Callable[[], Orchestrator]
    parts: int = 3
    """How many share the budget: the two voices, and each call after them."""
    before: int = 0
    """Model calls before the fan."""
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """What agents say in place of their names."""
    given: JSONValue = "rain"
    gives: JSONValue = "z"


def plan(_: JSONValue) -> JSONValue:
    return {"steps": [{"agent": "a"}, {"agent": "b"}]}


def manages(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return "z" if "results" in asked else {"team_assignments": {"x": "this", "y": "that"}}


def found(_: JSONValue) -> JSONValue:
    return [{"id": "1", "content": "rain"}]


def keeps(_: JSONValue) -> JSONValue:
    return ["1"]


def agrees(_: JSONValue) -> JSONValue:
    return "yes"


FANS: Mapping[str, Fan] = {
    "aggregation": Fan(lambda: Aggregation("t", ["a", "b"], strategy="summarize", summarizer="z")),
    "aggregation-best": Fan(
        lambda: Aggregation("t", ["a", "b"], strategy="best", scorer="z"),
        parts=4,
        rules={"z": lambda _: {"score": 0.5}},
        gives="a",
    ),
    "consensus": Fan(
        lambda: Consensus("t", ["a", "b"], synthesizer="z"), rules={"a": agrees, "b": agrees}
    ),
    "debate": Fan(
        lambda: Debate("t", ["a", "b"], judge="z", rounds=1),
        rules={"z": lambda _: {"winner": "b"}},
        gives="b",
    ),
    "ensemble": Fan(lambda: Ensemble("t", ["a", "b"], threshold=1, fallback="z")),
    "hierarchical": Fan(
        lambda: Hierarchical("t", "z", {"x": "a", "y": "b"}), before=1, rules={"z": manages}
    ),
    "mapreduce": Fan(lambda: MapReduce("t", ["a", "b"], reducer="z"), given="1\n2"),
    "parallel": Fan(lambda: Parallel("t", ["a", "b"], aggregator="z")),
    "parallel-fail-fast": Fan(lambda: Parallel("t", ["a", "b"], aggregator="z", fail_fast=True)),
    "parallel-strategy": Fan(
        lambda: Parallel("t", ["a", "b"], aggregator="z", error_strategy="continue")
    ),
    "planning": Fan(
        lambda: Planning("t", "p", ["a", "b"], synthesizer="z"), before=1, rules={"p": plan}
    ),
    "rag": Fan(lambda: RAG("t", ["a", "b"], "z"), rules={"a": found, "b": found}),
    "rag-picks": Fan(
        lambda: RAG("t", ["a", "b"], "z", relevance_filter="f", reranker="r"),
        parts=5,
        rules={"a": found, "b": found, "f": keeps, "r": keeps},
    ),
}


def rule_of(fan: Fan, name: str) -> Rule:
    return fan.rules.get(name, lambda _: name)


@pytest.mark.parametrize("name", FANS)
@pytest.mark.parametrize("kind", ["call", "stream"])
@pytest.mark.parametrize("leg", IN_PROCESS)
async def test_who_speaks_last_is_left_as_much_as_a_voice_gets(
    name: str, leg: str, kind: str
) -> None:
    fan = FANS[name]
    voices = [Spender(voice, rule_of(fan, voice)) for voice in "ab"]
    others = [Actor(other, rule_of(fan, other)) for other in {"z", *fan.rules} - {*"ab"}]
    budget = Budget(calls=fan.parts * EACH + fan.before)
    async with (
        asyncio.timeout(HANG),
        open_stage(leg, [fan.team()], [*voices, *others]) as stage,
    ):
        if kind == "call":
            reply = await stage.rt.call("t", fan.given, budget=budget)
        else:
            async with stage.rt.stream("t", fan.given, budget=budget, share=1) as chunks:
                async for _ in chunks:
                    pass
            assert chunks.final is not None
            reply = chunks.final
        assert reply.payload == fan.gives
        assert [voice.lent for voice in voices] == [[EACH], [EACH]]
        assert reply.usage is not None
        assert reply.usage.calls <= (budget.calls or 0)


async def test_a_team_within_a_fan_leaves_of_its_part_to_whoever_speaks_last_in_it() -> None:
    inner = MapReduce("inner", ["a", "b"], reducer="y")
    outer = Parallel("t", [inner, "c"], aggregator="z")
    voices = [Spender(voice, agrees) for voice in "abc"]
    last = [Actor("y", agrees), Actor("z", agrees)]
    async with asyncio.timeout(HANG), open_stage("local", [outer], [*voices, *last]) as stage:
        reply = await stage.rt.call("t", "1\n2", budget=Budget(calls=9))
    assert reply.text == "yes"
    assert [voice.lent for voice in voices] == [[1], [1], [3]]


async def test_attempts_of_a_voice_take_nothing_of_what_is_left_for_later() -> None:
    strategy = ErrorStrategy("retry", retry_delay=0)
    voices = [Spender("a", agrees, fails=True), Spender("b", agrees)]
    team = Parallel("t", ["a", "b"], aggregator="z", error_strategy=strategy)
    async with (
        asyncio.timeout(HANG),
        open_stage("local", [team], [*voices, Actor("z", agrees)]) as stage,
    ):
        reply = await stage.rt.call("t", "rain", budget=Budget(calls=6))
    assert reply.text == "yes"
    assert [voice.lent for voice in voices] == [[2, 0], [2]]


async def test_each_round_of_a_debate_leaves_a_part_to_its_judge() -> None:
    voices = [Spender("a", lambda _: "a"), Spender("b", lambda _: "b")]
    team = Debate("t", ["a", "b"], judge="z", rounds=2, early_end=False)
    judge = Actor("z", lambda _: {"winner": "b"})
    async with asyncio.timeout(HANG), open_stage("local", [team], [*voices, judge]) as stage:
        reply = await stage.rt.call("t", "rain", budget=Budget(calls=9))
    assert reply.text == "b"
    assert [voice.lent for voice in voices] == [[3, 1], [3, 1]]
