"""Middleware runs once per call, where the call is made, and sees a stream to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aixgo import AixgoError, Message, StreamChunk
from aixgo.errors import AgentRefused, PermissionDenied
from aixgo.middleware import CallNext, ReplyStream, Request, Response
from tests.conformance.calls import failure, read, stream_failure
from tests.conformance.conftest import OpenWorld
from tests.conformance.places import COVERING

pytestmark = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)


class Watch:
    """Middleware that notes what passes through it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, call_next: CallNext[Request, Response], request: Request) -> Response:
        self.events.append(f"call {request.target}")
        response = await call_next(request)
        if isinstance(response, Message):
            self.events.append(f"reply of {response.source}")
            return response
        return WatchedStream(response, self.events)


class WatchedStream:
    """A reply stream that notes its end."""

    def __init__(self, inner: ReplyStream, events: list[str]) -> None:
        self._inner = inner
        self._events = events

    @property
    def final(self) -> Message | None:
        return self._inner.final

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self

    async def __anext__(self) -> StreamChunk:
        try:
            return await self._inner.__anext__()
        except StopAsyncIteration:
            self._events.append("end")
            raise
        except AixgoError as exc:
            self._events.append(type(exc).__name__)
            raise

    async def aclose(self) -> None:
        self._events.append("closed")
        await self._inner.aclose()


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_it_runs_once_for_a_call_and_not_for_those_made_elsewhere(
    opened: OpenWorld, watch: Watch
) -> None:
    async with opened(caller={"middleware": [watch]}) as world:
        await world.rt.call("a", {"route": ["b", "echo"], "payload": "x"})
        apart = world.rt not in world.hosts
    made_here = ["call a"] if apart else ["call a", "call b", "call echo"]
    assert [event for event in watch.events if event.startswith("call")] == made_here
    assert watch.events[-1] == "reply of a"


async def test_the_end_of_a_stream_reaches_it(opened: OpenWorld, watch: Watch) -> None:
    async with opened(caller={"middleware": [watch]}) as world:
        await read(world.rt, "upper", "x")
    assert watch.events[:2] == ["call upper", "end"]


async def test_leaving_a_stream_early_reaches_it(opened: OpenWorld, watch: Watch) -> None:
    async with (
        opened(caller={"middleware": [watch]}) as world,
        world.rt.stream("ends_with_message", "x") as chunks,
    ):
        await anext(chunks)
    assert watch.events == ["call ends_with_message", "closed"]


async def test_a_failing_stream_reaches_it(opened: OpenWorld, watch: Watch) -> None:
    async with opened(caller={"middleware": [watch]}) as world:
        error = await stream_failure(world.rt, "refuses_in_own_words", "no")
    assert isinstance(error, AgentRefused)
    assert watch.events[:2] == ["call refuses_in_own_words", "AgentRefused"]


async def test_it_may_refuse_change_or_answer_a_call(opened: OpenWorld) -> None:
    async def gatekeeper(call_next: CallNext[Request, Response], request: Request) -> Response:
        if request.target == "raises":
            raise PermissionDenied("raises")
        if request.target == "lower":
            return Message("answered here")
        request.message = Message("changed")
        return await call_next(request)

    async with opened(caller={"middleware": [gatekeeper]}) as world:
        assert isinstance(await failure(world.rt, "raises", "ValueError"), PermissionDenied)
        assert (await world.rt.call("lower", "X")).payload == "answered here"
        assert (await world.rt.call("upper", "given")).payload == "CHANGED"
