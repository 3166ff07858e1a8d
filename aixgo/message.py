"""The Message: the one value that agents exchange, the same on every runtime.

A payload is text, bytes with a content type, or a JSON value. A container is checked and encoded once,
when the Message is made, and decoded by each receiver on first read; a delivery is a new handle on the
same bytes. So nobody can change a neighbour's message, and changing a decoded copy changes nothing
that is sent.

What a JSON value may be is decided in `domain`; the protobuf form lives in `rpc.codec`. Below: chunks, errors,
ledger. Above: everything that delivers.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

import msgspec

from aixgo.chunks import StreamChunk
from aixgo.domain import MAX_DEPTH, JSONValue, label, plain, text_size, to_json_bytes
from aixgo.errors import InvalidMessage, MessageTooLarge
from aixgo.ledger import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "MAX_DEPTH",
    "MAX_MESSAGE_BYTES",
    "NOT_JSON",
    "JSONValue",
    "Message",
    "Payload",
    "StreamChunk",
    "WireParts",
    "from_wire",
    "new_id",
    "to_json_bytes",
    "to_wire",
]

V = TypeVar("V")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # of payload and metadata together; the wire's limit too

if TYPE_CHECKING:
    Payload: TypeAlias = "JSONValue | bytes | BaseModel | object"
    """What a Message can be made from; `object` stands for dataclass instances."""
else:
    Payload = Any

NOT_JSON = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What reading bytes or text that are not JSON may raise."""

_decode = msgspec.json.decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode
_new = object.__new__

TEXT = "text/plain"
JSON = "application/json"
BYTES = "application/octet-stream"

# What `_body` of a Message holds.
_TEXT, _SCALAR, _CONTAINER, _DATA = range(4)
_UNREAD = object()  # a container nobody has decoded through this handle

# Message ids need to be unique and ordered, not secret: a PRNG costs half of what the kernel's does.
_ids = random.Random(os.urandom(16))
os.register_at_fork(after_in_child=lambda: _ids.seed(os.urandom(16)))


def new_id() -> str:
    """A new id: 32 hex digits, ordered by time (nanoseconds, then 64 random bits)."""
    return f"{time.time_ns():016x}{_ids.getrandbits(64):016x}"


class Message:
    """One value in flight: `id type payload metadata source timestamp usage`.

    Treat it as immutable; `reply`, `with_metadata` and `without_metadata` make new ones. `payload` and `metadata`
    give this handle's own decoded copy. `source` and `usage` are written by the runtime, whatever an agent put there.

    Args:
        payload: text, bytes, a JSON value (string keys, finite numbers, at most 100 levels; tuples become
            lists), a dataclass or a pydantic model.
        type: what kind of message this is, for routing and logs.
        metadata: a JSON object.
        content_type: of a bytes payload; refused for others.
        source: who sent it; the runtime overwrites it on delivery.

    Raises:
        InvalidMessage: the payload or metadata lies outside the domain; the text holds the path.
        MessageTooLarge: payload and metadata exceed 64 MiB.
    """

    __slots__ = (
        "_body",
        "_content_type",
        "_kind",
        "_metadata",
        "_metadata_body",
        "_time_ns",
        "_usage",
        "_value",
        "id",
        "source",
        "type",
    )

    _body: str | bytes | int | float | bool | None
    """Text, a JSON scalar, the encoded bytes of a JSON container, or raw bytes; `_kind` says which."""
    _kind: int
    _content_type: str
    """Of raw bytes; empty for the others."""
    _metadata_body: bytes
    _metadata: dict[str, JSONValue] | None
    _value: object
    _usage: Usage | None
    _time_ns: int

    def __init__(
        self,
        payload: Payload = None,
        *,
        type: str = "message",
        metadata: Mapping[str, JSONValue] | None = None,
        content_type: str = "",
        source: str = "",
    ) -> None:
        self._content_type = ""
        if isinstance(payload, str):
            self._kind = _TEXT
            self._body = payload if payload.__class__ is str else str.__str__(payload)
            size = text_size(self._body, "payload")
        elif isinstance(payload, (bytes, bytearray, memoryview)):
            self._kind = _DATA
            self._body = bytes(payload)
            self._content_type = label(content_type, "content_type") if content_type else BYTES
            size = len(self._body)
        else:
            value = plain(payload, "payload")
            if isinstance(value, (list, dict)):
                self._kind = _CONTAINER
                self._body = _encode(value)
                size = len(self._body)
            else:
                self._kind = _SCALAR
                self._body = value
                size = 8
        if content_type and self._kind != _DATA:
            raise InvalidMessage("is for bytes payloads only", "content_type")
        self._metadata_body = b""
        if metadata:
            self._metadata_body = _metadata_bytes(metadata)
            size += len(self._metadata_body)
        if size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(size, MAX_MESSAGE_BYTES)
        self._metadata = None
        self._value = _UNREAD
        self._time_ns = now = time.time_ns()
        self.id = f"{now:016x}{_ids.getrandbits(64):016x}"
        if type.__class__ is not str or not type or not type.isascii():
            type = label(type, "type") if type else "message"
        self.type = type
        self.source = source
        self._usage = None

    @classmethod
    def of(cls, value: Message | Payload) -> Message:
        """`value` if it is a Message, else a new Message with it as payload."""
        return value if isinstance(value, Message) else cls(value)

    @property
    def payload(self) -> JSONValue | bytes:
        """The payload; a container is decoded on first read and is this handle's own.

        Raises:
            InvalidMessage: a peer sent bytes that are not JSON.
        """
        if self._kind != _CONTAINER:
            return self._body
        if self._value is _UNREAD:
            try:
                self._value = _decode(self.encoded)
            except NOT_JSON as exc:
                raise InvalidMessage("is not valid JSON", "payload") from exc
        return cast("JSONValue", self._value)

    @property
    def text(self) -> str:
        """The payload as text: itself, the decoded bytes, or compact JSON."""
        if self._kind == _TEXT:
            return cast("str", self._body)
        return self.encoded.decode("utf-8", errors="replace")

    @property
    def encoded(self) -> bytes:
        """The payload's bytes as they travel: UTF-8 text, raw bytes, or compact JSON."""
        if self._kind >= _CONTAINER:
            return cast("bytes", self._body)
        return cast("str", self._body).encode() if self._kind == _TEXT else _encode(self._body)

    @property
    def content_type(self) -> str:
        """`text/plain`, `application/json`, or the type given with a bytes payload."""
        if self._kind == _TEXT:
            return TEXT
        return self._content_type if self._kind == _DATA else JSON

    @property
    def metadata(self) -> dict[str, JSONValue]:
        """This handle's own copy of the metadata; the cost keys in it are derived from `usage`."""
        found = self._metadata
        if found is None:
            found = self._stored_metadata()
            if self._usage is not None:
                for key, value in self._usage.as_metadata().items():
                    if self._usage or key in found:
                        found[key] = value
            self._metadata = found
        return found

    def _stored_metadata(self) -> dict[str, JSONValue]:
        return self._stored(_decode_object) if self._metadata_body else {}

    def _stored(self, decode: Callable[[bytes], dict[str, V]]) -> dict[str, V]:
        try:
            return decode(self._metadata_body)
        except NOT_JSON as exc:
            raise InvalidMessage("is not a JSON object", "metadata") from exc

    @property
    def usage(self) -> Usage:
        """What the call that gave this message spent, its callees included; written by the runtime."""
        return Usage() if self._usage is None else self._usage

    @property
    def timestamp(self) -> datetime:
        """When the message was made, in UTC."""
        return datetime.fromtimestamp(self._time_ns / 1e9, UTC)

    def reply(
        self, payload: Payload, *, type: str = "", metadata: Mapping[str, JSONValue] | None = None
    ) -> Message:
        """A new message answering this one; it takes over the type unless one is given."""
        return Message(payload, type=type or self.type, metadata=metadata)

    def with_metadata(self, **values: JSONValue) -> Message:
        """A new message with the same id and payload and these metadata keys added or replaced."""
        copy = self.handle()
        added = cast("dict[str, JSONValue]", plain(values, "metadata"))
        # The values that stay are copied as the bytes they are.
        kept = self._stored(_decode_keys) if self._metadata_body else {}
        copy._metadata_body = _encode({**kept, **added})
        if (size := copy.size) > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(size, MAX_MESSAGE_BYTES)
        return copy

    def without_metadata(self, *names: str) -> Message:
        """A new message with the same id and payload, and without these metadata keys."""
        copy = self.handle()
        left = {k: value for k, value in self._stored_metadata().items() if k not in names}
        copy._metadata_body = _metadata_bytes(left) if left else b""
        return copy

    def handle(self) -> Message:
        """Another handle on the same bytes, with nothing decoded."""
        return self.delivered(self.source, self._usage)

    def delivered(self, source: str, usage: Usage | None = None) -> Message:
        """What a receiver gets: a handle with what the runtime writes, who sent it and what its call spent."""
        copy = _new(Message)
        copy._body = self._body
        copy._kind = self._kind
        copy._content_type = self._content_type
        copy._value = _UNREAD
        copy._metadata_body = self._metadata_body
        copy._metadata = None
        copy._time_ns = self._time_ns
        copy.id = self.id
        copy.type = self.type
        copy.source = source
        copy._usage = usage
        return copy

    @property
    def size(self) -> int:
        """Bytes of payload and metadata together."""
        return len(self.encoded) + len(self._metadata_body)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self is other or (
            (self.id, self.type, self.source, self._content_type, self.encoded, self._metadata_body)
            == (
                other.id,
                other.type,
                other.source,
                other._content_type,
                other.encoded,
                other._metadata_body,
            )
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:  # never the payload: representations end up in logs
        return f"<Message {self.id} {self.type!r} from {self.source!r}, {self.content_type}, {self.size} bytes>"


@dataclass(slots=True)
class WireParts:
    """A message taken apart for a codec. `body` is text, raw bytes, or encoded JSON, as `kind` says."""

    kind: Literal["text", "json", "data"]
    body: str | bytes
    content_type: str
    metadata: bytes
    time_ns: int
    usage: Usage | None = None
    """None unless the runtime wrote one: `Message.usage` does not tell that from zero."""


def to_wire(message: Message) -> WireParts:
    """The parts of `message` that its public attributes do not give in their encoded form."""
    kind: Literal["text", "json", "data"] = "text"
    if message._kind != _TEXT:
        kind = "data" if message._kind == _DATA else "json"
    return WireParts(
        kind,
        cast("str", message._body) if message._kind == _TEXT else message.encoded,
        message._content_type,
        message._metadata_body,
        message._time_ns,
        message._usage,
    )


def from_wire(parts: WireParts, *, id: str, type: str, source: str) -> Message:
    """The message a codec received; JSON is not decoded until somebody reads it.

    Raises:
        MessageTooLarge: payload and metadata exceed 64 MiB.
    """
    message = _new(Message)
    message._kind = {"text": _TEXT, "json": _CONTAINER, "data": _DATA}[parts.kind]
    message._body = parts.body
    message._content_type = parts.content_type or BYTES if message._kind == _DATA else ""
    message._value = _UNREAD
    message._metadata_body = parts.metadata
    message._metadata = None
    message._time_ns = parts.time_ns
    message.id = id
    message.type = type
    message.source = source
    message._usage = parts.usage
    if (
        len(parts.body) + len(parts.metadata) > MAX_MESSAGE_BYTES // 4
        and message.size > MAX_MESSAGE_BYTES
    ):
        raise MessageTooLarge(message.size, MAX_MESSAGE_BYTES)
    return message


def _metadata_bytes(metadata: object) -> bytes:
    if not isinstance(metadata, Mapping):
        raise InvalidMessage(f"is a {type(metadata).__name__}, not a mapping", "metadata")
    return to_json_bytes(metadata, "metadata")
