"""Peers that cannot be reached, go away, fall silent or come back: each call has its error, in time."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import AgentNotFound, Unavailable
from aixgo.message import new_id
from aixgo.rpc.options import WireSettings
from tests.conformance.agents import LEFT
from tests.conformance.calls import failure, stream_failure
from tests.conformance.gates import HANG, Gates
from tests.conformance.places import ADDRESSES, TRANSPORTS, Fleet, Place
from tests.conformance.servers import ServerProcess, names

AT_ONCE = 1.0  # seconds within which a refusal comes, on a busy machine

pytestmark = pytest.mark.parametrize(
    "place",
    [Place("processes", address, way) for address in ADDRESSES for way in TRANSPORTS],
    indirect=True,
    ids=str,
)


def doomed(fleet: Fleet, place: Place) -> Iterator[ServerProcess]:
    server = fleet.doomed("LEFT", place)
    yield server
    fleet.spare("LEFT", place, server)


@pytest.fixture
def left(fleet: Fleet, place: Place) -> Iterator[ServerProcess]:
    """A process that a test may do anything to; one that is still there goes to the next test."""
    yield from doomed(fleet, place)


@pytest.fixture
def other(fleet: Fleet, place: Place) -> Iterator[ServerProcess]:
    """Another one."""
    yield from doomed(fleet, place)


@asynccontextmanager
async def calling(
    place: Place, *addresses: str, wire: WireSettings | None = None
) -> AsyncIterator[DistributedRuntime]:
    """A runtime that knows the left side at `addresses`."""
    peers = dict.fromkeys(names(LEFT), addresses)
    async with DistributedRuntime(peers=peers, transport=place.transport, wire=wire) as rt:
        yield rt


def unused(place: Place, sockets: Path) -> str:
    """An address of the place's kind at which nobody listens."""
    if place.address == "unix":
        return f"unix:{sockets / 'nobody'}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def outcome(rt: DistributedRuntime, target: str, message: object) -> object:
    """The reply, or the error instead."""
    return (await rt.call_parallel([target], message))[0].error


async def test_two_callers_of_one_agent_get_their_own_answers(
    place: Place, fleet: Fleet, gates: Gates
) -> None:
    address = fleet.pair(place)[0].address
    async with (
        calling(place, address) as one,
        calling(place, address) as two,
        asyncio.TaskGroup() as group,
    ):
        calls = {
            name: group.create_task(rt.call("waits", {"gates": gates.path, "note": name}))
            for name, rt in (("one", one), ("two", two))
        }
        met = [await gates.arrival("waits"), await gates.arrival("waits")]
        for arrival in reversed(met):  # the later one is answered first
            arrival.open(f"for {arrival.note}")
    assert {name: call.result().payload for name, call in calls.items()} == {
        "one": "for one",
        "two": "for two",
    }


async def test_a_name_that_nobody_hosts_is_refused_at_once(place: Place, fleet: Fleet) -> None:
    address = fleet.pair(place)[0].address
    async with DistributedRuntime(peers={"upper": address}, transport=place.transport) as rt:
        async with asyncio.timeout(AT_ONCE):
            assert isinstance(await failure(rt, "upper", "x"), AgentNotFound)
            assert isinstance(await stream_failure(rt, "upper", "x"), AgentNotFound)
            with pytest.raises(AgentNotFound):
                await rt.send("upper", "x")
            with pytest.raises(AgentNotFound):
                await rt.connect("lower", address)
        assert (await rt.health())["agents"]["upper"] == "not hosted at its address"


async def test_an_address_where_nobody_listens_is_refused_at_once(
    place: Place, sockets: Path
) -> None:
    async with calling(place, unused(place, sockets)) as rt:
        for _ in range(3):
            async with asyncio.timeout(AT_ONCE):
                error = await failure(rt, "echo", "hello")
            assert isinstance(error, Unavailable)
            assert (error.outcome, error.retryable) == ("not_started", True)


async def test_an_agent_killed_at_work_leaves_an_unknown_outcome(
    place: Place, left: ServerProcess, gates: Gates
) -> None:
    async with calling(place, left.address) as rt, asyncio.TaskGroup() as group:
        task = {"gates": gates.path}
        call = group.create_task(failure(rt, "waits", task))
        stream = group.create_task(stream_failure(rt, "waits", task))
        met = [await gates.arrival("waits"), await gates.arrival("waits")]
        left.kill()
        async with asyncio.timeout(AT_ONCE):
            errors = [await call, await stream]
        assert [await arrival.ended() for arrival in met] == ["lost", "lost"]
        for error in errors:
            assert isinstance(error, Unavailable)
            assert (error.outcome, error.retryable) == ("unknown", False)
        error = await failure(rt, "echo", "is anybody there?")
        assert isinstance(error, Unavailable)
        assert error.outcome == "not_started"


async def test_a_deep_call_whose_last_agent_is_killed_fails_at_every_hop(
    place: Place, left: ServerProcess, fleet: Fleet, gates: Gates
) -> None:
    right = fleet.doomed("RIGHT", place)
    right.connect(dict.fromkeys(names(LEFT), left.address))
    async with DistributedRuntime(peers={"b": right.address}, transport=place.transport) as rt:
        task = {"route": ["waits"], "payload": {"gates": gates.path}}
        call = asyncio.create_task(failure(rt, "b", task))
        await gates.arrival("waits")
        left.kill()
        async with asyncio.timeout(AT_ONCE):
            error = await call
    assert isinstance(error, Unavailable)
    assert (error.name, error.outcome, error.agent) == ("waits", "unknown", "b")


async def test_a_peer_that_falls_silent_is_noticed_within_five_seconds(
    place: Place, left: ServerProcess, gates: Gates
) -> None:
    quick = WireSettings(keepalive_time=2.0, keepalive_timeout=1.0)
    async with calling(place, left.address, wire=quick) as rt:
        call = asyncio.create_task(failure(rt, "waits", {"gates": gates.path}))
        await gates.arrival("waits")
        left.send(signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                error = await call
            assert isinstance(error, Unavailable)
            assert error.outcome == "unknown"
        finally:
            left.send(signal.SIGCONT)


async def test_calls_are_spread_over_replicas_and_go_on_when_one_is_killed(
    place: Place, left: ServerProcess, other: ServerProcess, gates: Gates
) -> None:
    async with calling(place, left.address, other.address) as rt:
        calls = [
            asyncio.create_task(rt.call("waits", {"gates": gates.path, "note": n}))
            for n in range(4)
        ]
        met = [await gates.arrival("waits") for _ in calls]
        other.kill()
        for arrival in met:
            arrival.open()
        async with asyncio.timeout(AT_ONCE):
            results = await asyncio.gather(*calls, return_exceptions=True)
        kinds = sorted(type(result).__name__ for result in results)
        assert kinds == ["Message", "Message", "Unavailable", "Unavailable"]  # half were at either
        for number in range(20):
            async with asyncio.timeout(AT_ONCE):
                assert (await rt.call("echo", number)).payload == number


async def test_a_server_that_comes_back_at_its_address_is_used_again(
    place: Place, fleet: Fleet, sockets: Path
) -> None:
    address = unused(place, sockets)
    first = fleet.doomed("LEFT", place, address=address)
    assert first.address == address
    async with calling(place, address) as rt:
        assert (await rt.call("echo", 1)).payload == 1
        first.kill()
        assert isinstance(await failure(rt, "echo", "away"), Unavailable)
        second = fleet.doomed("LEFT", place, address=address)
        assert second.address == address
        async with asyncio.timeout(2):
            while isinstance(await outcome(rt, "echo", 2), Unavailable):
                pass
        for number in range(20):
            assert (await rt.call("echo", number)).payload == number


async def test_sigterm_lets_calls_in_flight_finish_and_refuses_new_ones(
    place: Place, left: ServerProcess, gates: Gates
) -> None:
    async with calling(place, left.address) as rt, asyncio.timeout(HANG):
        call = asyncio.create_task(rt.call("waits", {"gates": gates.path}))
        arrival = await gates.arrival("waits")
        left.send(signal.SIGTERM)
        while (error := await outcome(rt, "echo", "new")) is None:
            pass  # until the signal is felt
        assert isinstance(error, Unavailable)
        assert error.outcome == "not_started"
        arrival.open("finished")
        assert (await call).payload == "finished"
    assert left.wait() == 0


async def test_no_call_fails_when_one_replica_of_two_is_restarted(
    place: Place, left: ServerProcess, other: ServerProcess
) -> None:
    async with calling(place, left.address, other.address) as rt, asyncio.timeout(HANG):
        outcomes: asyncio.Queue[object] = asyncio.Queue()
        going = True

        async def keep_calling() -> None:
            while going:
                outcomes.put_nowait(await outcome(rt, "echo", "x"))

        async def none_fails(count: int) -> None:
            for _ in range(count):
                assert await outcomes.get() is None

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(keep_calling())
            await none_fails(100)
            other.send(signal.SIGTERM)
            await asyncio.to_thread(other.wait)
            await none_fails(outcomes.qsize() + 50)
            going = False


async def test_a_key_is_never_run_again_elsewhere_when_its_replica_is_gone(
    place: Place, left: ServerProcess, other: ServerProcess, gates: Gates, tmp_path: Path
) -> None:
    replicas = {left.address: left, other.address: other}
    task = {"file": str(tmp_path / "effects"), "gates": gates.path}
    key = new_id()
    async with calling(place, *replicas) as rt:
        call = asyncio.create_task(rt.call("counts", task, idempotency_key=key))
        arrival = await gates.arrival("counts")
        (at,) = (server for server in replicas.values() if server.pid == arrival.note)
        at.kill()
        with pytest.raises(Unavailable) as first:
            await call
        with pytest.raises(Unavailable) as second:
            await rt.call("counts", task, idempotency_key=key)
        assert [raised.value.outcome for raised in (first, second)] == ["unknown", "unknown"]
        assert (await rt.call("echo", "the other is there")).payload == "the other is there"
    assert effects(tmp_path) == 1


def effects(folder: Path) -> int:
    return len((folder / "effects").read_text().splitlines())
