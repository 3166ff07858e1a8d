"""Policies around calls between agents mean the same wherever the agent lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import Budget, Message, Usage
from aixgo.errors import CircuitOpen, ProviderUnavailable
from aixgo.message import JSONValue
from aixgo.resilience import CircuitBreaker, Fallback, Policy, Retry, Timeout
from tests.conformance.calls import failure, stream_failure
from tests.conformance.conftest import OpenWorld
from tests.conformance.places import COVERING, World

pytestmark = [
    pytest.mark.parametrize("place", COVERING, indirect=True, ids=str),
    pytest.mark.parametrize("kind", ["call", "stream"]),
]

SPENT = Usage(cost_nanos=5_000, tokens_prompt=10, tokens_completion=4, calls=1)


async def reply_of(
    world: World, kind: str, target: str, task: dict[str, JSONValue], budget: Budget | None = None
) -> Message:
    if kind == "call":
        return await world.rt.call(target, task, budget=budget)
    async with world.rt.stream(target, task, budget=budget) as chunks:
        async for _ in chunks:
            pass
    assert chunks.final is not None
    return chunks.final


async def error_of(world: World, kind: str, target: str, task: object) -> Exception:
    return await (failure if kind == "call" else stream_failure)(world.rt, target, task)


def policies(*given: Policy) -> dict[str, object]:
    return {"middleware": list(given)}


async def test_an_attempt_is_made_again_on_the_same_path_and_all_are_charged(
    opened: OpenWorld, kind: str, tmp_path: Path
) -> None:
    task = {"file": str(tmp_path / "tries"), "fails": 2}
    async with opened(caller=policies(Retry(retry_delay=0))) as world:
        reply = await reply_of(world, kind, "flaky", task)
    assert reply.text == "spent 3 times"
    assert reply.metadata["retries"] == 2
    assert reply.usage.calls == 3
    assert (tmp_path / "tries").read_text().splitlines() == ["flaky"] * 3


async def test_attempts_share_the_budget_of_their_call(
    opened: OpenWorld, kind: str, tmp_path: Path
) -> None:
    task = {"file": str(tmp_path / "tries"), "fails": 2}
    async with opened(caller=policies(Retry(retry_delay=0))) as world:
        reply = await reply_of(world, kind, "flaky", task, budget=Budget(calls=3))
    assert (reply.usage.calls, reply.usage.unsettled) == (3, False)


async def test_another_agent_answers_in_its_stead(
    opened: OpenWorld, kind: str, tmp_path: Path
) -> None:
    task = {"file": str(tmp_path / "tries"), "fails": 9}
    async with opened(caller=policies(Fallback(agents={"flaky": "sees"}))) as world:
        reply = await reply_of(world, kind, "flaky", task)
    assert reply.source == "sees"
    assert reply.metadata["served_by"] == "sees"
    assert reply.metadata["fallback_for"] == "flaky"
    assert reply.metadata["fallback_error"] == "ProviderUnavailable"
    assert reply.usage == SPENT


async def test_an_open_circuit_keeps_calls_away(
    opened: OpenWorld, kind: str, tmp_path: Path
) -> None:
    task = {"file": str(tmp_path / "tries"), "fails": 9}
    async with opened(caller=policies(CircuitBreaker(2))) as world:
        errors = [await error_of(world, kind, "flaky", task) for _ in range(4)]
    assert [type(error) for error in errors] == [ProviderUnavailable] * 2 + [CircuitOpen] * 2
    assert len((tmp_path / "tries").read_text().splitlines()) == 2


async def test_an_attempt_that_hangs_is_ended_where_it_runs_and_another_answers(
    opened: OpenWorld, kind: str, tmp_path: Path
) -> None:
    given = policies(Fallback(agents={"hangs": "echo"}), Timeout(0.2))
    note = tmp_path / "ended"
    async with opened(caller=given) as world:
        reply = await reply_of(world, kind, "hangs", {"file": str(note)})
        assert reply.metadata["fallback_error"] == "AttemptTimeout"
        while not note.exists():  # a bound of the test ends a wait that should not be
            await world.rt.call("echo", "time passes")
    assert note.read_text() == "cancelled\n"
