"""The RPC of a connection without gRPC: a test puts frames in and looks at those that were written."""

from __future__ import annotations

import asyncio

import grpc

from aixgo.v1 import agent_service_pb2 as pb


class FakePipe:
    """Frames a test puts in, and frames it finds written; `stuck` holds up the writer.

    It stands for either end of a `Connect` RPC, as far as a connection uses it.
    """

    def __init__(self) -> None:
        self.coming: asyncio.Queue[object] = asyncio.Queue()
        self.written: list[bytes] = []
        self.stuck = False
        self.failure: Exception | None = None
        self.half_closed = False
        self._free = asyncio.Event()

    async def read(self) -> object:
        return await self.coming.get()

    async def write(self, message: bytes, /) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append(message)
        if self.stuck:
            await self._free.wait()

    def free(self) -> None:
        self.stuck = False
        self._free.set()

    async def done_writing(self) -> None:
        self.half_closed = True

    def envelopes(self) -> list[pb.Envelope]:
        """All that was written after the hello."""
        frames = [pb.ConnectRequest.FromString(body) for body in self.written[1:]]
        return [envelope for frame in frames for envelope in frame.envelopes]

    def peer(self) -> str:
        return "fake"

    def cancel(self) -> None:
        self.coming.put_nowait(grpc.aio.EOF)


async def run() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
