"""An agent in another process that never answers: it is stopped there, and the run ends, with what it has if it may."""

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
    Limits,
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
from tests.conformance.gates import HANG, Arrival, Gates, open_gates
from tests.conformance.patterns.base import Actor, Rule
from tests.unit.orchestration.teams import TEAMS

SOON = 0.2  # seconds until a run or an agent is out of time, enough to get to the other process

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

    team: Callable[[], Orchestrator]
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


LIMIT = Limits(timeout=SOON)
WITHOUT: Mapping[str, Without] = {
    "aggregation": Without(
        lambda: Aggregation("t", ["a", "b"], timeout=SOON), {"a": yes}, "[a]: yes"
    ),
    "classification": Without(
        lambda: Classification("t", "c", {"x": "a", "y": "b"}, multi_label=True, timeout=SOON),
        {"a": yes, "c": both},
        {"a": "yes"},
    ),
    "classifier": Without(
        lambda: Classification("t", "c", {"x": "b"}, limits=LIMIT), {"c": only_x}
    ),
    "consensus": Without(lambda: Consensus("t", ["a", "b"], timeout=SOON), {"a": yes}, "yes"),
    "debate": Without(
        lambda: Debate("t", ["a", "b", "c"], timeout=SOON), {"a": yes, "c": yes}, "yes"
    ),
    "ensemble": Without(lambda: Ensemble("t", ["a", "b"], timeout=SOON), {"a": yes}, "yes"),
    "hierarchical": Without(
        lambda: Hierarchical("t", "c", {"x": "a", "y": "b"}, timeout=SOON),
        {"a": yes, "c": to_all},
        {"x": "yes"},
    ),
    "mapreduce": Without(
        lambda: MapReduce("t", ["a", "b"], timeout=SOON, on_error="keep"),
        {"a": yes},
        ["yes", None, "yes"],
        "1\n2\n3",
    ),
    "parallel": Without(lambda: Parallel("t", ["a", "b"], timeout=SOON), {"a": yes}, {"a": "yes"}),
    "planning": Without(
        lambda: Planning("t", "c", ["a", "b"], step_timeout=SOON, error_strategy="continue"),
        {"a": yes, "c": plan},
        "yes",
    ),
    "rag": Without(lambda: RAG("t", "a", "b", limits=LIMIT), {"a": lambda _: []}),
    "reflection": Without(lambda: Reflection("t", "a", "b", limits=LIMIT), {"a": yes}),
    "router": Without(lambda: Router("t", "c", {"x": "b"}, limits=LIMIT), {"c": only_x}),
    "sequential": Without(
        lambda: Sequential("t", ["a", "b"], step_timeout=SOON, on_error="continue"),
        {"a": yes},
        "yes",
    ),
    "supervisor": Without(lambda: Supervisor("t", ["b"], limits=LIMIT), {}),
    "swarm": Without(lambda: Swarm("t", ["b"], limits=LIMIT), {}),
}


@every_pattern
async def test_an_agent_out_of_its_time_is_stopped_and_done_without_if_it_can(
    kind: str, waiting_at: str, sockets: Path
) -> None:
    case = WITHOUT[kind]
    actors = [Actor(name, rule) for name, rule in case.rules.items()]
    async with (
        asyncio.timeout(HANG),
        open_gates(sockets) as gates,
        DistributedRuntime(case.team(), *actors, peers={"b": waiting_at}) as rt,
    ):
        if case.gives is None:
            with pytest.raises(DeadlineExceeded):
                await rt.call("t", case.given)
        else:
            reply = await rt.call("t", case.given)
            assert reply.payload == case.gives
            assert "DeadlineExceeded" in str(reply.metadata)
        assert await (await gates.arrival("b")).ended() == "stopped"
