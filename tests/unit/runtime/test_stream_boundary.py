"""The boundary of a streaming agent: whatever it does wrong, its caller gets AgentFailed and no text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aixgo import DistributedRuntime, LocalRuntime
from aixgo.errors import AgentFailed, InvalidMessage, ProviderError
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


class GivesChunk(Streamer):
    def __init__(self, chunk: StreamChunk) -> None:
        super().__init__("chunk")
        self._chunk = chunk

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
        yield self._chunk


async def chunk_read(chunk: StreamChunk) -> StreamChunk:
    """What the reader of an agent that streams `chunk` gets."""
    async with LocalRuntime(GivesChunk(chunk)) as rt, rt.stream("chunk", "hello") as chunks:
        return await anext(chunks)


@pytest.mark.parametrize(
    ("chunk", "path"),
    [
        (StreamChunk(content="\ud800"), "chunk.content"),
        (StreamChunk(type="\ud800"), "chunk.type"),
        (StreamChunk(path=("a", "\ud800")), "chunk.path"),
        (StreamChunk(tool_calls=[float("nan")]), "chunk.tool_calls[0]"),
    ],
)
async def test_a_chunk_no_other_process_could_have_is_the_agents_error(
    chunk: StreamChunk, path: str
) -> None:
    with pytest.raises(InvalidMessage) as raised:
        await chunk_read(chunk)
    assert (raised.value.path, raised.value.agent) == (path, "chunk")
    assert raised.value.error_id


async def test_the_error_in_a_chunk_leaves_without_its_text() -> None:
    got = await chunk_read(StreamChunk(type="error", error=ProviderError("secret", provider="p")))
    assert isinstance(got.error, ProviderError)
    assert (got.error.provider, got.error.agent) == ("p", "chunk")
    assert "secret" not in str(got.error)


async def test_what_a_reader_does_to_the_tool_calls_of_a_chunk_stays_there() -> None:
    given = StreamChunk(type="tool_call", tool_calls=[{"name": "t"}])
    got = await chunk_read(given)
    got.tool_calls.append("scribble")
    assert given.tool_calls == [{"name": "t"}]


async def test_a_chunk_without_a_type_is_content() -> None:
    assert (await chunk_read(StreamChunk(type="", content="text"))).type == "content"
