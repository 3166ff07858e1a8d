"""Middleware: one shape for everything that cuts across calls.

A middleware is `async (call_next, request) -> response`; the first in a list is outermost. It is used at
two seams, `Runtime.call/stream` and `Provider.complete/stream`. For a stream the response is a
`ReplyStream`, so that what must happen at the end of a stream has a place to happen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from aixgo.context import CallContext
from aixgo.message import Message, StreamChunk

__all__ = ["CallNext", "Middleware", "ReplyStream", "Request", "Response", "compose"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class ReplyStream(Protocol):
    """A reply that arrives in pieces: iterate it, then read `final`."""

    def __aiter__(self) -> AsyncIterator[StreamChunk]: ...

    async def __anext__(self) -> StreamChunk: ...

    async def aclose(self) -> None:
        """Stop the producer. Harmless at any time, also twice."""
        ...

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended; None before."""
        ...


class Request:
    """A call on its way to its target. `streaming` says which response is expected."""

    __slots__ = ("context", "message", "streaming", "target")

    def __init__(
        self, target: str, message: Message, context: CallContext, *, streaming: bool
    ) -> None:
        self.target = target
        self.message = message
        self.context = context
        self.streaming = streaming


Response = Message | ReplyStream
"""A `Message` for a call, a `ReplyStream` for a streaming request."""

CallNext = Callable[[RequestT], Awaitable[ResponseT]]
Middleware = Callable[[CallNext[RequestT, ResponseT], RequestT], Awaitable[ResponseT]]


def compose(
    middleware: Sequence[Middleware[RequestT, ResponseT]], last: CallNext[RequestT, ResponseT]
) -> CallNext[RequestT, ResponseT]:
    """One function that passes a request through `middleware`, first outermost, to `last`."""
    call_next = last
    for layer in reversed(middleware):
        call_next = _wrap(layer, call_next)
    return call_next


def _wrap(
    layer: Middleware[RequestT, ResponseT], call_next: CallNext[RequestT, ResponseT]
) -> CallNext[RequestT, ResponseT]:
    def call(request: RequestT) -> Awaitable[ResponseT]:
        return layer(call_next, request)

    return call
