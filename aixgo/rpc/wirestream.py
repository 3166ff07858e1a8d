"""A streamed reply over a shared stream, as its reader holds it.

Below: calls, codec. Above: stream, which opens it and waits for its parts.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from aixgo.errors import Unavailable
from aixgo.message import Message, StreamChunk
from aixgo.rpc.calls import StreamedCall
from aixgo.rpc.codec import read_chunk, read_message
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["WireStream"]


class _Link(Protocol):
    """What a stream needs of its link."""

    async def next_part(
        self, call: StreamedCall
    ) -> message_pb2.StreamChunk | pb.Delivery | None: ...

    def stream_left(self, call: StreamedCall) -> None: ...


class WireStream:
    """A reply in pieces; implements `ReplyStream`. Leaving it, in whatever way, stops the callee."""

    def __init__(self, link: _Link, call: StreamedCall) -> None:
        self._link = link
        self._call = call
        self._ended = False
        self._final: Message | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended."""
        return self._final

    def __aiter__(self) -> WireStream:
        return self

    async def __anext__(self) -> StreamChunk:
        if self._ended:
            raise StopAsyncIteration
        try:
            part = await self._link.next_part(self._call)
            if part is not None:
                return read_chunk(part)  # type: ignore[arg-type]  # a stream brings no deliveries
            self._finish()
        except BaseException:
            self._end()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the callee, if it has not ended. Harmless at any time."""
        self._end()

    def __del__(self) -> None:
        # The callee would work for nobody until its deadline. May run in any thread.
        if not self._ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._link.stream_left, self._call)

    def _finish(self) -> None:
        """Take the final message."""
        reply, context = self._call.end, self._call.context
        if not isinstance(reply, pb.Reply) or not reply.HasField("message"):
            raise Unavailable(
                context.agent, "it ended its stream without a final message", "unknown"
            )
        final = read_message(reply.message)
        context.charge(final.usage or None)
        self._final = final
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._link.stream_left(self._call)
