"""What holds for every pattern, over the cases of all tables and wherever its agents live."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from aixgo import Agent, Budget, LocalRuntime, Message
from aixgo.config import load_config, open_runtime
from aixgo.errors import AgentRefused, BudgetExceeded, ConfigError, DeadlineExceeded
from aixgo.message import JSONValue
from aixgo.orchestration import Parallel, Sequential
from aixgo.runtime.base import Runtime
from tests.conformance.calls import read
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import (
    IN_PROCESS,
    LEGS,
    Actor,
    Call,
    Case,
    Rule,
    open_stage,
    refuses,
    tables,
)

CASES = [case for cases in tables().values() for case in cases]
PATIENCE = (
    40  # turns of the loop that the first answer of a reversed run waits; later ones wait less
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_called = pytest.mark.parametrize(
    ("case", "agent"),
    [pytest.param(case, name, id=f"{case.name}-{name}") for case in CASES for name in case.called],
)
each_flipped = pytest.mark.parametrize(
    ("case", "agent"),
    [pytest.param(case, name, id=f"{case.name}-{name}") for case in CASES for name in case.flips],
)
near_and_far = pytest.mark.parametrize("leg", ["local", "two-servers-stream"])


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """Where the agents are, on the legs of processes."""
    if request.node.callspec.params.get("leg") not in IN_PROCESS:
        return str(request.getfixturevalue("agents_at"))
    return ""


def actors(
    case: Case, instead: Mapping[str, Rule] | None = None, *, hang: bool = False
) -> list[Actor]:
    """The agents of `case`, some with another rule."""
    rules = {**case.agents, **(instead or {})}
    return [Actor(name, rule, hangs=hang) for name, rule in rules.items()]


def counted(calls: Iterable[Call]) -> Counter[str]:
    return Counter(json.dumps(call, sort_keys=True) for call in calls)


async def asked(case: Case, rt: Runtime, *, timeout: float | None = None) -> Message:
    async with asyncio.timeout(HANG):
        return await rt.call(case.name, case.given, timeout=timeout)


def test_every_pattern_has_a_table() -> None:
    assert [kind for kind, cases in tables().items() if not cases] == []


@every_case
@pytest.mark.parametrize("kind", ["call", "stream"])
@pytest.mark.parametrize("leg", LEGS)
async def test_a_team_asks_whom_it_has_to_and_gives_what_it_has_to(
    case: Case, leg: str, kind: str, address: str
) -> None:
    async with open_stage(leg, [case.build()], actors(case), address) as stage:
        if kind == "call":
            reply: Message | None = await asked(case, stage.rt)
        else:
            chunks, reply = await read(stage.rt, case.name, case.given)  # type: ignore[arg-type]  # it has `emit` for its agents only
            heard = [chunk for chunk in chunks if chunk.source in case.agents]
            said = [name for name, _ in case.calls if case.agents.get(name, refuses) is not refuses]
            assert Counter(chunk.source for chunk in heard) == Counter(said)
            assert {(chunk.path[0], chunk.path[-1]) for chunk in heard} == {
                (case.name, name) for name in said
            }
    assert reply is not None
    assert reply.payload == case.gives
    assert counted(stage.calls) == counted(case.calls)
    assert {key: reply.metadata.get(key) for key in case.metadata} == case.metadata
    assert reply.usage.calls == case.cost


@every_case
async def test_a_team_of_a_file_is_the_same_team(case: Case, tmp_path: Path) -> None:
    code = ["from aixgo import agent"]
    text = [f"orchestration: {case.config}", "agents:"]
    rules = {name: f"rule_{i}" for i, name in enumerate(case.agents)}
    module = case.build.__module__
    for name, variable in rules.items():
        code += [
            f"from {module} import CASES",
            f"rule = next(case for case in CASES if case.name == {case.name!r}).agents[{name!r}]",
            "from tests.conformance.patterns.base import Actor",
            f"{variable} = Actor({name!r}, rule)",
        ]
        text += [f"  - {{name: {json.dumps(name)}, code: './parts.py:{variable}'}}"]
    (tmp_path / "parts.py").write_text("\n".join(code))
    (tmp_path / "config.yaml").write_text("\n".join(text))
    async with open_runtime(load_config(tmp_path / "config.yaml")) as rt, asyncio.timeout(HANG):
        reply = await rt.call(case.name, case.given)
    assert reply.payload == case.gives
    assert reply.usage.calls == case.cost


@each_flipped
@near_and_far
async def test_the_answer_follows_what_an_agent_says(case: Case, agent: str, leg: str) -> None:
    rule, gives = case.flips[agent]
    async with open_stage(leg, [case.build()], actors(case, {agent: rule})) as stage:
        reply = await asked(case, stage.rt)
    assert reply.payload == gives
    assert gives != case.gives


@each_called
@near_and_far
async def test_an_agent_that_refuses_fails_the_run_or_is_done_without(
    case: Case, agent: str, leg: str
) -> None:
    async with open_stage(leg, [case.build()], actors(case, {agent: refuses})) as stage:
        if agent in case.survives:
            reply = await asked(case, stage.rt)
            assert reply.payload == case.survives[agent]
        else:
            with pytest.raises(AgentRefused):
                await asked(case, stage.rt)


@every_case
@near_and_far
async def test_a_cancelled_run_stops_its_agents(case: Case, leg: str) -> None:
    agents = actors(case, hang=True)
    async with open_stage(leg, [case.build()], agents) as stage, asyncio.timeout(HANG):
        call = asyncio.create_task(stage.rt.call(case.name, case.given))
        firsts = [asyncio.create_task(agent.begun.acquire()) for agent in agents]
        await asyncio.wait(firsts, return_when=asyncio.FIRST_COMPLETED)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for first in firsts:
            first.cancel()
    assert [agent.name for agent in agents if agent.open] == []


@every_case
@near_and_far
async def test_a_run_ends_when_its_time_is_up(case: Case, leg: str) -> None:
    agents = actors(case, hang=True)
    async with open_stage(leg, [case.build()], agents) as stage:
        with pytest.raises(DeadlineExceeded):
            await asked(case, stage.rt, timeout=0.1)
    assert [agent.name for agent in agents if agent.open] == []


@every_case
async def test_calls_their_keys_and_the_result_are_the_same_whoever_answers_first(
    case: Case,
) -> None:
    async def ran(steps: Callable[[], int]) -> tuple[dict[str, str], str]:
        agents = [Actor(name, rule, steps=steps) for name, rule in case.agents.items()]
        async with open_stage("local", [case.build()], agents) as stage:
            reply = await asked(case, stage.rt)
        return stage.keys, json.dumps([reply.payload, reply.metadata])

    turns = itertools.count(PATIENCE, -2)
    assert await ran(lambda: 0) == await ran(lambda: max(0, next(turns)))


@every_case
@pytest.mark.parametrize("outer", [Sequential, Parallel])
async def test_a_team_is_an_agent_of_other_teams(
    case: Case, outer: Callable[[str, list[Agent]], Agent]
) -> None:
    async with (
        open_stage("local-wire", [outer("outer", [case.build()])], actors(case)) as stage,
        asyncio.timeout(HANG),
    ):
        reply = await stage.rt.call("outer", case.given)
    expected: JSONValue = case.gives if outer is Sequential else {case.name: case.gives}
    assert reply.payload == expected
    assert counted(stage.calls) == counted([*case.calls, (case.name, case.given)])


@each_called
async def test_a_team_that_would_contain_itself_is_refused(case: Case, agent: str) -> None:
    others = [actor for actor in actors(case) if actor.name != agent]
    with pytest.raises(ConfigError, match="orchestration cycle"):
        async with LocalRuntime(*others, case.build(), Sequential(agent, [case.name])):
            pass


@every_case
async def test_a_run_spends_no_more_than_its_budget(case: Case) -> None:
    async with open_stage("local", [case.build()], actors(case)) as stage:
        with pytest.raises((BudgetExceeded, AgentRefused), match=r"budget|BudgetExceeded"):
            await stage.rt.call(case.name, case.given, budget=Budget(calls=0))
        assert stage.rt.ledger.total.calls == 0
