"""Middleware: one shape for everything that cuts across calls.

A middleware is `async (call_next, request) -> response`; the first in a list is outermost. It is used at
two seams, `Runtime.call/stream` and `Provider.complete/stream`. For a stream the response is a
`ReplyStream`, so that what must happen at the end of a stream has a place to happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from aixgo.context import CallContext
from aixgo.message import Message, StreamChunk

__all__ = [
    "CallNext",
    "Middleware",
    "Pieces",
    "ReplyStream",
    "Request",
    "Response",
    "StreamLayer",
    "WatchedStream",
    "compose",
]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
PieceT = TypeVar("PieceT")
PieceT_co = TypeVar("PieceT_co", covariant=True)
WholeT = TypeVar("WholeT")
WholeT_co = TypeVar("WholeT_co", covariant=True)


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


class Pieces(Protocol[PieceT_co, WholeT_co]):
    """What a `ReplyStream` is, at either seam; `final` is the whole once the iteration ended."""

    def __aiter__(self) -> AsyncIterator[PieceT_co]: ...

    async def __anext__(self) -> PieceT_co: ...

    async def aclose(self) -> None: ...

    @property
    def final(self) -> WholeT_co | None: ...


class StreamLayer(Generic[PieceT, WholeT]):
    """A stream around a stream, which it passes on as it is."""

    def __init__(self, pieces: Pieces[PieceT, WholeT]) -> None:
        self.pieces = pieces

    @property
    def final(self) -> WholeT | None:
        """The whole reply, once the iteration ended."""
        return self.pieces.final

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PieceT:
        return await self.pieces.__anext__()

    async def aclose(self) -> None:
        """Stop what produces the pieces. Harmless at any time."""
        await self.pieces.aclose()


class WatchedStream(StreamLayer[PieceT, WholeT]):
    """A stream that says once how it ended.

    `ended` gets None when it came to its end, the error when it failed, and a CancelledError when it was left,
    which is the same as a call that was cancelled.
    """

    def __init__(
        self, pieces: Pieces[PieceT, WholeT], ended: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__(pieces)
        self._ended: Callable[[BaseException | None], None] | None = ended

    async def __anext__(self) -> PieceT:
        try:
            return await self.pieces.__anext__()
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as exc:
            self._end(exc)
            raise

    async def aclose(self) -> None:
        """Stop what produces the pieces, and say that the stream was left unless it had ended."""
        try:
            await self.pieces.aclose()
        finally:
            self._end(asyncio.CancelledError())

    def _end(self, how: BaseException | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(how)


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
