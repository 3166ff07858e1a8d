"""Every pattern within every other: a team in an agent's place that says what the agent said changes nothing.

`INSIDE` has such a team of each pattern: one of its agents follows the rule of the agent it replaces, the others see to
it that its answer is the team's.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest

from aixgo import Message
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
from tests.conformance.patterns.base import Actor, Case, Rule, open_stage, refuses, tables
from tests.conformance.patterns.test_patterns import counted

Inside: TypeAlias = Callable[[str, str, Rule], tuple[Orchestrator, Mapping[str, Rule]]]
"""Makes a team: its name, that of the agent within, and the rule it follows."""


def of(part: str, rule: Rule) -> Rule:
    """What `rule` says to one part of an object."""

    def read(asked: JSONValue) -> JSONValue | Message:
        assert isinstance(asked, dict)
        return rule(asked[part])

    return read


def delegates(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    results = asked.get("results")
    if isinstance(results, dict):
        return results["it"]
    return {"team_assignments": {"it": asked["task"]}}


def first(found: JSONValue) -> JSONValue:
    assert isinstance(found, list)
    return found[0]


def to_it(_: JSONValue) -> JSONValue:
    return "it"


def one_step(agent: str) -> Rule:
    return lambda _: {"steps": [{"id": "only", "agent": agent}]}


INSIDE: Mapping[str, Inside] = {
    "aggregation": lambda name, it, rule: (Aggregation(name, [it], strategy="vote"), {it: rule}),
    "classification": lambda name, it, rule: (
        Classification(name, f"{it} tells", {"it": it}),
        {it: rule, f"{it} tells": to_it},
    ),
    "classifier": lambda name, it, rule: (
        Classification(name, f"{it} tells", {"it": it}, multi_label=False, fallback=it),
        {it: rule, f"{it} tells": to_it},
    ),
    "consensus": lambda name, it, rule: (Consensus(name, [it]), {it: rule}),
    "debate": lambda name, it, rule: (
        Debate(name, [it, f"{it} too"]),
        {it: of("question", rule), f"{it} too": of("question", rule)},
    ),
    "ensemble": lambda name, it, rule: (Ensemble(name, [it]), {it: rule}),
    "hierarchical": lambda name, it, rule: (
        Hierarchical(name, f"{it} leads", {"it": it}),
        {it: rule, f"{it} leads": delegates},
    ),
    "mapreduce": lambda name, it, rule: (
        MapReduce(name, it, splitter=f"{it} lists", reducer=f"{it} takes"),
        {it: rule, f"{it} lists": lambda given: [given], f"{it} takes": first},
    ),
    "parallel": lambda name, it, rule: (Parallel(name, [it], aggregation="first"), {it: rule}),
    "planning": lambda name, it, rule: (
        Planning(name, f"{it} plans", [it]),
        {it: rule, f"{it} plans": one_step(it)},
    ),
    "rag": lambda name, it, rule: (
        RAG(name, f"{it} finds", it),
        {it: of("question", rule), f"{it} finds": lambda _: ["a page"]},
    ),
    "reflection": lambda name, it, rule: (
        Reflection(name, it, f"{it} judges"),
        {it: rule, f"{it} judges": lambda _: 1},
    ),
    "router": lambda name, it, rule: (
        Router(name, f"{it} tells", {"it": it}),
        {it: rule, f"{it} tells": to_it},
    ),
    "sequential": lambda name, it, rule: (Sequential(name, [it]), {it: rule}),
    "supervisor": lambda name, it, rule: (Supervisor(name, [it]), {it: rule}),
    "swarm": lambda name, it, rule: (Swarm(name, [it]), {it: rule}),
}


def replaced(case: Case, inner: str) -> list[str]:
    """The agents of `case` a team of this pattern can stand for: those whose answers are their payloads alone.

    A question of RAG is text, and to a supervisor an answer that is not done is none.
    """
    found = []
    for name in case.called:
        if case.agents[name] is refuses:
            continue
        asked = [payload for agent, payload in case.calls if agent == name]
        answers = [case.agents[name](payload) for payload in asked]
        if any(isinstance(answer, Message) for answer in answers):
            continue
        if inner == "rag" and not all(is_question(payload) for payload in asked):
            continue
        done = [answer.get("done") for answer in answers if isinstance(answer, dict)]
        if inner != "supervisor" or False not in done:
            found.append(name)
    return found


def is_question(payload: JSONValue) -> bool:
    """Whether a question stays as it is when outer blanks go."""
    return isinstance(payload, str) and payload == payload.strip()


TEXT_ONLY = {("rag", "debate"), ("rag", "reflection")}
"""(within, around): what these give their agents is more than the question that RAG takes."""

CASES = [case for cases in tables().values() for case in cases]


def firsts(inner: str) -> list[tuple[str, Case]]:
    """Of every pattern the first case in which a team of `inner` can stand for an agent."""
    return [
        (kind, case)
        for kind, cases in tables().items()
        if (case := next((one for one in cases if replaced(one, inner)), None)) is not None
    ]


def with_teams(case: Case, inner: str) -> tuple[dict[str, Orchestrator], dict[str, Rule]]:
    """`case` with such teams in all places they can take, and the agents it has then."""
    rules, teams = dict(case.agents), {case.name: case.build()}
    for name in replaced(case, inner):
        teams[name], within = INSIDE[inner](name, f"{name} within", rules.pop(name))
        rules |= within
    return teams, rules


def test_every_pattern_stands_in_every_other() -> None:
    assert sorted(INSIDE) == sorted(kinds("orchestration"))
    seen = {(inner, kind) for inner in INSIDE for kind, _ in firsts(inner)}
    assert set(itertools.product(INSIDE, INSIDE)) - seen == TEXT_ONLY


@pytest.mark.parametrize("inner", INSIDE)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_teams_in_the_places_of_agents_change_nothing(case: Case, inner: str) -> None:
    teams, rules = with_teams(case, inner)
    actors = [Actor(name, rule) for name, rule in rules.items()]
    async with (
        asyncio.timeout(HANG),
        open_stage("local", list(teams.values()), actors) as stage,
    ):
        reply = await stage.rt.call(case.name, case.given)
    assert reply.payload == case.gives
    within = rules.keys() - case.agents.keys()
    assert counted(call for call in stage.calls if call[0] not in within) == counted(case.calls)


@pytest.mark.parametrize("inner", INSIDE)
async def test_so_do_teams_whose_agents_are_on_another_server(inner: str) -> None:
    teams: dict[str, Orchestrator] = {}
    rules: dict[str, Rule] = {}
    cases = [case for _, case in firsts(inner)]
    for case in cases:
        more, needed = with_teams(case, inner)
        teams, rules = more | teams, needed | rules
    rules = {name: rule for name, rule in rules.items() if name not in teams}
    actors = [Actor(name, rule) for name, rule in rules.items()]
    async with (
        asyncio.timeout(HANG),
        open_stage("two-servers-stream", list(teams.values()), actors) as stage,
    ):
        gave = {case.name: (await stage.rt.call(case.name, case.given)).payload for case in cases}
    assert gave == {case.name: case.gives for case in cases}
