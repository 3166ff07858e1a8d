"""Hierarchical."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aixgo import AgentRefused, Budget, CallContext, LocalRuntime, Message
from aixgo.config import load_config, open_runtime
from aixgo.errors import ConfigError
from aixgo.orchestration import Hierarchical, Limits, Sequential
from aixgo.testing import RecordingAgent

BOTH: Any = {"team_assignments": {"b": "task of b", "a": "task of a"}}


async def answer(flow: Hierarchical, **options: Any) -> Message:
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        return await rt.call("h", "task", **options)


def chief(*plans: Any) -> RecordingAgent:
    """Plans, then answers with what it was told to."""
    return RecordingAgent("chief", plans)


@pytest.mark.parametrize(
    "plan",
    [
        BOTH,
        Message("see there", metadata=BOTH),
        'I think:\n```json\n{"team_assignments": {"b": "task of b", "a": "task of a"}}\n```',
    ],
)
async def test_the_manager_parts_the_task_and_makes_one_answer(plan: Any) -> None:
    manager = chief(plan, "both done")
    a, b = RecordingAgent("one", ["A"]), RecordingAgent("two", ["B"])
    reply = await answer(Hierarchical("h", manager, {"a": a, "b": b}))
    assert reply.text == "both done"
    assert manager.messages[0].payload == {"task": "task", "teams": ["a", "b"]}
    assert manager.messages[1].payload == {"task": "task", "results": {"a": "A", "b": "B"}}
    assert [m.type for m in manager.messages] == ["plan", "synthesis"]
    assert a.messages[0].text == "task of a"
    assert (a.messages[0].type, a.messages[0].metadata["team"]) == ("team_task", "a")
    assert reply.metadata["teams"] == ["a", "b"]
    assert reply.metadata["agent_count"] == 3


async def test_teams_work_at_once() -> None:
    a, b = RecordingAgent("one", gated=True), RecordingAgent("two", gated=True)
    flow = Hierarchical("h", chief(BOTH, "done"), {"a": a, "b": b})
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        call = asyncio.create_task(rt.call("h", "task"))
        await asyncio.gather(a.started.wait(), b.started.wait())
        a.release()
        b.release()
        assert (await call).text == "done"


@pytest.mark.parametrize("plan", ["I know it myself", {"team_assignments": {}}, {"x": 1}, "{", 7])
async def test_a_plan_without_assignments_is_the_answer(plan: Any) -> None:
    worker = RecordingAgent("one")
    reply = await answer(Hierarchical("h", chief(plan), {"a": worker}))
    assert reply.payload == plan
    assert (reply.metadata["teams"], worker.messages) == ([], [])


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ({"team_assignments": {"design": "x"}}, r"no team 'design'; did you mean 'designs'\?"),
        ({"team_assignments": {"designs": "x", "zz": "y"}}, "no team 'zz'; there are: designs"),
        ({"team_assignments": ["designs"]}, "team_assignments is no object of team → task"),
    ],
)
async def test_a_plan_that_cannot_be_followed_is_refused(plan: Any, text: str) -> None:
    worker = RecordingAgent("one")
    with pytest.raises(AgentRefused, match=f"hierarchical 'h': the plan of 'chief': .*{text}"):
        await answer(Hierarchical("h", chief(plan), {"designs": worker}))
    assert worker.messages == []


async def test_a_team_that_fails_is_missing_with_its_reason() -> None:
    manager = chief(BOTH, "half done")
    a, b = RecordingAgent("one", [AgentRefused("on strike")]), RecordingAgent("two", ["B"])
    reply = await answer(Hierarchical("h", manager, {"a": a, "b": b}))
    why = {"a": {"class": "AgentRefused", "text": "on strike"}}
    told = {"task": "task", "results": {"b": "B"}, "missing": why}
    assert manager.messages[1].payload == told
    assert (reply.metadata["errors"], reply.metadata["success_count"]) == (why, 1)


async def test_when_all_teams_fail_the_run_fails_and_nobody_makes_an_answer() -> None:
    manager, no = chief(BOTH, "fine!"), AgentRefused("no")
    teams = {"a": RecordingAgent("one", [no]), "b": RecordingAgent("two", [no])}
    with pytest.raises(AgentRefused, match="all 2 teams of 'h' failed: one: AgentRefused; two"):
        await answer(Hierarchical("h", manager, teams))
    assert len(manager.messages) == 1


async def test_when_all_workers_of_a_team_fail_the_team_fails() -> None:
    manager, no = chief(BOTH, "half done"), AgentRefused("no")
    crew = [RecordingAgent("w1", [no]), RecordingAgent("w2", [no])]
    teams: dict[str, Any] = {"a": crew, "b": RecordingAgent("two", ["B"])}
    reply = await answer(Hierarchical("h", manager, teams))
    assert list(reply.metadata["errors"]) == ["a"]  # type: ignore[arg-type]  # an object


async def test_fail_fast_ends_the_run_with_the_first_team_that_fails() -> None:
    a = RecordingAgent("one", [AgentRefused("on strike")])
    b = RecordingAgent("two", gated=True)
    flow = Hierarchical("h", chief(BOTH), {"a": a, "b": b}, error_strategy="fail_fast")
    with pytest.raises(AgentRefused, match="on strike"):
        await answer(flow)
    assert b.running == 0


async def test_workers_without_a_manager_all_get_the_task() -> None:
    manager = chief(BOTH, "done")
    crew = [RecordingAgent("w1", ["1"]), RecordingAgent("w2", ["2"])]
    flow = Hierarchical("h", manager, {"a": {"workers": crew}, "b": RecordingAgent("two", ["B"])})
    await answer(flow)
    results = manager.messages[1].payload["results"]  # type: ignore[index,call-overload]
    assert results == {"a": {"w1": "1", "w2": "2"}, "b": "B"}
    assert [w.messages[0].text for w in crew] == ["task of a", "task of a"]


async def test_a_team_with_a_manager_is_a_hierarchy_itself() -> None:
    lead = RecordingAgent("lead", [{"team_assignments": {"w2": "a part"}}, "led"])
    crew = [RecordingAgent("w1"), RecordingAgent("w2", ["2"])]
    manager = chief({"team_assignments": {"a": "task of a"}}, "done")
    await answer(Hierarchical("h", manager, {"a": {"manager": lead, "workers": crew}}))
    assert lead.messages[0].payload == {"task": "task of a", "teams": ["w1", "w2"]}
    assert lead.messages[1].payload == {"task": "task of a", "results": {"w2": "2"}}
    assert crew[0].messages == []
    assert manager.messages[1].payload == {"task": "task", "results": {"a": "led"}}


async def test_a_team_may_be_any_orchestrator() -> None:
    row = Sequential("row", [RecordingAgent("w1", ["1"]), RecordingAgent("w2")])
    manager = chief({"team_assignments": {"a": "x"}}, "done")
    await answer(Hierarchical("h", manager, {"a": row}))
    assert manager.messages[1].payload == {"task": "task", "results": {"a": "1"}}


async def test_teams_and_the_synthesis_share_a_budget_evenly() -> None:
    class Purse:
        role = "purse"

        def __init__(self, name: str) -> None:
            self.name = name
            self.calls: int | None = None

        async def execute(self, message: Message) -> Message:
            budget = CallContext.current().budget
            self.calls = None if budget is None else budget.calls
            await both.wait()
            return message

    both = asyncio.Barrier(2)
    a, b = Purse("one"), Purse("two")
    await answer(Hierarchical("h", chief(BOTH, "x"), {"a": a, "b": b}), budget=Budget(calls=10))
    assert (a.calls, b.calls) == (4, 3)


@pytest.mark.parametrize(
    ("teams", "text"),
    [
        ({}, "needs at least one team"),
        (["a"], "teams is a mapping"),
        ({"a": "chief"}, "its manager 'chief' is one of its teams too"),
        ({"a": []}, "team 'h.a' needs a list of workers"),
        ({"a": {"manager": "m"}}, "team 'h.a' needs a list of workers"),
        ({"a": {"workers": "w"}}, "team 'h.a' needs a list of workers"),
        ({"a": {"worker": ["w"]}}, "team 'h.a': there is no key 'worker'"),
        ({"a": 3}, "team 'h.a' needs a list of workers"),
    ],
)
def test_what_cannot_be_is_refused(teams: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Hierarchical("h", "chief", teams)


CODE = """
from aixgo import agent
@agent
async def chief(asked: dict) -> dict:
    return asked.get("results") or {"team_assignments": dict.fromkeys(asked["teams"], "t")}
@agent
async def lead(asked: dict) -> dict:
    return asked.get("results") or {"team_assignments": dict.fromkeys(asked["teams"], "t")}
@agent
async def w1(text: str) -> str:
    return text + "1"
@agent
async def w2(text: str) -> str:
    return text + "2"
@agent
async def w3(text: str) -> str:
    return text + "3"
"""
FILE = """
orchestration:
  name: h
  pattern: hierarchical
  config:
    manager: chief
    teams:
      a: {manager: lead, workers: [w1, {name: row, pattern: sequential, agents: [w1, w2]}]}
      b: {workers: [w1, w3]}
      c: {name: both, pattern: sequential, agents: [w3, w3]}
      d: w2
agents:
"""


def file_of(tmp_path: Path, text: str = FILE) -> Path:
    (tmp_path / "parts.py").write_text(CODE)
    for name in ("chief", "lead", "w1", "w2", "w3"):
        text += f"  - {{name: {name}, code: './parts.py:{name}'}}\n"
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


async def test_a_file_gives_teams_as_agents_crews_and_orchestrations(tmp_path: Path) -> None:
    config = load_config(file_of(tmp_path))
    assert config.warnings == ()
    async with open_runtime(config) as rt:
        reply = await rt.call("h", "x")
    assert reply.payload == {
        "a": {"w1": "t1", "row": "t12"},
        "b": {"w1": "t1", "w3": "t3"},
        "c": "t33",
        "d": "t2",
    }


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("d: w2", "d: w22", r"c.yaml:11: .*teams.d: no agent is called 'w22'; did you mean 'w2'"),
        ("workers: [w1, w3]", "workers: [w33]", r"c.yaml:9: .*no agent is called 'w33'"),
        ("manager: lead", "managr: lead", r"c.yaml:8: .*managr: .*did you mean 'manager'"),
        ("{workers: [w1, w3]}", "{manager: lead}", r"c.yaml:9: .*'workers' is missing"),
    ],
)
def test_a_slip_in_a_team_of_a_file_is_shown_with_its_line(
    before: str, after: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=text):
        load_config(file_of(tmp_path, FILE.replace(before, after)))


def test_without_teams_each_agent_of_a_file_is_one() -> None:
    made = Hierarchical.from_config("h", ["m", "a", "b"], {"manager": "m"}, Limits())
    assert made.members == ("m", "a", "b")
