"""The reply of a hosted agent in pieces: one step of the agent per chunk, each inside the call's context.

Below: context. Above: `hosting`, which begins one and does its steps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Protocol

from aixgo import telemetry
from aixgo.context import CallContext, Clock, _current
from aixgo.message import Message, StreamChunk
from aixgo.runtime.boundary import leaving

__all__ = ["Host", "HostedStream"]


class Host(Protocol):
    """What a stream needs of the agent's host."""

    name: str

    @property
    def clock(self) -> Clock: ...

    def pieces(
        self, message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        """What the agent streams."""
        ...

    def step(
        self, pieces: AsyncIterator[StreamChunk | Message], context: CallContext
    ) -> Coroutine[object, object, StreamChunk | Message]:
        """The next of its pieces; StopAsyncIteration if there is none."""
        ...

    async def finish(self, result: Message, context: CallContext) -> Message:
        """The reply as its caller gets it."""
        ...

    def outgoing(self, chunk: StreamChunk) -> StreamChunk:
        """The chunk as its reader gets it."""
        ...

    def release(self) -> None:
        """Give the slot back."""
        ...


class HostedStream:
    """The reply of a hosted agent in pieces: pulls one step of the agent per chunk."""

    def __init__(
        self,
        hosted: Host,
        message: Message,
        context: CallContext,
        work: telemetry.Execution | None = None,
    ) -> None:
        self._hosted = hosted
        self._work = work
        self._context = context
        self._message = message
        self._pieces: AsyncIterator[StreamChunk | Message] | None = None
        self._parts: list[str] = []
        self._sequence = 0
        self._open = True
        self.final: Message | None = None

    def __aiter__(self) -> HostedStream:
        return self

    async def __anext__(self) -> StreamChunk:
        if not self._open:
            raise StopAsyncIteration
        try:
            piece = await (self._step() if self._work is None else self._watched(self._work))
            if not isinstance(piece, Message):
                return self._number(piece)
            self.final = await self._hosted.finish(piece, self._context)
        except StopAsyncIteration:
            reply = Message("".join(self._parts), type=self._message.type)
            self.final = await self._hosted.finish(reply, self._context)
        except BaseException as exc:
            if self._work is not None:
                self._work.error = exc
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    def _step(self) -> Coroutine[object, object, StreamChunk | Message]:
        if self._pieces is None:
            self._pieces = self._hosted.pieces(self._message, self._context)
        return self._hosted.step(self._pieces, self._context)

    async def _watched(self, work: telemetry.Execution) -> StreamChunk | Message:
        """A step that observers see as part of the call."""
        entered = telemetry.enter(work)
        try:
            piece = await self._step()
        finally:
            telemetry.leave(entered)
        if not isinstance(piece, Message):
            work.chunk()
        return piece

    def _number(self, chunk: StreamChunk) -> StreamChunk:
        if chunk.type == "content" and not chunk.path:
            self._parts.append(chunk.content)
        chunk = replace(
            chunk,
            source=chunk.source or self._hosted.name,
            path=(self._hosted.name, *chunk.path),
            sequence=self._sequence,
            timestamp=chunk.timestamp or self._hosted.clock.time(),
        )
        self._sequence += 1
        return self._hosted.outgoing(chunk)

    async def aclose(self) -> None:
        """Stop the agent where it is, inside its context, and give the slot back."""
        if not self._open:
            return
        self._open = False
        token = _current.set(self._context)
        entered = None if self._work is None else telemetry.enter(self._work)
        try:
            aclose = getattr(self._pieces, "aclose", None)
            if aclose is not None:
                await aclose()
        except Exception as exc:  # noqa: BLE001 - an agent's cleanup failed; the stream is over all the same
            leaving(exc, self._hosted.name)
        finally:
            if entered is not None:
                telemetry.leave(entered)
            _current.reset(token)
            self._context.ended = True
            if self._context.purse is not None:
                self._context.settle()
            if self._work is not None:
                self._work.reply = self.final
                self._work.left = self.final is None and self._work.error is None
                telemetry.end(self._work)
            self._hosted.release()
