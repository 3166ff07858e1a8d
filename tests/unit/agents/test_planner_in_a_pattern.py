"""PlannerAgent as the planner of a Planning pattern."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo import agent, load_config
from aixgo.agents import PlannerAgent
from aixgo.config import open_runtime
from aixgo.errors import AgentRefused
from aixgo.message import JSONValue, Message
from aixgo.orchestration import Planning
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider
from tests.unit.agents.test_planner_agent import STRATEGIES, plan, step

CREW = """
from aixgo import Message, agent


@agent
async def cook(message: Message) -> Message:
    return message.reply(message.payload["task"].split()[0] + " done")


@agent
async def waiter(message: Message) -> Message:
    return message.reply(message.payload["task"].split()[0] + " done")


@agent
async def all_of(message: Message) -> Message:
    return message.reply(message.payload["results"])
"""
FILE = """
orchestration:
  name: work
  pattern: planning
  agents: [cook, waiter]
  config: {planner: planner, synthesizer: all_of}
agents:
  - name: planner
    role: planner
    model: offline
    planner_config:
      planning_strategy: hierarchical_plan
      reasoning_depth: 2
      parallelizable_steps: true
  - {name: cook, code: "./crew.py:cook"}
  - {name: waiter, code: "./crew.py:waiter"}
  - {name: all_of, code: "./crew.py:all_of"}
"""


@agent
async def echo(message: Message) -> Message:
    """The tasks so far."""
    asked = message.payload
    assert isinstance(asked, dict)
    before = asked.get("results")
    told = before.get("a") if isinstance(before, dict) else None
    return message.reply([*(told if isinstance(told, list) else []), asked["task"]])


@agent
async def mixer(message: Message) -> Message:
    return message.reply("dough")


@agent
async def oven(message: Message) -> Message:
    assert isinstance(message.payload, dict)
    results = message.payload["results"]
    assert isinstance(results, dict)
    return message.reply(f"bread of {next(iter(results.values()))}")


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_planning_pattern_runs_the_plan_of_every_strategy(strategy: str) -> None:
    planner = PlannerAgent("p", planning_strategy=strategy, model="offline")
    work = Planning("bakery", planner, [mixer, oven])
    async with LocalRuntime(work) as rt:
        reply = await rt.call("bakery", "Let the mixer make dough, then heat it in the oven.")
    assert reply.payload == "bread of dough"
    assert reply.metadata["step_count"] == 2


async def test_after_a_failure_a_planning_pattern_gets_a_plan_that_builds_on_what_is_done() -> None:
    second: dict[str, JSONValue] = step("again", "a", agent="oven")
    provider = ScriptedProvider(
        [plan(step("a", agent="mixer"), step("b", "a", agent="broken")), plan(second)]
    )

    @agent
    async def broken(message: Message) -> Message:
        raise AgentRefused("the grill is cold")

    planner = PlannerAgent("p", provider=provider, parallelizable_steps=True)
    work = Planning("bakery", planner, [mixer, oven, broken], max_replans=1)
    async with LocalRuntime(work) as rt:
        reply = await rt.call("bakery", "bake")
    assert reply.payload == "bread of dough"
    assert reply.metadata["replans"] == 1
    assert "the grill is cold" in provider.requests[1].text


async def test_a_planning_pattern_bounds_the_steps() -> None:
    planner = PlannerAgent("p", model="offline")
    work = Planning("bakery", planner, [mixer], max_steps=2)
    async with LocalRuntime(work) as rt:
        reply = await rt.call("bakery", "Mix. Knead. Rest. Mix again.")
    assert reply.metadata["step_count"] == 2


async def test_what_looks_like_a_reference_in_a_task_is_no_dependency() -> None:
    first: dict[str, JSONValue] = {**step("a"), "description": "write {b}, {input} and {c}"}
    provider = ScriptedProvider([plan(first, step("b", "a"))])
    async with LocalRuntime(Planning("w", PlannerAgent("p", provider=provider), [echo])) as rt:
        reply = await rt.call("w", "x")
    assert reply.payload == ["write b, input and {c}", "do b"]


async def test_a_file_names_a_planner_and_the_pattern_that_runs_its_plans(tmp_path: Path) -> None:
    (tmp_path / "crew.py").write_text(CREW, encoding="utf-8")
    file = tmp_path / "c.yaml"
    file.write_text(FILE, encoding="utf-8")
    config = load_config(file)
    assert not config.unknown_keys
    async with asyncio.timeout(10), open_runtime(config) as runtime:
        reply = await runtime.call("work", "- cook the soup\n- lay the table")
    assert reply.payload == {"1": "cook done", "2": "lay done"}
