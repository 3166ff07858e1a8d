"""A streamed reply over a shared stream, as its reader holds it.

Below: pieces, calls, codec. Above: stream, which opens it and waits for its parts.
"""

from __future__ import annotations

import functools
from typing import Protocol

from aixgo.errors import Unavailable
from aixgo.message import StreamChunk
from aixgo.rpc.calls import StreamedCall
from aixgo.rpc.codec import read_chunk, read_message
from aixgo.rpc.pieces import RemoteStream
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["WireStream"]


class _Link(Protocol):
    """What a stream needs of its link."""

    async def next_part(
        self, call: StreamedCall
    ) -> message_pb2.StreamChunk | pb.Delivery | None: ...

    def stream_left(self, call: StreamedCall) -> None: ...


class WireStream(RemoteStream):
    """A reply in the parts that a link has for its call."""

    def __init__(self, link: _Link, call: StreamedCall) -> None:
        super().__init__(functools.partial(link.stream_left, call))
        self._link = link
        self._call = call

    async def _next(self) -> StreamChunk | None:
        part = await self._link.next_part(self._call)
        if part is not None:
            return read_chunk(part)  # type: ignore[arg-type]  # a stream brings no deliveries
        reply, context = self._call.end, self._call.context
        if not isinstance(reply, pb.Reply) or not reply.HasField("message"):
            raise Unavailable(
                context.agent, "it ended its stream without a final message", "unknown"
            )
        final = read_message(reply.message, self._call.payload)
        context.charge(final.usage or None)
        self._final = final
        return None
