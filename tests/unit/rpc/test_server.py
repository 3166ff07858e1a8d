"""The server itself: the address it listens at, and how it stops."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from aixgo.errors import AgentFailed, ConfigError, InvalidMessage, Unavailable
from aixgo.message import Message
from aixgo.rpc.server import Server
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import Holding, SmallHost, a_context, linked, serving


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_an_address_in_use_is_a_config_error(
    host: SmallHost, tmp_path: Path, kind: str
) -> None:
    address = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/agents.sock"
    async with serving(host, address) as (_, bound):
        second = Server(host, bound)
        with pytest.raises(ConfigError, match="in use"):
            await second.start()
        await second.stop()


async def test_a_socket_file_left_behind_is_taken_over(host: SmallHost, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/agents.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{tmp_path}/agents.sock")
    assert (tmp_path / "agents.sock").exists()
    async with linked(host, address) as link:
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_stopping_server_lets_running_calls_finish(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.agents["hold"] = holding = Holding()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        stopping = asyncio.create_task(server.stop(grace=10))
        await asyncio.sleep(0)
        holding.finish.set()
        assert (await call).text == "done"
        await stopping
        await server.stop()


async def test_a_stopping_server_cancels_what_its_grace_is_over_for(
    host: SmallHost, link_to: OpenLink
) -> None:
    host.agents["hold"] = holding = Holding()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await holding.started.wait()
        await server.stop(grace=0.1)
        async with asyncio.timeout(10):
            await holding.stopped.wait()
        with pytest.raises(Unavailable):
            await call


def test_an_invalid_message_says_which_part(host: SmallHost) -> None:
    error = InvalidMessage(expected="the name of an agent", path="target")
    assert str(error) == "target does not fit the name of an agent"
    assert not isinstance(error, AgentFailed)
