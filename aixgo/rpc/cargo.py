"""Envelopes that fit into no frame, without a copy of their payload for each step.

A payload of megabytes that is put into a protobuf message, encoded, cut, joined, parsed and read is new
memory each time, which the system hands out page by page while all other calls wait. So it stays out: what
is sent is what stands before the payload, and the payload. To a peer that is the envelope like any other.

Below: codec, frames. Above: conduit, connection, multiplex.
"""

from __future__ import annotations

import codecs
from collections.abc import Container
from typing import Literal, NamedTuple, TypeAlias

from aixgo.errors import InvalidMessage
from aixgo.rpc.codec import Payload, parse
from aixgo.rpc.frames import OURS
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["LARGE", "Cargo", "Encoded", "cargo_of", "load", "unload"]

LARGE = OURS.frame_bytes  # of payload: no frame takes more
MOST_FIELDS = 32  # of one message that are looked at; ours have ten

_VARINT, _DELIMITED = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # wire type → bytes
_LARGEST_KEY = 0x7F  # of one byte; all of ours are

_NUMBERS = {kind: field.number for kind, field in pb.Envelope.DESCRIPTOR.fields_by_name.items()}
_KINDS: dict[int, Literal["text", "json", "data"]] = {3: "text", 4: "json", 5: "data"}
"""Field of Message → the kind of payload in it."""
_FIELDS = {kind: number for number, kind in _KINDS.items()}
_MESSAGE_IN = {
    _NUMBERS["request"]: pb.Request.MESSAGE_FIELD_NUMBER,
    _NUMBERS["reply"]: pb.Reply.MESSAGE_FIELD_NUMBER,
}
"""Field of Envelope → the field in it that holds the message."""


class Cargo:
    """An encoded envelope to be sent in pieces: what stands before its payload, and the payload.

    Args:
        payload: as it travels, or text of nothing but ASCII, which is encoded as it is cut.
    """

    __slots__ = ("_head", "_payload", "_size")

    def __init__(self, head: bytes, payload: bytes | memoryview | str) -> None:
        self._head = head
        self._payload = payload
        self._size = len(head) + len(payload)

    def __len__(self) -> int:
        return self._size

    def cut(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`."""
        edge = len(self._head)
        if start < edge:
            return self._head[start:stop] + self._of_payload(0, max(0, stop - edge))
        return self._of_payload(start - edge, stop - edge)

    def _of_payload(self, start: int, stop: int) -> bytes:
        part = self._payload[start:stop]
        return part.encode("ascii") if isinstance(part, str) else bytes(part)


Encoded: TypeAlias = bytes | Cargo
"""An envelope on its way out: the frame that holds it alone, or what is sent of it in pieces."""


def cargo_of(body: Encoded) -> Cargo:
    """What is sent in pieces of an encoded envelope: all but the frame around it."""
    if isinstance(body, Cargo):
        return body
    _, start = _varint(body, 1)
    return Cargo(b"", memoryview(body)[start:])


def load(frame: pb.ConnectRequest, payload: Payload) -> Cargo:
    """Encode the envelope in `frame`, a request or a reply, with the `payload` its message lacks."""
    envelope = frame.envelopes[0]
    kind = "request" if envelope.HasField("request") else "reply"
    outer = envelope.request if kind == "request" else envelope.reply
    head = outer.message.SerializeToString()
    outer.ClearField("message")
    body = payload.body
    if isinstance(body, str) and not body.isascii():
        body = body.encode()
    rest, number = len(body), _NUMBERS[kind]
    head += _key(_FIELDS[payload.kind], rest)
    head = outer.SerializeToString() + _key(_MESSAGE_IN[number], len(head) + rest) + head
    head = _key(number, len(head) + rest) + head
    return Cargo(pb.Envelope(call=envelope.call).SerializeToString() + head, body)


def unload(parts: list[bytes]) -> tuple[pb.Envelope, Payload | None]:
    """The envelope that came in `parts`, and its payload if that was left out of it. Empties `parts`.

    Raises:
        InvalidMessage: it is none.
    """
    found = _look_for_payload(parts)
    if found is None:
        whole = b"".join(parts)
        parts.clear()
        return parse(pb.Envelope, whole), None
    envelope, field = found
    kind = _KINDS[field.number]
    pieces = _between(parts, field.content, field.end)
    parts.clear()
    if kind != "text":
        return envelope, Payload(kind, b"".join(pieces))
    decoder = codecs.getincrementaldecoder("utf-8")()
    texts: list[str] = []
    pieces.reverse()
    try:
        while pieces:  # the memory of each is free for the next
            texts.append(decoder.decode(pieces.pop(), final=not pieces))
    except UnicodeDecodeError as exc:
        raise InvalidMessage(path="Envelope", expected="the protobuf form of its name") from exc
    return envelope, Payload(kind, "".join(texts))


class _Field(NamedTuple):
    """Where a field stands that holds bytes, text or a message."""

    number: int
    begin: int
    content: int
    end: int


def _look_for_payload(parts: list[bytes]) -> tuple[pb.Envelope, _Field] | None:
    """The envelope without its payload, and where that is. None unless it is as protobuf writes it.

    That is: what stands before the payload is in the first part, little comes after it, and nothing after the
    message.
    """
    first, end = parts[0], sum(map(len, parts))
    outer = _seek(first, 0, _MESSAGE_IN)
    if outer is None or outer.end != end:
        return None
    inside = _MESSAGE_IN[outer.number]
    inner = _seek(first, outer.content, (inside,))
    if inner is None or inner.end != end:
        return None
    field = _seek(first, inner.content, _KINDS)
    if field is None or not 0 <= end - field.end <= LARGE:
        return None
    rest = first[inner.content : field.begin] + b"".join(_between(parts, field.end, end))
    if _has_payload(rest):  # a second one, which would count
        return None
    rest = first[outer.content : inner.begin] + _key(inside, len(rest)) + rest
    rest = first[: outer.begin] + _key(outer.number, len(rest)) + rest
    return parse(pb.Envelope, rest), field


def _has_payload(message: bytes) -> bool:
    return parse(message_pb2.Message, message).WhichOneof("payload") is not None


def _between(parts: list[bytes], start: int, stop: int) -> list[bytes]:
    """The bytes from `start` to `stop` of all parts."""
    found: list[bytes] = []
    at = 0
    for part in parts:
        if at < stop and at + len(part) > start:
            found.append(part[max(0, start - at) : stop - at])
        at += len(part)
    return found


def _seek(body: bytes, at: int, wanted: Container[int]) -> _Field | None:
    """The first of the fields `wanted` from `at` on; None if it does not begin in `body`."""
    try:
        for _ in range(MOST_FIELDS):
            begin = at
            key, at = body[at], at + 1
            kind = key & 7
            if key > _LARGEST_KEY:
                return None
            if kind == _DELIMITED:
                size, at = _varint(body, at)
                if key >> 3 in wanted:
                    return _Field(key >> 3, begin, at, at + size)
                at += size
            elif kind == _VARINT:
                _, at = _varint(body, at)
            else:
                at += _FIXED[kind]
    except LookupError:  # it goes on in the next part, or is nothing of ours
        pass
    return None


def _key(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a field."""
    return _as_varint(number << 3 | _DELIMITED) + _as_varint(size)


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """The number that stands at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError("no number is that long")
