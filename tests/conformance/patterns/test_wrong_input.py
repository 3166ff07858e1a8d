"""Answers a pattern cannot use, teams that cannot be, and circles: one clear error, wherever agents live.

Every pattern has its rows; a new one without any fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aixgo import DistributedRuntime, LocalRuntime, Message
from aixgo.errors import AgentExists, AgentNotFound, AgentRefused, ConfigError, HopLimit
from aixgo.loading import kinds
from aixgo.message import JSONValue
from aixgo.orchestration import (
    RAG,
    Aggregation,
    Classification,
    Consensus,
    Debate,
    Ensemble,
    Hierarchical,
    MapReduce,
    Orchestrator,
    Parallel,
    Planning,
    Reflection,
    Router,
    Sequential,
    Supervisor,
    Swarm,
)
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Actor, Rule, open_stage, refuses
from tests.unit.orchestration.teams import TEAMS

LEGS = ("local", "two-servers-stream")


@dataclass(frozen=True)
class Mistake:
    """A team whose agents answer what it cannot use, and what it says then."""

    team: Callable[[], Orchestrator]
    says: Mapping[str, Rule]
    text: str
    given: JSONValue = "rain"


def say(what: JSONValue | Message) -> Rule:
    return lambda _: what


def even(text: JSONValue) -> JSONValue:
    """Refuses every other chunk."""
    return refuses(text) if str(text).endswith("s") else text


YES, NO = say("yes"), say("no")
CIRCLE: JSONValue = {
    "steps": [
        {"id": "one", "agent": "b", "depends_on": ["two"]},
        {"id": "two", "agent": "b", "input": "{one}"},
    ]
}

MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    "aggregation": {
        "a scorer off its scale": Mistake(
            lambda: Aggregation("t", ["a"], strategy="best", scorer="b"),
            {"a": YES, "b": say("15/10")},
            "'b' scored no answer of 't': the answer of 'b' is no score: its score is 15/10, outside its scale",
        ),
        "a vote without votes": Mistake(
            lambda: Aggregation("t", ["a", "b"], strategy="vote"),
            {"a": refuses, "b": refuses},
            "all 2 agents of 't' failed: a: AgentRefused; b: AgentRefused",
        ),
    },
    "classification": {
        "a classifier that answers nonsense": Mistake(
            lambda: Classification("t", "a", {"x": "b"}),
            {"a": say("whatever you want"), "b": YES},
            "no route for 'whatever you want' and no fallback; its routes: 'x'",
        ),
        "labels that are none": Mistake(
            lambda: Classification("t", "a", {"x": "b"}, multi_label=True),
            {"a": say([1, None, {"category": 3}]), "b": YES},
            "no category reached the confidence 0.5",
        ),
    },
    "classifier": {
        "a classifier that answers nothing": Mistake(
            lambda: Classification("t", "a", {"x": "b"}),
            {"a": say(""), "b": YES},
            "no route for '' and no fallback; its routes: 'x'",
        ),
    },
    "consensus": {
        "agents that never agree": Mistake(
            lambda: Consensus("t", ["a", "b"]),
            {"a": YES, "b": NO},
            "no consensus in 't' after 3 of 3",
        ),
    },
    "debate": {
        "a judge that never decides": Mistake(
            lambda: Debate("t", ["a", "b"], judge="c"),
            {"a": YES, "b": NO, "c": say("hm")},
            "the judge 'c' of 't' never decided: at last it said 'hm'; it has to name one of a, b",
        ),
        "one that speaks": Mistake(
            lambda: Debate("t", ["a", "b"]),
            {"a": YES, "b": refuses},
            "only 1 of 2 agents of 't' answered, 2 are needed: b: AgentRefused",
        ),
    },
    "ensemble": {
        "votes that have to agree and do not": Mistake(
            lambda: Ensemble("t", ["a", "b"], voting_strategy="unanimous"),
            {"a": YES, "b": NO},
            "'a' and 'b'",
        ),
        "too little agreement": Mistake(
            lambda: Ensemble("t", ["a", "b"], threshold=0.8),
            {"a": YES, "b": NO},
            "insufficient agreement in 't': 0.50 for 'yes', 0.80 is needed",
        ),
    },
    "hierarchical": {
        "a team that is not there": Mistake(
            lambda: Hierarchical("t", "a", {"walls": "b"}),
            {"a": say({"team_assignments": {"wals": "build"}}), "b": YES},
            "there is no team 'wals'; did you mean 'walls'?",
        ),
        "assignments that are none": Mistake(
            lambda: Hierarchical("t", "a", {"walls": "b"}),
            {"a": say({"team_assignments": ["walls"]}), "b": YES},
            "team_assignments is no object of team → task",
        ),
    },
    "mapreduce": {
        "a mapper that fails for one chunk": Mistake(
            lambda: MapReduce("t", "a"), {"a": even}, "no", "rain\nspains\nrain"
        ),
        "a mapper whose answers have no sum": Mistake(
            lambda: MapReduce("t", "a", reduce="sum"),
            {"a": YES},
            "'t' sums numbers, or objects of numbers, and a mapper gave 'yes'",
        ),
    },
    "parallel": {
        "agents of whom all fail": Mistake(
            lambda: Parallel("t", ["a", "b"]),
            {"a": refuses, "b": refuses},
            "all 2 agents of 't' failed: a: AgentRefused; b: AgentRefused",
        ),
    },
    "planning": {
        "a plan that goes in a circle": Mistake(
            lambda: Planning("t", "a", ["b"]),
            {"a": say(CIRCLE), "b": YES},
            "the plan of 'a' for 't': the plan goes in a circle: one → two → one",
        ),
        "a plan that is prose": Mistake(
            lambda: Planning("t", "a", ["b"]),
            {"a": say("First we should think."), "b": YES},
            "the plan of 'a' for 't': the plan is text that is no JSON",
        ),
    },
    "rag": {
        "a retriever without documents": Mistake(
            lambda: RAG("t", "a", "b", on_empty="refuse"),
            {"a": say([]), "b": YES},
            "rag 't' found no documents about 'rain'",
        ),
        "a retriever that answers nonsense": Mistake(
            lambda: RAG("t", "a", "b"),
            {"a": say({"found": 3}), "b": YES},
            "the retriever 'a' of 't' gave no documents: it gives a list",
        ),
    },
    "reflection": {
        "a critic off its scale": Mistake(
            lambda: Reflection("t", "a", "b"),
            {"a": YES, "b": say("Score: 15/10")},
            "the critic 'b' gave no usable score: its score is 15/10, outside its scale",
        ),
        "a critic without a number": Mistake(
            lambda: Reflection("t", "a", "b"),
            {"a": YES, "b": say("not great")},
            "the critic 'b' gave no usable score: no score in its text",
        ),
    },
    "router": {
        "a classifier that answers nonsense": Mistake(
            lambda: Router("t", "a", {"x": "b"}),
            {"a": say("it might be x"), "b": YES},
            "no route for 'it might be x' and no fallback; its routes: 'x'",
        ),
    },
    "sequential": {
        "a step that fails": Mistake(
            lambda: Sequential("t", ["a", "b"]), {"a": YES, "b": refuses}, "no"
        ),
    },
    "supervisor": {
        "a name nobody has": Mistake(
            lambda: Supervisor("t", ["a", "b"], routing_strategy="manual"),
            {"a": YES, "b": NO},
            "supervisor 't' has no agent @c; it has: a, b",
            "@c do it",
        ),
    },
    "swarm": {
        "a handoff to nobody": Mistake(
            lambda: Swarm("t", ["a", "b"]),
            {"a": say("HANDOFF: c"), "b": YES},
            "swarm 't': 'a' may not hand over to 'c'; it may to: b",
        ),
        "a handoff to itself": Mistake(
            lambda: Swarm("t", ["a", "b"]),
            {"a": say(Message("on", metadata={"handoff_to": "a"})), "b": YES},
            "swarm 't': 'a' may not hand over to 'a'; it may to: b",
        ),
    },
}

EVERY = [
    pytest.param(mistake, id=f"{kind}-{name}")
    for kind, found in MISTAKES.items()
    for name, mistake in found.items()
]


def test_every_pattern_has_a_mistake_to_be_told() -> None:
    assert sorted(MISTAKES) == sorted(TEAMS) == sorted(kinds("orchestration"))


@pytest.mark.parametrize("mistake", EVERY)
@pytest.mark.parametrize("leg", LEGS)
async def test_an_answer_that_is_no_use_fails_the_run_and_is_named(
    mistake: Mistake, leg: str
) -> None:
    actors = [Actor(name, rule) for name, rule in mistake.says.items()]
    async with open_stage(leg, [mistake.team()], actors) as stage, asyncio.timeout(HANG):
        with pytest.raises(AgentRefused) as refusal:
            await stage.rt.call("t", mistake.given)
    assert mistake.text in str(refusal.value)


# -- teams that cannot be --------------------------------------------------------------------------------


def changed(slots: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Slots with another thing in place of each agent."""
    found: dict[str, Any] = {}
    for name, slot in slots.items():
        if isinstance(slot, dict):
            found[name] = {key: change(one) for key, one in slot.items()}
        else:
            found[name] = [change(one) for one in slot] if isinstance(slot, list) else change(slot)
    return found


EMPTY = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind, team in TEAMS.items()
    for name, slot in team.slots.items()
    if isinstance(slot, (list, dict)) and (kind, name) != ("reflection", "critics")
]


@pytest.mark.parametrize(("kind", "name"), EMPTY)
def test_a_team_of_nobody_is_refused(kind: str, name: str) -> None:
    nobody: object = [] if isinstance(TEAMS[kind].slots[name], list) else {}
    with pytest.raises(ConfigError, match=r"'team'.* needs "):
        TEAMS[kind](**{name: nobody})


@pytest.mark.parametrize("kind", TEAMS)
async def test_two_agents_of_one_name_are_refused(kind: str) -> None:
    team = TEAMS[kind]
    with pytest.raises(ConfigError, match="'twin'"):
        TEAMS[kind]("team", **changed(team.slots, lambda _: Actor("twin", YES)))
    inside = TEAMS[kind]("team", **changed(team.slots, lambda name: Actor(name, YES)))
    with pytest.raises(AgentExists, match="'a'"):
        async with LocalRuntime(Actor("a", NO), inside):
            pass


@pytest.mark.parametrize("kind", TEAMS)
@pytest.mark.parametrize("leg", LEGS)
async def test_an_agent_nobody_hosts_is_named(kind: str, leg: str) -> None:
    team = TEAMS[kind]("t", **changed(TEAMS[kind].slots, lambda name: f"{name} who is not there"))
    async with open_stage(leg, [team], []) as stage, asyncio.timeout(HANG):
        with pytest.raises((AgentNotFound, AgentRefused), match=r"AgentNotFound|who is not there"):
            await stage.rt.call("t", "rain")


# -- circles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TEAMS)
async def test_a_team_cannot_have_an_agent_of_its_own_name(kind: str) -> None:
    slots = TEAMS[kind].slots
    inner = TEAMS[kind]("team", **changed(slots, lambda name: f"{name} below"))
    with pytest.raises((ConfigError, AgentExists), match=r"'team'| team"):
        async with LocalRuntime(TEAMS[kind]("team", **changed(slots, lambda _: inner))):
            pass
    with pytest.raises(ConfigError, match="orchestration cycle: team -> "):
        async with LocalRuntime(
            TEAMS[kind]("team", **changed(slots, lambda name: "team" if name == "a" else name))
        ):
            pass


@pytest.mark.parametrize("kind", TEAMS)
@pytest.mark.parametrize("transport", ["stream", "unary"])
async def test_a_circle_through_another_server_ends(kind: str, transport: str) -> None:
    there = DistributedRuntime(
        Sequential("a", ["t"]), address="127.0.0.1:0", transport=transport, stop_grace=5.0
    )
    async with asyncio.timeout(HANG), there:
        here = DistributedRuntime(
            TEAMS[kind]("t"),
            Actor("b", YES),
            peers={"a": there.address},
            address="127.0.0.1:0",
            transport=transport,
            stop_grace=5.0,
        )
        async with here:
            await there.connect("t", [here.address])
            with pytest.raises(HopLimit, match="the hop limit of 11 exceeded"):
                await here.call("t", "rain")
