"""AggregatorAgent: answers that are sent are collected, one of each source, on both runtimes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aixgo import DistributedRuntime, LocalRuntime, Message, agent, load_config
from aixgo.agents import AggregatorAgent
from aixgo.cli.running import RunOptions, run_config
from aixgo.config.build import assemble
from aixgo.contract import Agent
from aixgo.errors import ConfigError, InvalidMessage
from aixgo.runtime.base import Runtime
from aixgo.testing import FakeClock


class World:
    """Runtimes with a `judge`, whose output is the exit `out`, and agents that send to it, maybe from elsewhere."""

    def __init__(self, host: Runtime, rt: Runtime) -> None:
        self.host = host
        self.rt = rt

    async def tell(self, sender: str, said: object) -> None:
        await self.rt.send(sender, said)  # type: ignore[arg-type]

    async def gathered(self, count: int) -> None:
        """Return once the judge has that many answers."""
        while await self.host.pending() != count or await self.rt.pending() != count:
            await asyncio.sleep(0)

    async def out(self) -> Any:
        return (await self.host.recv("out", timeout=5)).payload


def sender(name: str) -> Agent:
    @agent(name=name)
    async def passes_on(said: Message) -> Message:
        return said

    return passes_on


@asynccontextmanager
async def opened(
    where: str, judge: AggregatorAgent, senders: Sequence[str] = ("a", "b"), clock: Any = None
) -> AsyncIterator[World]:
    async with asyncio.timeout(10):
        if where == "local":
            rt: Runtime = LocalRuntime(clock=clock, check_wire=True)
            await rt.register(judge, outputs=["out"])
            for name in senders:
                await rt.register(sender(name), outputs=[judge.name])
            async with rt:
                yield World(rt, rt)
            return
        host = DistributedRuntime(address="127.0.0.1:0", clock=clock)
        await host.register(judge, outputs=["out"])
        async with host:
            rt = DistributedRuntime(peers={judge.name: host.address})
            for name in senders:
                await rt.register(sender(name), outputs=[judge.name])
            async with rt:
                yield World(host, rt)


both = pytest.mark.parametrize("where", ["local", "distributed"])


def vote(**options: Any) -> AggregatorAgent:
    return AggregatorAgent("judge", aggregation_strategy="voting_majority", **options)


@both
async def test_the_answers_of_all_inputs_become_one(where: str) -> None:
    async with opened(where, vote(inputs=["a", "b"])) as world:
        await world.tell("b", {"content": "yes", "confidence": 0.9})
        await world.gathered(1)
        await world.tell("a", "no")
        found = await world.out()
        assert found["aggregated_content"] == "yes"
        assert found["sources"] == ["b", "a"]
        assert await world.host.pending() == 0


@both
async def test_when_the_time_is_up_those_there_are_are_enough(where: str) -> None:
    clock = FakeClock()
    async with opened(where, vote(inputs=["a", "b"], timeout_ms=2000), clock=clock) as world:
        await world.tell("a", "alone")
        await world.gathered(1)
        await clock.advance(1.9)
        assert await world.host.pending() == 1
        await clock.advance(0.2)
        assert (await world.out())["sources"] == ["a"]


@both
async def test_a_newer_answer_takes_the_place_of_an_older_of_its_source(where: str) -> None:
    async with opened(where, vote(inputs=["a", "b"])) as world:
        await world.tell("a", "first")
        await world.gathered(1)
        await world.tell("a", "second")
        await world.gathered(1)
        await world.tell("b", "other")
        found = await world.out()
    assert (found["aggregated_content"], found["sources"]) == ("second", ["a", "b"])


@both
async def test_nothing_is_lost_when_the_runtime_stops(where: str) -> None:
    judge = vote(timeout_ms=3_600_000)
    told: list[Any] = []

    @agent(name="out")
    async def out(said: Message) -> None:
        told.append(said.payload)

    async with opened(where, judge) as world:
        await world.host.register(out)
        await world.tell("a", "yes")
        await world.gathered(1)
    assert [found["sources"] for found in told] == [["a"]]


async def test_after_a_gathering_the_next_one_begins_with_its_own_time() -> None:
    clock = FakeClock()
    async with opened("local", vote(inputs=["a", "b"], timeout_ms=1000), clock=clock) as world:
        for said in ("one", "two"):
            await world.tell("a", said)
            await world.gathered(1)
            await clock.advance(0.6)
            await world.tell("b", said)
            assert (await world.out())["aggregated_content"] == said


async def test_a_call_is_answered_at_once() -> None:
    async with opened("local", vote(timeout_ms=3_600_000)) as world:
        reply: Any = await world.rt.call("judge", {"a": "yes"})
        assert reply.payload["aggregated_content"] == "yes"


async def test_messages_of_nobody_are_all_kept() -> None:
    clock = FakeClock()
    async with opened("local", vote(timeout_ms=1000), clock=clock) as world:
        await world.tell("judge", "one")
        await world.tell("judge", "one")
        await world.gathered(2)
        await clock.advance(1)
        assert (await world.out())["sources"] == ["source_0", "source_1"]


async def test_an_aggregate_that_fails_is_a_dead_letter() -> None:
    judge = AggregatorAgent(
        "judge", aggregation_strategy="voting_unanimous", inputs=["a", "b"], timeout_ms=9000
    )
    async with opened("local", judge) as world:
        await world.tell("a", "yes")
        await world.gathered(1)
        await world.tell("b", "no")
        while not world.rt.dead_letters:
            await asyncio.sleep(0)
        [letter] = world.rt.dead_letters
        assert (letter.target, letter.message.type) == ("judge", "answers")


async def test_an_empty_answer_is_refused_and_named() -> None:
    async with opened("local", vote(inputs=["a"], timeout_ms=9000)) as world:
        await world.tell("a", " ")
        while not world.rt.dead_letters:
            await asyncio.sleep(0)
        assert isinstance(world.rt.dead_letters[0].error, InvalidMessage)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, None),
        ({"inputs": ["a"]}, None),
        ({"inputs": ["a", "b"]}, 5.0),
        ({"inputs": ["a", "b"], "timeout_ms": 0}, None),
        ({"timeout_ms": 250}, 0.25),
    ],
)
def test_collecting_is_for_several_inputs_or_on_demand(
    options: dict[str, Any], seconds: float | None
) -> None:
    gathers = vote(**options).gathers
    assert (gathers.seconds if gathers else None) == seconds


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="timeout_ms is -1"):
        vote(timeout_ms=-1)


FLOW = """
agents:
- {name: start, code: "./flow.py:start", inputs: [{source: user}]}
- {name: one, code: "./flow.py:one", inputs: [{source: start}]}
- {name: two, code: "./flow.py:two", inputs: [{source: start}]}
- name: judge
  role: aggregator
  aggregator_config: {aggregation_strategy: voting_confidence, timeout_ms: 60000}
  inputs: [{source: one, type: opinion}, {source: two}, {source: start}]
  outputs: [{target: out}]
"""
CODE = """
from aixgo import agent

@agent
async def start(text: str) -> str:
    return text

@agent
async def one(text: str) -> dict:
    return {"content": text.upper(), "confidence": 0.9}

@agent
async def two(text: str) -> dict:
    return {"content": text, "confidence": 0.2}
"""


@pytest.mark.parametrize("distributed", [False, True], ids=["one process", "a process each"])
async def test_a_run_of_a_file_ends_with_the_one_answer_of_all_its_inputs(
    tmp_path: Path, distributed: bool
) -> None:
    (tmp_path / "flow.py").write_text(CODE)
    (tmp_path / "flow.yaml").write_text(FLOW)
    config = load_config(tmp_path / "flow.yaml")
    assert config.warnings == ()
    [judge] = [placed.agent for placed in assemble(config) if placed.name == "judge"]
    assert judge.gathers.sources == ("one", "two", "start")  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        outcome = await run_config(config, "hello", RunOptions(distributed=distributed))
    answer: Any = outcome.answer
    assert answer["aggregated_content"] == "HELLO"
    assert sorted(answer["sources"]) == ["one", "start", "two"]
