"""The boundary of a streaming agent: whatever it does wrong, its caller gets AgentFailed and no text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aixgo import DistributedRuntime, LocalRuntime
from aixgo.errors import AgentFailed
from aixgo.message import Message, StreamChunk
from aixgo.runtime.base import Runtime


class Streamer:
    role = "streamer"

    def __init__(self, name: str) -> None:
        self.name = name

    async def execute(self, message: Message) -> Message:
        return message


class Raises(Streamer):
    def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
        raise ValueError("secret")


class GivesNoIterator(Streamer):
    def stream(self, message: Message) -> list[str]:
        return ["secret"]


class GivesText(Streamer):
    async def stream(self, message: Message) -> AsyncIterator[str]:
        yield "secret"


WRONG = [Raises("raises"), GivesNoIterator("no-iterator"), GivesText("text")]


async def read(rt: Runtime, target: str) -> None:
    async with rt.stream(target, "hello") as chunks:
        async for _ in chunks:
            pass


@pytest.mark.parametrize("check_wire", [False, True])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda item: item.name)
async def test_a_stream_that_is_none_fails_as_the_agent_failing(
    wrong: Streamer, check_wire: bool
) -> None:
    async with asyncio.timeout(5), LocalRuntime(wrong, check_wire=check_wire) as rt:
        with pytest.raises(AgentFailed) as failed:
            await read(rt, wrong.name)
        assert failed.value.error_id
        assert "secret" not in str(failed.value)
        assert rt.metrics()["calls_in_flight"] == 0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda item: item.name)
async def test_a_stream_that_is_none_fails_the_same_from_another_process(wrong: Streamer) -> None:
    async with (
        asyncio.timeout(10),
        DistributedRuntime(wrong, address="127.0.0.1:0") as there,
        DistributedRuntime(peers={wrong.name: there.address}) as rt,
    ):
        with pytest.raises(AgentFailed) as failed:
            await read(rt, wrong.name)
        assert failed.value.error_id
        assert failed.value.agent == wrong.name
