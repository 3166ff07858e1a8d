"""What a result says of failures does not depend on which call ended first."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import Agent, Message
from aixgo.errors import AgentRefused
from aixgo.message import JSONValue
from aixgo.orchestration import MapReduce, Orchestrator, Parallel
from aixgo.runtime.local import LocalRuntime

MANY = 12


class Late:
    """Answers by `says`, the later the shorter the text is, or the longer."""

    role = "late"

    def __init__(self, name: str, *, shortest_first: bool, fails: bool = True) -> None:
        self.name = name
        self._shortest_first = shortest_first
        self._fails = fails

    async def execute(self, message: Message) -> Message:
        size = len(message.text)
        for _ in range(5 * (size if self._shortest_first else MANY - size)):
            await asyncio.sleep(0)
        if self._fails and size < MANY:
            raise AgentRefused(f"no {size}")
        return Message([message.text])


async def told(pattern: Orchestrator, given: str) -> dict[str, JSONValue]:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(10):
        return (await rt.call(pattern.name, given)).metadata


LINES = "\n".join("x" * size for size in range(1, MANY + 1))


@pytest.mark.parametrize("shortest_first", [True, False])
async def test_of_several_failures_of_an_agent_the_first_by_key_is_told(
    shortest_first: bool,
) -> None:
    mapper = Late("late", shortest_first=shortest_first)
    pattern = MapReduce("m", mapper, max_parallel=MANY, error_strategy="continue")
    missing = (await told(pattern, LINES))["missing"]
    assert missing == {"late": {"class": "AgentRefused", "text": "no 1"}}


@pytest.mark.parametrize("shortest_first", [True, False])
async def test_agents_that_are_missing_are_told_of_in_the_order_of_their_calls(
    shortest_first: bool,
) -> None:
    slow, quick = Late("a", shortest_first=True), Late("b", shortest_first=False)
    agents: list[Agent] = [slow, quick] if shortest_first else [quick, slow]
    sure = Late("c", shortest_first=True, fails=False)
    pattern = Parallel("p", [*agents, sure], error_strategy="continue")
    missing = (await told(pattern, "x"))["missing"]
    assert isinstance(missing, dict)
    assert list(missing) == ["a", "b"]


@pytest.mark.parametrize("shortest_first", [True, False])
async def test_of_several_results_of_a_pattern_inside_the_last_by_key_is_told(
    shortest_first: bool,
) -> None:
    late = Late("late", shortest_first=shortest_first)
    sure = Late("sure", shortest_first=shortest_first, fails=False)
    inside = Parallel("inside", [late, sure])
    pattern = MapReduce("m", inside, max_parallel=MANY)
    inner = (await told(pattern, LINES))["inner"]
    assert isinstance(inner, dict)
    assert inner["inside"]["errors"]["late"]["text"] == f"no {MANY - 1}"  # type: ignore[index,call-overload]
