"""A call with an idempotency key takes effect once per key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo.errors import AgentRefused, KeyConflict, Unavailable
from aixgo.message import new_id
from tests.conformance.gates import Gates
from tests.conformance.places import COVERING, World

pytestmark = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file in which every execution of `counts` leaves a line."""
    path = tmp_path / "effects"
    path.touch()
    return path


@pytest.fixture
def key() -> str:
    return new_id()


def count(effects: Path) -> int:
    return len(effects.read_text().splitlines())


async def arrived(world: World) -> None:
    """Return when what was begun before has reached the host, which takes calls in their order."""
    for number in range(3):
        await world.rt.call("echo", number)


async def test_the_second_call_gets_the_first_ones_reply(
    world: World, effects: Path, key: str
) -> None:
    task = {"file": str(effects), "note": "n"}
    first = await world.rt.call("counts", task, idempotency_key=key)
    second = await world.rt.call("counts", task, idempotency_key=key)
    assert (first.payload, second.payload, second.id) == ("effect n", "effect n", first.id)
    assert count(effects) == 1


async def test_calls_without_a_key_or_with_other_keys_all_take_effect(
    world: World, effects: Path, key: str
) -> None:
    for given in ("", "", key, f"{key} other"):
        await world.rt.call("counts", {"file": str(effects)}, idempotency_key=given)
    assert count(effects) == 4


async def test_duplicates_in_flight_join_the_first(
    world: World, effects: Path, key: str, gates: Gates
) -> None:
    task = {"file": str(effects), "gates": gates.path}
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(world.rt.call("counts", task, idempotency_key=key)) for _ in range(5)
        ]
        arrival = await gates.arrival("counts")
        await arrived(world)
        arrival.open()
    assert {call.result().id for call in calls} == {calls[0].result().id}
    assert count(effects) == 1


async def test_a_joined_call_keeps_the_run_going_when_the_first_leaves(
    world: World, effects: Path, key: str, gates: Gates
) -> None:
    task = {"file": str(effects), "gates": gates.path}
    first = asyncio.create_task(world.rt.call("counts", task, idempotency_key=key))
    arrival = await gates.arrival("counts")
    second = asyncio.create_task(world.rt.call("counts", task, idempotency_key=key))
    await arrived(world)
    first.cancel()
    await asyncio.wait([first])
    await arrived(world)
    arrival.open()
    assert (await second).payload == "effect"
    assert await arrival.ended() == "passed"
    assert count(effects) == 1


async def test_another_payload_under_the_same_key_is_refused(
    world: World, effects: Path, key: str
) -> None:
    await world.rt.call("counts", {"file": str(effects)}, idempotency_key=key)
    with pytest.raises(KeyConflict):
        await world.rt.call("counts", {"file": str(effects), "note": "n"}, idempotency_key=key)
    assert count(effects) == 1


async def test_an_error_that_stays_is_a_result_and_is_given_again(
    world: World, effects: Path, key: str
) -> None:
    task = {"file": str(effects), "fail": "AgentRefused"}
    ids = set()
    for _ in range(2):
        with pytest.raises(AgentRefused) as refused:
            await world.rt.call("counts", task, idempotency_key=key)
        ids.add(refused.value.error_id)
    assert len(ids) == 1
    assert count(effects) == 1


async def test_an_error_that_may_pass_frees_the_key(world: World, effects: Path, key: str) -> None:
    task = {"file": str(effects), "fail": "Unavailable"}
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            await world.rt.call("counts", task, idempotency_key=key)
        assert raised.value.outcome == "not_started"
    assert count(effects) == 2


async def test_a_run_that_everybody_left_has_an_unknown_outcome(
    world: World, effects: Path, key: str, gates: Gates
) -> None:
    task = {"file": str(effects), "gates": gates.path}
    call = asyncio.create_task(world.rt.call("counts", task, idempotency_key=key))
    arrival = await gates.arrival("counts")
    call.cancel()
    assert await arrival.ended() == "stopped"
    with pytest.raises(Unavailable) as raised:
        await world.rt.call("counts", task, idempotency_key=key)
    assert (raised.value.outcome, raised.value.retryable) == ("unknown", False)
    assert count(effects) == 1


async def test_a_streamed_duplicate_gets_the_final_message_only(
    world: World, effects: Path, key: str
) -> None:
    finals = []
    for _ in range(2):
        async with world.rt.stream("counts", {"file": str(effects)}, idempotency_key=key) as chunks:
            assert [chunk.content async for chunk in chunks] == []
        assert chunks.final is not None
        finals.append(chunks.final.id)
    assert len(set(finals)) == 1
    assert count(effects) == 1
