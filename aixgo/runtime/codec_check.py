"""`check_wire`: what a LocalRuntime delivers goes through the protobuf codec, as if it had crossed the wire."""

from __future__ import annotations

from aixgo.errors import AixgoError
from aixgo.message import Message, StreamChunk
from aixgo.rpc.codec import roundtrip, roundtrip_chunk, roundtrip_error

__all__ = ["CodecCheck"]


class CodecCheck:
    """`Wire` over the codec."""

    def message(self, message: Message) -> Message:
        return roundtrip(message)

    def error(self, error: AixgoError) -> AixgoError:
        return roundtrip_error(error)

    def chunk(self, chunk: StreamChunk) -> StreamChunk:
        return roundtrip_chunk(chunk)
