"""The pick among replicas: nothing runs twice, nobody queues behind a peer that is gone, links are closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from aixgo import DistributedRuntime, agent
from aixgo.contract import Agent
from aixgo.errors import AixgoError, Unavailable
from aixgo.rpc.options import WireSettings
from tests.unit.runtime.waiting import until


def recording(runs: list[str], gate: asyncio.Event | None = None) -> Agent:
    @agent
    async def work(text: str) -> str:
        runs.append(text)
        if gate is not None:
            await gate.wait()
        return text

    return work


async def test_a_call_cut_off_by_the_end_of_a_drain_is_not_run_again_at_another_replica() -> None:
    runs: list[str] = []
    async with asyncio.timeout(15):
        replicas = [
            DistributedRuntime(
                recording(runs, asyncio.Event()), address="127.0.0.1:0", stop_grace=0.05
            )
            for _ in range(2)
        ]
        for replica in replicas:
            await replica.start()
        addresses = [replica.address for replica in replicas]
        async with DistributedRuntime(peers={"work": addresses}) as rt:
            call = asyncio.create_task(rt.call("work", "once"))
            await until(lambda: runs)
            busy = next(r for r in replicas if r.metrics()["calls_in_flight"])
            await busy.stop()
            with pytest.raises(Unavailable) as failed:
                await call
        await asyncio.gather(*(replica.stop() for replica in replicas))
    assert runs == ["once"]
    assert failed.value.outcome == "unknown"
    assert not failed.value.retryable


async def test_a_key_is_not_run_again_by_a_process_that_took_over_the_address() -> None:
    runs: list[str] = []
    async with asyncio.timeout(15):
        first = DistributedRuntime(recording(runs), address="127.0.0.1:0")
        await first.start()
        address = first.address
        async with DistributedRuntime(peers={"work": address}) as rt:
            await rt.call("work", "once", idempotency_key="k")
            await first.stop()
            async with DistributedRuntime(recording(runs), address=address):
                with pytest.raises(Unavailable) as failed:
                    await rt.call("work", "once", idempotency_key="k")
                while True:  # another key finds the new process
                    with contextlib.suppress(Unavailable):
                        await rt.call("work", "other", idempotency_key="other")
                        break
                    await asyncio.sleep(0)
                with pytest.raises(Unavailable) as again:
                    await rt.call("work", "once", idempotency_key="k")
    assert runs == ["once", "other"]
    assert failed.value.outcome == again.value.outcome == "unknown"


async def test_duplicates_of_one_key_meet_at_one_replica_though_none_was_reached_before() -> None:
    runs: list[str] = []
    async with (
        asyncio.timeout(15),
        DistributedRuntime(recording(runs), address="127.0.0.1:0") as one,
        DistributedRuntime(recording(runs), address="127.0.0.1:0") as two,
        DistributedRuntime(peers={"work": [one.address, two.address]}) as rt,
    ):
        replies = await asyncio.gather(
            *(rt.call("work", "once", idempotency_key="k") for _ in range(6))
        )
    assert runs == ["once"]
    assert {reply.text for reply in replies} == {"once"}


async def test_duplicates_of_one_key_move_on_together_from_a_replica_that_is_down() -> None:
    runs: list[str] = []
    async with (
        asyncio.timeout(15),
        DistributedRuntime(recording(runs), address="127.0.0.1:0") as up,
        DistributedRuntime(peers={"work": ["127.0.0.1:1", up.address]}) as rt,
    ):
        for key in range(4):  # whichever replica is picked first
            replies = await asyncio.gather(
                *(rt.call("work", f"{key}", idempotency_key=f"{key}") for _ in range(6))
            )
            assert {reply.text for reply in replies} == {f"{key}"}
    assert runs == ["0", "1", "2", "3"]


@contextlib.contextmanager
def silent_peer() -> Iterator[str]:
    """An address where connections wait to be accepted and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        yield f"{host}:{port}"


async def test_calls_to_a_silent_address_share_one_attempt_to_connect() -> None:
    wire = WireSettings(connect_timeout=0.5)
    with silent_peer() as address:
        async with (
            asyncio.timeout(15),
            DistributedRuntime(peers={"work": address}, wire=wire) as rt,
        ):
            began = asyncio.get_running_loop().time()
            outcomes = await asyncio.gather(
                *(rt.call("work", "hello") for _ in range(10)), return_exceptions=True
            )
            took = asyncio.get_running_loop().time() - began
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert took < 2.5  # ten attempts one after another take five seconds


async def test_stopping_closes_the_connections_to_peers() -> None:
    closed = asyncio.Event()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)

    async with (
        asyncio.timeout(15),
        DistributedRuntime(recording([]), address="127.0.0.1:0") as there,
    ):
        host, _, port = there.address.rpartition(":")

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            back = asyncio.create_task(pump(far_reader, writer))
            await pump(reader, far_writer)  # ends when the caller's side closes
            back.cancel()
            far_writer.close()
            writer.close()
            closed.set()

        server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        here, tunnel_port = server.sockets[0].getsockname()
        rt = DistributedRuntime(peers={"work": f"{here}:{tunnel_port}"})
        async with rt:
            await rt.call("work", "hello")
            assert not closed.is_set()
        await closed.wait()
        server.close()
        assert rt.state == "stopped"  # and it is still held: nothing was left to its deletion


async def test_a_peer_disconnected_while_its_name_is_looked_up_fails_the_call_as_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looking = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def never(*args: object, **keywords: object) -> list[object]:
        looking.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(loop, "getaddrinfo", never)
    async with (
        asyncio.timeout(5),
        DistributedRuntime(peers={"work": "dns:///fleet.test:1"}, insecure=True) as rt,
    ):
        call = asyncio.create_task(rt.call("work", "hello"))
        await looking.wait()
        await rt.disconnect("work")
        with pytest.raises(Unavailable):
            await call


async def test_a_name_that_no_resolver_takes_is_unavailable() -> None:
    async with (
        asyncio.timeout(5),
        DistributedRuntime(peers={"work": f"dns:///{'a' * 70}.test:1"}, insecure=True) as rt,
    ):
        with pytest.raises(Unavailable):
            await rt.call("work", "hello")


async def test_a_stopped_runtime_connects_to_nobody() -> None:
    rt = DistributedRuntime()
    async with asyncio.timeout(5), rt:
        pass
    with pytest.raises(AixgoError, match="stopped"):
        await rt.connect("work", "127.0.0.1:1")
    assert rt.list_agents() == []
