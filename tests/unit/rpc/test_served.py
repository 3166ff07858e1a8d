"""What a served call answers with, on its way to the connection."""

from __future__ import annotations

import asyncio

from aixgo.message import StreamChunk
from aixgo.rpc.served import CallReader, ServedCall


class Connection:
    """Notes what is sent, and what its writer, a task of its own, came to write."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.written: list[bytes] = []

    async def send(self, body: bytes) -> None:
        self.sent.append(body)
        asyncio.get_running_loop().call_soon(self.written.append, body)

    async def send_part(self, call: ServedCall, body: bytes) -> None:
        await self.send(body)


async def test_the_first_chunk_leaves_before_the_agent_makes_the_second() -> None:
    connection = Connection()
    reader = CallReader(connection, ServedCall(1))
    await reader.admitted()
    await reader.chunk(StreamChunk(content="one"))
    assert len(connection.sent) == len(connection.written) == 2


async def test_chunks_that_are_there_at_once_go_together_after_the_first() -> None:
    connection = Connection()
    reader = CallReader(connection, ServedCall(1))
    for content in ("one", "two", "three"):
        await reader.chunk(StreamChunk(content=content))
    assert (len(connection.sent), len(connection.written)) == (3, 1)
