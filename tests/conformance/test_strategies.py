"""Error strategies of patterns mean the same wherever the pattern and its agents live."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo import AixgoError, Budget, Message
from aixgo.errors import AgentFailed, AgentRefused, BudgetExceeded, ProviderUnavailable
from aixgo.message import JSONValue, new_id
from tests.conformance.calls import failure, read, stream_failure
from tests.conformance.gates import HANG, Gates
from tests.conformance.places import COVERING, Place, World

PLACES = [Place("local-wire"), *COVERING, Place("processes", "unix", "stream")]

pytestmark = pytest.mark.parametrize("place", PLACES, indirect=True, ids=str)

BUSY: list[JSONValue] = ["busy"] * 9
NO: JSONValue = {"class": "AgentRefused", "text": "no"}
DOWN: JSONValue = {
    "class": "ProviderUnavailable",
    "text": "the model provider 'acme' failed (busy)",
}


@pytest.fixture(params=["call", "stream"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the pattern is asked."""
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where attempts are counted."""
    path = tmp_path / "attempts"
    path.touch()
    return path


def lines(file: Path) -> list[str]:
    """Who was asked, in order."""
    return file.read_text().splitlines()


async def reply_of(world: World, kind: str, target: str, task: dict[str, JSONValue]) -> Message:
    if kind == "call":
        async with asyncio.timeout(HANG):
            return await world.rt.call(target, task)
    _, final = await read(world.rt, target, task)
    assert final is not None
    return final


async def error_of(world: World, kind: str, target: str, task: dict[str, JSONValue]) -> AixgoError:
    return await (failure if kind == "call" else stream_failure)(world.rt, target, task)


def trail(reply: Message, agent: str = "") -> list[list[JSONValue]]:
    """Who had the task, with which attempt."""
    payload = reply.payload
    assert isinstance(payload, dict)
    found = payload[agent] if agent else payload
    return [entry[:2] for entry in found["trail"]]  # type: ignore[index,call-overload,union-attr]


async def test_agents_are_asked_again_and_then_others(world: World, kind: str, file: Path) -> None:
    task = {"file": str(file), "one": BUSY[:2], "two": ["busy", "busy", "break"]}
    reply = await reply_of(world, kind, "row", task)
    assert trail(reply) == [["one", 3], ["spare", 1]]
    assert reply.metadata["retries"] == 4
    told = reply.metadata["fallbacks"]
    assert isinstance(told, dict)
    assert list(told) == ["two"]
    assert told["two"]["served_by"] == "spare"  # type: ignore[index,call-overload]
    assert (reply.usage.calls, reply.usage.retries, reply.usage.unsettled) == (7, 4, False)


async def test_a_router_asks_again_and_then_others(world: World, kind: str, file: Path) -> None:
    task = {"file": str(file), "category": "second", "one": BUSY[:1], "two": ["break"]}
    reply = await reply_of(world, kind, "pick", task)
    assert trail(reply) == [["spare", 1]]
    assert (reply.metadata["routed_to"], reply.metadata["retries"]) == ("two", 1)


async def test_a_run_goes_on_and_says_who_is_missing(world: World, kind: str, file: Path) -> None:
    reply = await reply_of(world, kind, "fan", {"file": str(file), "two": ["refuse"]})
    assert trail(reply, "one") == [["one", 1]]
    assert (reply.metadata["degraded"], reply.metadata["missing"]) == (True, {"two": NO})


async def test_the_error_of_a_run_tells_who_answered_and_who_failed(
    world: World, kind: str, file: Path
) -> None:
    task = {"file": str(file), "two": BUSY, "spare": ["refuse"]}
    error = await error_of(world, kind, "row", task)
    assert isinstance(error, ProviderUnavailable)
    assert error.partial is not None
    one, two = error.partial
    assert two == {"agent": "two", "retries": 2, "error": DOWN}
    assert isinstance(one, dict)
    answered = one["reply"]
    assert isinstance(answered, dict)
    assert (one["agent"], answered["trail"]) == ("one", [["one", 1, None]])
    assert "secret" not in str(error.partial)


async def test_the_first_failure_stops_the_others_where_they_run(
    world: World, kind: str, file: Path, gates: Gates
) -> None:
    task = {"file": str(file), "gates": gates.path, "one": ["refuse late"], "two": ["wait"]}
    failing = asyncio.create_task(error_of(world, kind, "rush", task))
    late, stuck = await gates.arrival("one"), await gates.arrival("two")
    late.open()
    error = await failing
    assert isinstance(error, AgentRefused)
    assert await stuck.ended() == "stopped"
    assert error.partial == [{"agent": "one", "error": NO}, {"agent": "two", "stopped": True}]


async def test_a_run_within_a_run_tells_its_part(world: World, kind: str, file: Path) -> None:
    task = {"file": str(file), "one": ["", "refuse"], "two": ["refuse"]}
    error = await error_of(world, kind, "nest", task)
    assert isinstance(error, AgentRefused)
    assert error.partial is not None
    outer = error.partial[-1]
    assert isinstance(outer, dict)
    assert (outer["agent"], outer["error"]) == ("rush", NO)
    inner = outer["partial"]
    assert isinstance(inner, list)
    assert [entry["agent"] for entry in inner] == ["one", "two"]  # type: ignore[index,call-overload]


async def test_a_failed_run_with_a_key_tells_the_same_again(world: World, file: Path) -> None:
    key, task = new_id(), {"file": str(file), "two": ["break"], "spare": ["break"]}
    told = []
    for _ in range(2):
        with pytest.raises(AgentFailed) as failed:
            await world.rt.call("row", task, idempotency_key=key)
        told.append(failed.value.partial)
    assert told[0] == told[1]
    assert told[0] is not None
    assert lines(file) == ["one", "two", "spare"]


async def test_attempts_share_what_their_call_was_lent(world: World, file: Path) -> None:
    task = {"file": str(file), "one": BUSY[:2], "two": BUSY[:1]}
    reply = await world.rt.call("row", task, budget=Budget(calls=9))
    payload = reply.payload
    assert isinstance(payload, dict)
    assert payload["trail"] == [["one", 3, 6], ["two", 2, 4]]
    assert (reply.usage.calls, reply.usage.unsettled) == (5, False)


async def test_who_was_stopped_costs_what_it_spent(
    world: World, file: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world.place.transport == "unary":
        pytest.skip("a cancelled RPC brings no report: see docs/sameness.md")
    if world.place.kind == "processes":
        pytest.skip("on a busy machine the report may be late, and there it cannot be waited for")
    monkeypatch.setattr("aixgo.purse.SETTLE_TIMEOUT", HANG)
    monkeypatch.setattr("aixgo.rpc.stream.STATUS_GRACE", HANG)
    task = {"file": str(file), "gates": gates.path, "one": ["wait"], "two": ["refuse late"]}
    call = asyncio.create_task(world.rt.call("shelter", task, budget=Budget(calls=9)))
    await gates.arrival("one")
    (await gates.arrival("two")).open()
    async with asyncio.timeout(HANG):
        reply = await call
    assert trail(reply) == [["spare", 1]]
    assert (reply.usage.calls, reply.usage.unsettled) == (3, False)


async def test_a_budget_ends_the_run_whatever_its_strategy(
    world: World, kind: str, file: Path
) -> None:
    error = await error_of(world, kind, "row", {"file": str(file), "two": ["over"]})
    assert isinstance(error, BudgetExceeded)
    assert lines(file) == ["one", "two"]
    assert error.partial is not None
    assert error.partial[-1] == {
        "agent": "two",
        "error": {"class": "BudgetExceeded", "text": str(error)},
    }
