"""An agent that never answers is stopped, here or in another process, and the run ends, with what it has if it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import DeadlineExceeded
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
from aixgo.runtime.base import Runtime
from tests.conformance.gates import HANG, Arrival, Gates, open_gates
from tests.conformance.patterns.base import IN_PROCESS, Actor, Rule, open_stage
from tests.unit.orchestration.teams import TEAMS

SOON = 0.2  # seconds until an agent is out of time, enough to get to the other process

every_pattern = pytest.mark.parametrize("kind", TEAMS)


async def somebody(gates: Gates) -> Arrival:
    """Whoever comes to a gate first."""
    waits = [asyncio.create_task(gates.arrival(name)) for name in "ab"]
    done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in left:
        wait.cancel()
    return done.pop().result()


async def others(gates: Gates) -> list[Arrival]:
    """Those who came besides."""
    return [await gates.arrival(name) for name in "ab" for _ in range(gates.count(name))]


@every_pattern
async def test_a_cancelled_run_of_teams_within_teams_stops_an_agent_in_another_process(
    kind: str, waiting_at: str, sockets: Path
) -> None:
    peers = dict.fromkeys("ab", waiting_at)
    async with (
        asyncio.timeout(HANG),
        open_gates(sockets) as gates,
        DistributedRuntime(Sequential("outer", [TEAMS[kind]("t")]), peers=peers) as rt,
    ):
        run = asyncio.create_task(rt.call("outer", "rain"))
        first = await somebody(gates)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await first.ended() == "stopped"
        assert {await other.ended() for other in await others(gates)} <= {"stopped"}


@dataclass(frozen=True)
class Without:
    """A team of which `b` never answers, and what it gives; nothing when it cannot do without."""

    team: Callable[[float], Orchestrator]
    """Which gives every agent so many seconds."""
    rules: Mapping[str, Rule]
    gives: JSONValue = None
    given: JSONValue = "rain"


def yes(_: JSONValue) -> JSONValue:
    return "yes"


def to_all(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return asked.get("results") or {"team_assignments": {"x": "this", "y": "that"}}


def plan(_: JSONValue) -> JSONValue:
    return {"steps": [{"id": "one", "agent": "a"}, {"id": "two", "agent": "b"}]}


def both(_: JSONValue) -> JSONValue:
    return ["x", "y"]


def only_x(_: JSONValue) -> JSONValue:
    return "x"


WITHOUT: Mapping[str, Without] = {
    "aggregation": Without(
        lambda soon: Aggregation("t", ["a", "b"], timeout=soon), {"a": yes}, "[a]: yes"
    ),
    "classification": Without(
        lambda soon: Classification("t", "c", {"x": "a", "y": "b"}, multi_label=True, timeout=soon),
        {"a": yes, "c": both},
        {"a": "yes"},
    ),
    "classifier": Without(
        lambda soon: Classification("t", "c", {"x": "b"}, timeout=soon), {"c": only_x}
    ),
    "consensus": Without(lambda soon: Consensus("t", ["a", "b"], timeout=soon), {"a": yes}, "yes"),
    "debate": Without(
        lambda soon: Debate("t", ["a", "b", "c"], timeout=soon), {"a": yes, "c": yes}, "yes"
    ),
    "ensemble": Without(lambda soon: Ensemble("t", ["a", "b"], timeout=soon), {"a": yes}, "yes"),
    "hierarchical": Without(
        lambda soon: Hierarchical("t", "c", {"x": "a", "y": "b"}, timeout=soon),
        {"a": yes, "c": to_all},
        {"x": "yes"},
    ),
    "mapreduce": Without(
        lambda soon: MapReduce("t", ["a", "b"], timeout=soon, on_error="keep"),
        {"a": yes},
        ["yes", None, "yes"],
        "1\n2\n3",
    ),
    "parallel": Without(
        lambda soon: Parallel("t", ["a", "b"], timeout=soon), {"a": yes}, {"a": "yes"}
    ),
    "planning": Without(
        lambda soon: Planning("t", "c", ["a", "b"], timeout=soon, error_strategy="continue"),
        {"a": yes, "c": plan},
        "yes",
    ),
    "rag": Without(lambda soon: RAG("t", "a", "b", timeout=soon), {"a": lambda _: []}),
    "reflection": Without(lambda soon: Reflection("t", "a", "b", timeout=soon), {"a": yes}),
    "router": Without(lambda soon: Router("t", "c", {"x": "b"}, timeout=soon), {"c": only_x}),
    "sequential": Without(
        lambda soon: Sequential("t", ["a", "b"], timeout=soon, on_error="continue"),
        {"a": yes},
        "yes",
    ),
    "supervisor": Without(lambda soon: Supervisor("t", ["b"], timeout=soon), {}),
    "swarm": Without(lambda soon: Swarm("t", ["b"], timeout=soon), {}),
}


async def held(case: Without, rt: Runtime) -> None:
    """Run it, and hold it to what it has to come to, long before the run itself is out of time."""
    if case.gives is None:
        with pytest.raises(DeadlineExceeded, match="'b'"):
            await rt.call("t", case.given)
    else:
        reply = await rt.call("t", case.given)
        assert reply.payload == case.gives
        assert "DeadlineExceeded" in str(reply.metadata)


@every_pattern
async def test_an_agent_out_of_its_time_is_stopped_in_its_process_and_done_without_if_it_can(
    kind: str, waiting_at: str, sockets: Path
) -> None:
    case = WITHOUT[kind]
    actors = [Actor(name, rule) for name, rule in case.rules.items()]
    async with (
        asyncio.timeout(HANG),
        open_gates(sockets) as gates,
        DistributedRuntime(case.team(SOON), *actors, peers={"b": waiting_at}) as rt,
    ):
        await held(case, rt)
        assert await (await gates.arrival("b")).ended() == "stopped"


async def stopped(kind: str, leg: str) -> None:
    """A run of this pattern on `leg`, of which nobody is at work when it is over."""
    case = WITHOUT[kind]
    stuck = Actor("b", yes, hangs=True)
    actors = [stuck, *(Actor(name, rule) for name, rule in case.rules.items())]
    async with open_stage(leg, [case.team(1.0)], actors) as stage:
        await held(case, stage.rt)
        await stuck.begun.acquire()
    assert stuck.open == 0


@pytest.mark.parametrize("leg", IN_PROCESS)
async def test_an_agent_out_of_its_time_is_stopped_and_done_without_if_it_can(leg: str) -> None:
    runs = {kind: asyncio.create_task(stopped(kind, leg)) for kind in TEAMS}
    await asyncio.wait(runs.values(), timeout=HANG)  # together: each waits for its second
    assert {kind: run.exception() for kind, run in runs.items()} == dict.fromkeys(TEAMS)
