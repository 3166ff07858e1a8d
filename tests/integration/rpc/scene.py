"""A served runtime with a well-behaved connection on it, for tests in which another client misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc

from aixgo import DistributedRuntime, agent
from aixgo.message import Message, StreamChunk
from aixgo.rpc.options import WireSettings
from tests.integration.rpc.raw_client import RawClient, raw_client, request

__all__ = ["Pour", "Scene", "rss", "scene"]

PAGE = 4096  # bytes


class Pour:
    """Streams for as long as somebody takes it, a kilobyte at a time."""

    name, role = "pour", "pours"

    def __init__(self) -> None:
        self.produced = 0
        self.progress = asyncio.Event()
        self.stopped = asyncio.Event()

    async def execute(self, message: Message) -> Message:
        return message

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
        try:
            while True:
                self.produced += 1
                self.progress.set()
                yield StreamChunk(content="x" * 1024)
        finally:
            self.stopped.set()

    async def standstill(self) -> int:
        """How much was produced, once nothing more is for a while."""
        while True:
            self.progress.clear()
            try:
                async with asyncio.timeout(0.3):
                    await self.progress.wait()
            except TimeoutError:
                return self.produced


class Scene:
    """The runtime, and what its agents are doing."""

    def __init__(self, places: int) -> None:
        self.address = ""
        self.release = asyncio.Event()
        """Lets `held` go on."""
        self.entered = asyncio.Event()
        self.stuck = 0
        """Calls inside `stuck`, which ends only when it is cancelled."""
        self.mailboxes = 0
        """Agents to which something may have been sent, and which may be at work on it."""
        self.changed = asyncio.Condition()
        self.pour = Pour()
        self.runtime = DistributedRuntime(
            *self._agents(),
            self.pour,
            address="127.0.0.1:0",
            stop_grace=2.0,
            wire=WireSettings(max_concurrent_calls=places),
        )

    def _agents(self) -> list[object]:
        @agent
        async def echo(text: str) -> str:
            return text

        @agent
        async def held(text: str) -> str:
            self.entered.set()
            await self.release.wait()
            return text

        @agent
        async def stuck(text: str) -> str:
            await self._count(1)
            try:
                await asyncio.Event().wait()
            finally:
                await self._count(-1)
            return text

        @agent
        async def large(text: str) -> bytes:
            return b"x" * (int(text) if text.isdigit() else 1)

        return [echo, held, stuck, large]

    async def _count(self, change: int) -> None:
        async with self.changed:
            self.stuck += change
            self.changed.notify_all()

    async def stuck_are(self, number: int) -> None:
        """Return when that many calls are inside `stuck`."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.stuck == number)

    @property
    def in_flight(self) -> int:
        """Calls in flight on the server."""
        return cast("int", self.runtime.metrics()["calls_in_flight"])

    @property
    def wire(self) -> Mapping[str, int]:
        """The counters of the wire."""
        return cast("Mapping[str, int]", self.runtime.metrics()["wire"])

    async def only(self, calls: int) -> None:
        """Return when only `calls` are in flight, and nothing waits to be written."""
        most = calls + self.mailboxes
        async with asyncio.timeout(10):
            while not calls <= self.in_flight <= most or self.wire["queued_bytes"]:
                await asyncio.sleep(0)


@asynccontextmanager
async def scene(timeout: float | None = 25.0, places: int = 300) -> AsyncIterator[Scene]:
    """A served runtime on which a good connection has a call in flight; both must outlive the test.

    Each connection has `places` for calls.

    At the end the good connection's calls succeed, and nothing of anybody else is left.
    """
    async with asyncio.timeout(timeout):
        before = asyncio.all_tasks()
        made = Scene(places)
        async with made.runtime as rt:
            made.address = rt.address
            async with raw_client(made.address) as good:
                await good.write(request(1, "held", "from the first", timeout=3600))
                await made.entered.wait()
                yield made
                await made.only(1)
                await _finish(good, made)
            await made.only(0)
        before.add(_this_task())
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0)


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _finish(good: RawClient, made: Scene) -> None:
    await good.write(request(2, text="still served"))
    assert await good.reply(2) == "still served"
    made.release.set()
    assert await good.reply(1) == "from the first"
    await good.close()
    assert await good.ended() is grpc.StatusCode.OK


def rss() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
