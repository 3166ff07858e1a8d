"""Middleware: order, and one shape for calls and streams, seen through a runtime."""

from collections.abc import AsyncIterator

import pytest

from aixgo import AgentRefused, Caller, LocalRuntime, Message, StreamChunk, agent
from aixgo.middleware import CallNext, ReplyStream, Request, Response, compose


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def refuser(text: str) -> str:
    raise AgentRefused("not today")


class Counted:
    """A stream that notes its end, as a middleware would wrap it."""

    def __init__(self, inner: ReplyStream, log: list[str]) -> None:
        self._inner = inner
        self._log = log

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self

    async def __anext__(self) -> StreamChunk:
        return await self._inner.__anext__()

    async def aclose(self) -> None:
        self._log.append("closed")
        await self._inner.aclose()

    @property
    def final(self) -> Message | None:
        return self._inner.final


class Noting:
    """A middleware that notes what passes it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def __call__(self, call_next: CallNext[Request, Response], request: Request) -> Response:
        self.log.append(f"{self.name} {'stream' if request.streaming else 'call'} {request.target}")
        try:
            response = await call_next(request)
        except AgentRefused:
            self.log.append(f"{self.name} saw a refusal")
            raise
        self.log.append(f"{self.name} after")
        return response if isinstance(response, Message) else Counted(response, self.log)


async def test_the_first_is_outermost_around_a_call() -> None:
    log: list[str] = []
    async with LocalRuntime(upper, middleware=[Noting("a", log), Noting("b", log)]) as rt:
        assert (await rt.call("upper", "x")).payload == "X"
    assert log == ["a call upper", "b call upper", "b after", "a after"]


async def test_the_first_is_outermost_around_a_stream_and_each_sees_its_end() -> None:
    log: list[str] = []
    async with LocalRuntime(upper, middleware=[Noting("a", log), Noting("b", log)]) as rt:
        async with rt.stream("upper", "x") as chunks:
            assert [chunk.content async for chunk in chunks] == ["X"]
        assert chunks.final is not None
        assert chunks.final.payload == "X"
    assert log == ["a stream upper", "b stream upper", "b after", "a after", "closed", "closed"]


async def test_an_error_passes_every_layer_of_a_call() -> None:
    log: list[str] = []
    async with LocalRuntime(refuser, middleware=[Noting("a", log), Noting("b", log)]) as rt:
        with pytest.raises(AgentRefused, match="not today"):
            await rt.call("refuser", "x")
    assert log[2:] == ["b saw a refusal", "a saw a refusal"]


async def test_a_layer_may_answer_itself_ask_again_or_change_the_request() -> None:
    async def cached(call_next: CallNext[Request, Response], request: Request) -> Response:
        return Message("cached") if request.message.payload == "known" else await call_next(request)

    async def twice(call_next: CallNext[Request, Response], request: Request) -> Response:
        first = await call_next(request)
        assert isinstance(first, Message)
        request.message = Message(first.text + "!")
        return await call_next(request)

    async with LocalRuntime(upper, middleware=[cached, twice]) as rt:
        assert (await rt.call("upper", "known")).payload == "cached"
        assert (await rt.call("upper", "x")).payload == "X!"


async def test_every_nested_call_passes_the_middleware_once() -> None:
    log: list[str] = []

    @agent
    async def asks(text: str, caller: Caller) -> str:
        return (await caller.call("upper", text)).text

    async with LocalRuntime(upper, asks, middleware=[Noting("a", log)]) as rt:
        await rt.call("asks", "x")
    assert log == ["a call asks", "a call upper", "a after", "a after"]


async def test_without_layers_the_end_of_the_chain_is_the_chain() -> None:
    async def last(request: str) -> str:
        return request

    assert compose([], last) is last
