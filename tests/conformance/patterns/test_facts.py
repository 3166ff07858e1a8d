"""What the results of every pattern say is what it declares, and all of it; and nested patterns say it once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aixgo import Message, Usage, telemetry
from aixgo.message import JSONValue
from aixgo.observability.conventions import ORCHESTRATION_PREFIX as PREFIX
from aixgo.observability.tracing import Tracing
from aixgo.orchestration import (
    Debate,
    Ensemble,
    Hierarchical,
    Orchestrator,
    Parallel,
    Reflection,
    Router,
    Sequential,
    Swarm,
)
from aixgo.orchestration.base import COMMON
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Actor, Case, Rule, open_stage, refuses, tables
from tests.conformance.patterns.test_patterns import actors, asked
from tests.unit.observability.collected import Collected

SPENT = Usage().as_metadata().keys()
"""What the runtime says of every reply."""


@dataclass
class Said:
    """What a run said, and what its agents said before it."""

    metadata: Mapping[str, JSONValue]
    by_agents: set[str]


async def runs(case: Case) -> list[Said]:
    """What came of a case: as it is, with other answers, and with each agent refusing."""
    instead: list[Mapping[str, Rule]] = [{}]
    instead += [{agent: rule} for agent, (rule, _) in case.flips.items()]
    instead += [{agent: refuses} for agent in case.survives]
    found = []
    for rules in instead:
        agents = actors(case, rules)
        heard: set[str] = set()
        for actor in agents:
            actor.rule = listening(actor.rule, heard)
        async with open_stage("local", [case.build()], agents) as stage:
            found.append(Said((await asked(case, stage.rt)).metadata, heard))
    return found


def listening(rule: Rule, heard: set[str]) -> Rule:
    """`rule`, whose metadata is noted."""

    def noted(payload: JSONValue) -> JSONValue | Message:
        said = rule(payload)
        if isinstance(said, Message):
            heard.update(said.metadata)
        return said

    return noted


@pytest.mark.parametrize("kind", tables())
async def test_results_say_what_their_pattern_declares_and_nothing_else(kind: str) -> None:
    for case in tables()[kind]:
        declared = case.build().facts
        for said in await runs(case):
            unknown = said.metadata.keys() - declared.keys() - SPENT - said.by_agents
            assert not unknown, f"{case.name}: {unknown}"


@pytest.mark.parametrize("kind", tables())
async def test_whatever_a_pattern_declares_is_said_in_some_case(kind: str) -> None:
    pattern = tables()[kind][0].build().pattern  # a kind may be another name of it
    cases = [case for table in tables().values() for case in table]
    same = [case for case in cases if case.build().pattern == pattern]
    found = {name for case in same for said in await runs(case) for name in said.metadata}
    declared = same[0].build().facts
    assert {n for n, fact in declared.items() if COMMON.get(n) is not fact} - found == set()


# -- nested ---------------------------------------------------------------------------------------------


def left(_: JSONValue) -> JSONValue:
    return "left"


def hands_over(_: JSONValue) -> Message:
    return Message("left", metadata={"handoff_to": "firm", "lang": "en"})


def well(_: JSONValue) -> JSONValue:
    return {"score": 1}


def plans(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    if "results" in asked:
        return "all done"
    return {"team_assignments": {"crew": "left"}}


AGENTS: Mapping[str, Rule] = {
    "firm": left,
    "sure": left,
    "hands over": hands_over,
    "critic": well,
    "boss": plans,
    "refuses": refuses,
}
LEFT_OUT: JSONValue = {
    "degraded": True,
    "errors": {"refuses": {"class": "AgentRefused", "text": "no"}},
}


@dataclass(frozen=True)
class Nest:
    """Two patterns, one of which is an agent of the other, and what each of them may say."""

    inner: Orchestrator
    outer: Orchestrator
    own: Mapping[str, JSONValue]
    """Some of what the outer one says."""
    inside: AbstractSet[str]
    """Facts of the inner one alone."""
    counted: str
    """What is counted of the inner one, and so may not be of the outer one."""
    lacks: JSONValue = None
    """What went wrong inside."""


NESTS = {
    "sequential of debate": Nest(
        Debate("inside", ["firm", "sure"]),
        Sequential("outside", ["inside"]),
        {"step_count": 1, "steps": [{"agent": "inside"}]},
        {"rounds", "agreement", "winner"},
        "rounds agreement",
    ),
    "router of swarm": Nest(
        Swarm("inside", ["hands over", "firm"]),
        Router("outside", "sure", {"left": "inside"}),
        {"category": "left", "routed_to": "inside"},
        {"handoffs", "path", "answered_by"},
        "handoffs",
    ),
    "reflection of ensemble": Nest(
        Ensemble("inside", ["firm", "sure"]),
        Reflection("outside", "inside", ["critic"]),
        {"iterations": 1, "score": 1.0},
        {"agreement", "winner", "success_count"},
        "agreement",
    ),
    "hierarchical of parallel": Nest(
        Parallel("inside", ["firm", "refuses"]),
        Hierarchical("outside", "boss", {"crew": "inside"}),
        {"teams": ["crew"], "success_count": 1, "degraded": True},
        {"errors"},
        "degraded",
        LEFT_OUT,
    ),
}
near_and_far = pytest.mark.parametrize("leg", ["local", "two-servers-stream"])
each_nest = pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)


async def nested(nest: Nest, leg: str) -> Message:
    """What the outer pattern gives; the inner one is with its agents."""
    agents = [Actor(name, rule) for name, rule in AGENTS.items()]
    async with (
        open_stage(leg, [nest.outer], [*agents, nest.inner]) as stage,
        asyncio.timeout(HANG),
    ):
        return await stage.rt.call("outside", "which way?")


@each_nest
@near_and_far
async def test_a_pattern_says_its_own_facts_whatever_runs_inside_it(nest: Nest, leg: str) -> None:
    found = (await nested(nest, leg)).metadata
    assert nest.own.items() <= found.items()
    assert not nest.inside & found.keys()
    assert found.get("inner") == (None if nest.lacks is None else {"inside": nest.lacks})


@each_nest
@near_and_far
async def test_a_run_is_seen_and_measured_once_with_its_own_facts(nest: Nest, leg: str) -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracing = Tracing(provider.get_tracer("test"))
    telemetry.add_observer(tracing)
    try:
        with Collected() as collected:
            await nested(nest, leg)
            measured = collected.all()
    finally:
        telemetry.remove_observer(tracing)
        provider.shutdown()
    spans = exported.get_finished_spans()
    outer, inner = (
        [
            dict(span.attributes or {})
            for span in spans
            if span.name == f"orchestration.{kind} {name}"
        ]
        for kind, name in ((nest.outer.pattern, "outside"), (nest.inner.pattern, "inside"))
    )
    assert (len(outer), len(inner)) == (1, 1)
    assert not outer[0].keys() & {f"{PREFIX}{name}" for name in nest.inside}
    runs = {(nest.outer.pattern, "outside"), (nest.inner.pattern, "inside")}
    assert measured[f"{PREFIX}duration"].keys() == runs
    assert {count for _, count in measured[f"{PREFIX}duration"].values()} == {1}
    for name in ("rounds", "handoffs", "agreement", "degraded"):
        points = measured.get(f"{PREFIX}{name}", {})
        assert points.keys() == (
            {(nest.inner.pattern, "inside")} if name in nest.counted.split() else set()
        )
        assert all(count == 1 for _, count in points.values())
