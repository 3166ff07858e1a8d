"""Whoever leaves, three processes away the model's connection closes and its tokens stop: the vendor counts them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from aixgo import DistributedRuntime
from aixgo.errors import DeadlineExceeded
from tests.conformance_providers.dialects import Chat
from tests.conformance_providers.wire import Answer, Talk, WireServer, as_json
from tests.integration.model_chain import BOUND, Chain, command, running_chain

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

TIME = 1.0  # seconds of the calls whose time is up: enough to reach the vendor
TOKEN = "token "


class Scene:
    """The chain, and the vendor at its end, who never stops talking of its own accord."""

    def __init__(self, chain: Chain, vendor: WireServer) -> None:
        self.chain = chain
        self.vendor = vendor

    @asynccontextmanager
    async def left(self, *, streamed: bool) -> AsyncIterator[None]:
        """Within the block a caller asks and leaves; after it, the vendor has lost its listener for good."""
        dialect = Chat()
        self.vendor.forget()
        token = dialect.chunk({"content": TOKEN}) if streamed else b" "
        head = dialect.pieces() if streamed else []
        talk = Answer(
            [*head, Talk(token)], kind="text/event-stream" if streamed else "application/json"
        )
        self.vendor.answers = [talk]
        async with asyncio.timeout(BOUND):
            yield
            self.vendor.unbridled.set()  # from now on it says all it can
            await self.vendor.left.wait()
        said = self.vendor.tokens
        assert said > 0
        assert len(self.vendor.asked) == 1
        assert self.vendor.asked[0].body.get("stream", False) is streamed
        await self.answers()
        assert self.vendor.tokens == said

    async def answers(self) -> None:
        """The same processes take the next call."""
        self.vendor.answers = [as_json(Chat().whole("yes"))]
        async with asyncio.timeout(BOUND), self.caller() as rt:
            assert (await rt.call("first", "hi")).text == "yes"

    def caller(self) -> DistributedRuntime:
        return DistributedRuntime(peers=self.chain.peers, transport=self.chain.transport)

    async def talks(self) -> None:
        await self.vendor.started.wait()


async def read(
    rt: DistributedRuntime, hears: asyncio.Event | None = None, timeout: float | None = None
) -> None:
    async with rt.stream("first", "hi", timeout=timeout) as chunks:
        async for _ in chunks:
            if hears is not None:
                hears.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["stream", "unary"])
async def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("c")
    async with WireServer() as vendor, running_chain(folder, request.param, vendor.url) as chain:
        scene = Scene(chain, vendor)
        await scene.answers()
        yield scene


async def test_a_call_that_is_cancelled(scene: Scene) -> None:
    async with scene.caller() as rt, scene.left(streamed=False):
        task = asyncio.create_task(rt.call("first", "hi"))
        await scene.talks()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_stream_whose_reader_is_cancelled(scene: Scene) -> None:
    hears = asyncio.Event()
    async with scene.caller() as rt, scene.left(streamed=True):
        task = asyncio.create_task(read(rt, hears))
        await hears.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_call_whose_time_is_up(scene: Scene) -> None:
    async with scene.caller() as rt, scene.left(streamed=False):
        with pytest.raises(DeadlineExceeded):
            await rt.call("first", "hi", timeout=TIME)


async def test_a_stream_whose_time_is_up(scene: Scene) -> None:
    async with scene.caller() as rt, scene.left(streamed=True):
        with pytest.raises(DeadlineExceeded):
            await read(rt, timeout=TIME)


async def test_a_stream_that_is_closed(scene: Scene) -> None:
    async with scene.caller() as rt, scene.left(streamed=True), rt.stream("first", "hi") as chunks:
        assert (await anext(aiter(chunks))).content == TOKEN


async def test_a_runtime_that_is_closed_during_a_call(scene: Scene) -> None:
    async with scene.left(streamed=False):
        async with DistributedRuntime(
            peers=scene.chain.peers, transport=scene.chain.transport, stop_grace=0
        ) as rt:
            task = asyncio.create_task(rt.call("first", "hi"))
            await scene.talks()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_run_that_is_interrupted_or_killed(scene: Scene, number: signal.Signals) -> None:
    async with scene.left(streamed=False):
        file = scene.chain.file("entry", "first")
        async with command("run", file, "-i", "hi") as run:
            await scene.talks()
            run.send_signal(number)
            assert await run.wait() == (-number if number == signal.SIGKILL else 4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_streamed_command_that_is_interrupted_or_killed(
    scene: Scene, number: signal.Signals
) -> None:
    async with scene.left(streamed=True):
        address = scene.chain.peers["first"]
        async with command("call", address, "first", "-i", "hi", "--stream") as call:
            assert call.stdout is not None
            assert await call.stdout.readexactly(len(TOKEN)) == TOKEN.encode()
            call.send_signal(number)
            assert await call.wait() == (-number if number == signal.SIGKILL else 4)
