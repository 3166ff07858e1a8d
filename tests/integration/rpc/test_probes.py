"""Health at an address of its own: it follows the agents, and nothing else is served there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from aixgo import DistributedRuntime, agent
from aixgo.errors import AixgoError, ConfigError, Unavailable
from aixgo.rpc.probes import ask_health


@agent
async def upper(text: str) -> str:
    return text.upper()


@contextlib.asynccontextmanager
async def probed(*agents: object) -> AsyncIterator[DistributedRuntime]:
    async with (
        asyncio.timeout(15),
        DistributedRuntime(
            *(agents or (upper,)),  # type: ignore[arg-type]  # agents, all of them
            address="127.0.0.1:0",
            health_address="127.0.0.1:0",
        ) as runtime,
    ):
        yield runtime


async def test_probes_are_answered_at_both_addresses_for_the_server_and_each_agent() -> None:
    async with probed() as runtime:
        assert runtime.health_address != runtime.address
        for address in (runtime.address, runtime.health_address):
            assert await ask_health(address) == "SERVING"
            assert await ask_health(address, "upper") == "SERVING"
            assert await ask_health(address, "lower") == "UNKNOWN"


async def test_no_agent_can_be_called_at_the_address_of_probes() -> None:
    async with probed() as runtime, DistributedRuntime() as client:
        with pytest.raises(AixgoError):
            await client.connect("upper", runtime.health_address)


async def test_a_draining_server_tells_its_probes_so() -> None:
    arrived, leave = asyncio.Event(), asyncio.Event()

    @agent
    async def slow(text: str) -> str:
        arrived.set()
        await leave.wait()
        return text

    async with probed(slow) as runtime, DistributedRuntime(peers={"slow": runtime.address}) as rt:
        call = asyncio.create_task(rt.call("slow", "x"))
        await arrived.wait()
        stopping = asyncio.create_task(runtime.stop())
        while await ask_health(runtime.health_address) == "SERVING":
            await asyncio.sleep(0)
        leave.set()
        assert (await call).text == "x"
        await stopping
        with pytest.raises(Unavailable):
            await ask_health(runtime.health_address)


async def test_a_health_address_that_is_taken_is_an_error_and_leaves_nothing_listening() -> None:
    async with probed() as first:
        second = DistributedRuntime(
            upper,
            address=first.address.replace("127.0.0.1", "127.0.0.2"),
            health_address=first.address,
        )
        with pytest.raises(ConfigError, match="in use"):
            await second.start()
        with pytest.raises(Unavailable):
            await ask_health(first.address.replace("127.0.0.1", "127.0.0.2"))


def test_a_health_address_where_agents_are_served_is_refused() -> None:
    with pytest.raises(ConfigError, match="the agents are served there"):
        DistributedRuntime(
            upper, address="127.0.0.1:50051", health_address="0.0.0.0:50051", insecure=True
        )


def test_a_health_address_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs an address"):
        DistributedRuntime(upper, health_address="127.0.0.1:0")
