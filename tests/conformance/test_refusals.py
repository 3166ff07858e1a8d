"""What cannot be done is refused at once, each with its own error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aixgo import DistributedRuntime, LocalRuntime, Message
from aixgo.errors import (
    AgentNotFound,
    AgentNotReady,
    ConfigError,
    HopLimit,
    InvalidMessage,
    LimitExceeded,
    MessageTooLarge,
    RuntimeClosed,
    Unavailable,
)
from aixgo.message import MAX_MESSAGE_BYTES
from tests.conformance.calls import failure, stream_failure
from tests.conformance.conftest import OpenWorld
from tests.conformance.gates import HANG, Gates
from tests.conformance.places import COVERING, IN_PROCESS, Place, World

everywhere = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)

AT_ONCE = 1.0  # seconds within which a refusal comes, on a busy machine


@everywhere
async def test_an_unknown_name_is_refused_with_the_nearest_one(world: World) -> None:
    async with asyncio.timeout(AT_ONCE):
        error = await failure(world.rt, "ecko", "hello")
    assert isinstance(error, AgentNotFound)
    assert str(error) == "no agent is called 'ecko'; did you mean 'echo'?"


@everywhere
@pytest.mark.parametrize("name", ["session", "key", "idempotency_key"])
async def test_what_travels_with_a_call_must_be_text(world: World, name: str) -> None:
    options: dict[str, Any] = {name: "\ud800"}
    with pytest.raises(InvalidMessage) as refused:
        await world.rt.call("echo", "hello", **options)
    assert refused.value.path == name


@everywhere
async def test_an_agent_that_is_not_ready_refuses(world: World) -> None:
    async with asyncio.timeout(AT_ONCE):
        error = await failure(world.rt, "unready", "hello")
        streamed = await stream_failure(world.rt, "unready", "hello")
    assert isinstance(error, AgentNotReady)
    assert error.retryable
    assert (type(streamed), str(streamed)) == (type(error), str(error))


@everywhere
async def test_health_tells_the_state_of_every_agent(world: World) -> None:
    await world.rt.call("echo", "connect")
    health = await world.rt.health()
    assert health["status"] == "serving"
    assert health["agents"]["echo"] == "ready"
    assert health["agents"]["upper"] == "ready"
    assert health["agents"]["unready"] == "not ready"


@everywhere
async def test_a_negative_timeout_is_a_mistake_of_the_caller(world: World) -> None:
    for timeout in (-1.0, float("nan"), float("inf")):
        error = await failure(world.rt, "echo", "hello", timeout=timeout)
        assert isinstance(error, ConfigError)


@everywhere
async def test_a_payload_outside_the_domain_is_refused_with_its_place(world: World) -> None:
    error = await failure(world.rt, "echo", {"list": [1, float("nan")]})
    assert isinstance(error, InvalidMessage)
    assert error.path == "payload.list[1]"


@everywhere
async def test_a_message_over_the_limit_is_refused_before_it_leaves(world: World) -> None:
    error = await failure(world.rt, "echo", "x" * (MAX_MESSAGE_BYTES + 1))
    assert isinstance(error, MessageTooLarge)
    assert (error.size, error.limit) == (MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES)
    assert (await world.rt.call("echo", "next")).payload == "next"


@everywhere
async def test_a_reply_over_the_limit_is_refused_the_same(world: World) -> None:
    error = await failure(world.rt, "large", MAX_MESSAGE_BYTES + 1)
    assert isinstance(error, MessageTooLarge)
    assert (error.size, error.limit) == (MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES)
    assert (await world.rt.call("echo", "next")).payload == "next"


@everywhere
async def test_the_largest_message_passes_both_ways(world: World) -> None:
    largest = "x" * MAX_MESSAGE_BYTES
    assert len((await world.rt.call("echo", largest)).text) == MAX_MESSAGE_BYTES


@everywhere
async def test_an_empty_message_passes(world: World) -> None:
    for empty in (None, "", b""):
        assert (await world.rt.call("same", Message(empty))).payload == empty


@everywhere
async def test_agents_may_call_each_other_in_circles(world: World) -> None:
    assert (await world.rt.call("ping", 9)).payload == 9


@everywhere
async def test_a_circle_that_would_wait_for_itself_fails_at_once(opened: OpenWorld) -> None:
    async with opened(hosts={"max_in_flight": 1}) as world:
        assert (await world.rt.call("ping", 1)).payload == 1
        async with asyncio.timeout(AT_ONCE):
            error = await failure(world.rt, "ping", 3)
        assert isinstance(error, LimitExceeded)
        assert error.limit == "max_in_flight"
        assert (await world.rt.call("ping", 1)).payload == 1


@everywhere
async def test_calls_over_max_in_flight_wait_for_their_turn(
    opened: OpenWorld, gates: Gates
) -> None:
    async with opened(hosts={"max_in_flight": 1}) as world, asyncio.TaskGroup() as group:
        calls = [
            group.create_task(world.rt.call("waits", {"gates": gates.path, "note": n}))
            for n in range(3)
        ]
        for _ in calls:
            arrival = await gates.arrival("waits")
            assert not gates.count("waits")
            arrival.open("done")


@everywhere
async def test_a_path_has_at_most_32_hops(world: World) -> None:
    assert (await world.rt.call("ping", 32)).payload == 32
    error = await failure(world.rt, "ping", 33)
    assert isinstance(error, HopLimit)
    assert error.value == 32


@everywhere
async def test_max_depth_holds_below_the_agent_that_set_it(world: World) -> None:
    deep = {"depth": 2, "route": ["a", "b", "echo"], "payload": "deep"}
    fits = {"depth": 3, "route": ["a", "b", "echo"], "payload": "deep"}
    assert (await world.rt.call("narrows", fits)).payload == "deep"
    assert isinstance(await failure(world.rt, "narrows", deep), LimitExceeded)


@everywhere
async def test_a_task_that_outlives_its_call_may_not_call(world: World, gates: Gates) -> None:
    reply = await world.rt.call("leaves_a_task", {"gates": gates.path})
    assert reply.payload == "answered"
    (await gates.arrival("left over")).open()
    outlived = await gates.arrival("outlived")
    outlived.open()
    assert outlived.note == "RuntimeClosed"


@everywhere
async def test_a_runtime_that_has_not_started_or_has_stopped_says_so(
    opened: OpenWorld, place: Place
) -> None:
    local = place.kind in ("local", "local-wire")
    fresh = LocalRuntime() if local else DistributedRuntime()
    error = await failure(fresh, "echo", "too early")
    assert isinstance(error, RuntimeClosed)
    assert error.state == "not started"
    async with opened() as world:
        pass
    error = await failure(world.rt, "echo", "too late")
    assert isinstance(error, RuntimeClosed)
    assert error.state == "stopped"
    with pytest.raises(RuntimeClosed, match="starts once"):
        await world.rt.start()
    await world.rt.stop()


@everywhere
async def test_stopping_lets_calls_in_flight_finish_and_refuses_new_ones(
    opened: OpenWorld, gates: Gates
) -> None:
    async with opened() as world, asyncio.timeout(HANG), asyncio.TaskGroup() as group:
        task = {"route": ["b", "waits"], "payload": {"gates": gates.path}}
        call = group.create_task(world.rt.call("a", task))
        arrival = await gates.arrival("waits")
        stopping = group.create_task(world.rt.stop())
        await asyncio.sleep(0)
        assert isinstance(await failure(world.rt, "echo", "new"), RuntimeClosed)
        assert not stopping.done()
        arrival.open("finished")
        await stopping
    assert call.result().payload == "finished"


@pytest.mark.parametrize("place", IN_PROCESS, indirect=True, ids=str)
async def test_a_host_that_stops_finishes_what_it_has_and_refuses_new_calls(
    opened: OpenWorld, gates: Gates
) -> None:
    async with opened() as world, asyncio.timeout(HANG), asyncio.TaskGroup() as group:
        call = group.create_task(world.rt.call("waits", {"gates": gates.path}))
        arrival = await gates.arrival("waits")
        stopping = group.create_task(world.hosts[0].stop())
        await asyncio.sleep(0)
        error = await failure(world.rt, "echo", "new")
        assert isinstance(error, (RuntimeClosed, Unavailable))
        assert error.retryable
        arrival.open("finished")
        await stopping
        assert (await call).payload == "finished"
        assert isinstance(await failure(world.rt, "echo", "gone"), (RuntimeClosed, Unavailable))
