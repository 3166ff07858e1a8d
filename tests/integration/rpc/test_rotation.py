"""Connections that a server asks its clients to leave: no call may notice."""

from __future__ import annotations

import asyncio

from aixgo import DistributedRuntime, agent
from aixgo.rpc.options import WireSettings

CALLERS = 24
CALLS = 400


async def test_no_call_is_lost_while_connections_are_replaced() -> None:
    runs = 0

    @agent
    async def echo(text: str) -> str:
        nonlocal runs
        runs += 1
        return text

    rotating = WireSettings(max_connection_age=0.05)
    async with (
        asyncio.timeout(30),
        DistributedRuntime(echo, address="127.0.0.1:0", wire=rotating) as there,
        DistributedRuntime(peers={"echo": there.address}) as rt,
    ):

        async def caller(number: int) -> None:
            for count in range(CALLS):
                text = f"{number}-{count}"
                assert (await rt.call("echo", text)).text == text

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        opened = rt.metrics()["wire"]["connections_opened"]

    assert runs == CALLERS * CALLS
    assert opened > 2
