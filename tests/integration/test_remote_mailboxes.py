"""A mailbox or an exit that lives in another runtime, read over the wire."""

import asyncio

import pytest

from aixgo import DistributedRuntime, Message, agent
from aixgo.errors import AgentNotFound, ConfigError, DeadlineExceeded


class Postbox:
    """An agent that leaves its mailbox to others."""

    name = "postbox"
    role = "box"
    mailbox = True

    async def execute(self, message: Message) -> Message:
        return message


@agent
async def upper(text: str) -> str:
    return text.upper()


async def test_a_declared_mailbox_and_an_exit_are_read_from_elsewhere() -> None:
    async with DistributedRuntime(Postbox(), address="127.0.0.1:0") as server:
        await server.register(upper, outputs=["done"])
        peers = dict.fromkeys(("postbox", "upper", "done"), server.address)
        async with asyncio.timeout(5), DistributedRuntime(peers=peers) as rt:
            for text in ("a", "b"):
                await rt.send("postbox", text)
                await rt.send("upper", text)
            assert [(await rt.recv("postbox")).text for _ in range(2)] == ["a", "b"]
            assert [(await rt.recv("done")).text for _ in range(2)] == ["A", "B"]


async def test_a_reader_whose_time_passes_loses_nothing() -> None:
    async with (
        asyncio.timeout(5),
        DistributedRuntime(Postbox(), address="127.0.0.1:0") as server,
        DistributedRuntime(peers={"postbox": server.address}) as rt,
    ):
        with pytest.raises(DeadlineExceeded):
            await rt.recv("postbox", timeout=0.05)
        await rt.send("postbox", "late")
        assert (await rt.recv("postbox")).text == "late"


async def test_what_cannot_be_read_is_refused_each_time() -> None:
    async with DistributedRuntime(upper, address="127.0.0.1:0") as server:
        peers = dict.fromkeys(("upper", "nobody"), server.address)
        async with asyncio.timeout(5), DistributedRuntime(peers=peers) as rt:
            for _ in range(2):
                with pytest.raises(AgentNotFound):
                    await rt.recv("nobody")
            with pytest.raises(ConfigError):
                await rt.recv("upper")


async def test_reading_goes_on_at_a_server_that_was_started_again() -> None:
    async with DistributedRuntime(Postbox(), address="127.0.0.1:0") as server:
        address = server.address
        rt = DistributedRuntime(peers={"postbox": address})
        await rt.start()
        await rt.send("postbox", "first")
        assert (await rt.recv("postbox", timeout=5)).text == "first"
    async with DistributedRuntime(Postbox(), address=address) as server:
        await server.send("postbox", "second")
        assert (await rt.recv("postbox", timeout=5)).text == "second"
        await rt.stop()
