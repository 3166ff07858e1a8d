"""A fleet under load: replicas are restarted, a name moves to other addresses, calls spread evenly."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from aixgo import DistributedRuntime, agent

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 10
CALLERS = 8
CALLS_BETWEEN = 100  # answered while both replicas serve, before the next one is restarted
CALLS = 10_000
EVEN = 1.2  # most calls at a replica, as a multiple of the fewest
PATIENCE = 25.0  # seconds a test may take, so that a hang shows where it is

SERVER = """
import asyncio, sys
from aixgo import agent, serve

@agent
async def work(text: str) -> str:
    await asyncio.sleep(0.002)  # work, so that calls are in flight when a replica goes
    return sys.argv[1]

asyncio.run(serve(
    work, address=sys.argv[1], insecure=True, ready=lambda rt: print(rt.address, flush=True)
))
"""

CLIENT = """
import asyncio, sys
from aixgo import DistributedRuntime

async def main(name):
    async with DistributedRuntime(peers={"work": name}, insecure=True) as rt:
        before = ""
        while True:
            where = (await rt.call("work", "")).text
            if where != before:
                print(where, flush=True)
            before = where

asyncio.run(main(*sys.argv[1:]))
"""

transports = pytest.mark.parametrize("transport", ["stream", "unary"])
needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a mount namespace for a hosts file of its own: sudo make test",
)


@asynccontextmanager
async def process(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of this checkout, killed at the end unless it is gone."""
    started = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def said(one: asyncio.subprocess.Process) -> str:
    """The next line of its output."""
    assert one.stdout is not None
    return (await one.stdout.readline()).decode().strip()


def free_addresses(count: int, hosts: tuple[str, ...] = ("127.0.0.1",)) -> list[str]:
    """Addresses nobody listens at; with several hosts, the same port at each."""
    probes = [socket.create_server((hosts[0], 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in probes]
    for each in probes:
        each.close()
    return [f"{host}:{port}" for port in ports for host in hosts]


@transports
async def test_ten_restarts_of_one_of_two_replicas_under_load_lose_no_call(
    transport: str, tmp_path: Path
) -> None:
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    addresses = free_addresses(2)
    answered, failed = Counter[str](), list[Exception]()
    done = asyncio.Event()

    async def caller(rt: DistributedRuntime) -> None:
        while not done.is_set():
            try:
                answered[(await rt.call("work", "", timeout=10)).text] += 1
            except Exception as exc:
                failed.append(exc)

    async def more(address: str) -> None:
        enough = answered[address] + CALLS_BETWEEN
        while answered[address] < enough and not failed:
            await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        replicas = dict[str, asyncio.subprocess.Process]()

        async def start(address: str) -> None:
            command = process(sys.executable, program, address)
            replicas[address] = await stack.enter_async_context(command)
            assert await said(replicas[address]) == address

        await asyncio.gather(*map(start, addresses))
        async with (
            DistributedRuntime(peers={"work": addresses}, transport=transport) as rt,
            asyncio.TaskGroup() as callers,
        ):
            for _ in range(CALLERS):
                callers.create_task(caller(rt))
            for number in range(ROUNDS):
                address = addresses[number % 2]
                await asyncio.gather(*map(more, addresses))
                replicas[address].terminate()
                assert await replicas[address].wait() == 0
                await start(address)
            await asyncio.gather(*map(more, addresses))
            done.set()
    assert failed == []
    assert answered.total() > ROUNDS * CALLS_BETWEEN


@transports
async def test_calls_spread_evenly_over_replicas(transport: str) -> None:
    served = Counter[int]()

    def replica(number: int) -> DistributedRuntime:
        @agent(name="work")
        async def work(text: str) -> str:
            served[number] += 1
            return text

        return DistributedRuntime(work, address="127.0.0.1:0")

    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(number)) for number in range(3)]
        rt = await stack.enter_async_context(
            DistributedRuntime(
                peers={"work": [each.address for each in replicas]}, transport=transport
            )
        )

        async def caller() -> None:
            for _ in range(CALLS // 50):
                await rt.call("work", "")

        async with asyncio.TaskGroup() as callers:
            for _ in range(50):
                callers.create_task(caller())
    assert served.total() == CALLS
    assert len(served) == 3
    assert max(served.values()) <= EVEN * min(served.values())


@needs_mounts
async def test_a_name_is_followed_when_its_addresses_change(tmp_path: Path) -> None:
    server, client = tmp_path / "server.py", tmp_path / "client.py"
    server.write_text(SERVER)
    client.write_text(CLIENT)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.2 agents.test\n")
    first, second = free_addresses(1, ("127.0.0.2", "127.0.0.3"))
    name = f"dns:///agents.test:{first.rpartition(':')[2]}"
    own_hosts = 'mount --bind "$0" /etc/hosts && exec "$@"'
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        for address in (first, second):
            replica = await stack.enter_async_context(process(sys.executable, server, address))
            assert await said(replica) == address
        caller = await stack.enter_async_context(
            process(
                *("unshare", "-m", "sh", "-c", own_hosts, hosts),
                *(sys.executable, client, name),
            )
        )
        assert await said(caller) == first
        hosts.write_text("127.0.0.3 agents.test\n")
        assert await said(caller) == second
