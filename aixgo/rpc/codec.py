"""Python values ↔ their protobuf form: messages, chunks, usage, call contexts, errors.

`fill_…` writes into a part of a larger message, so that nothing is copied twice; `read_…` makes the
Python value. Nothing is converted that is not there: payload and metadata cross as the bytes they
already are. `CodecCheck` is the same conversions for a runtime that wants to know locally what the
wire would do.

Below: `aixgo.v1`, message, context, errors. Above: status, server, unary; `LocalRuntime(check_wire=True)`.
"""

from __future__ import annotations

import math
import time
from typing import Literal, NamedTuple, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Proto

from aixgo.context import MAX_HOPS, CallContext, Clock, Hop
from aixgo.errors import (
    AixgoError,
    FieldValue,
    IncompatiblePeer,
    InvalidMessage,
    partial_bytes,
    read_partial,
    rebuild_error,
)
from aixgo.ledger import NANOS_PER_USD, Budget, Usage
from aixgo.message import (
    MAX_MESSAGE_BYTES,
    NOT_JSON,
    JSONValue,
    Message,
    StreamChunk,
    WireParts,
    from_wire,
    new_id,
    to_json_bytes,
    to_wire,
)
from aixgo.rpc.base import WIRE_VERSION
from aixgo.rpc.spending import fill_usage, read_usage, valid
from aixgo.v1 import message_pb2 as pb

__all__ = [
    "CodecCheck",
    "Payload",
    "error_detail",
    "fill_chunk",
    "fill_context",
    "fill_message",
    "fill_usage",
    "parse",
    "read_chunk",
    "read_context",
    "read_error",
    "read_message",
    "read_usage",
]

NANOS = 1_000_000_000  # in a second
MAX_UINT64 = 2**64 - 1
FAILURE_BYTES = 8 * 1024  # of a failure's detail, which may have to travel as metadata

ProtoT = TypeVar("ProtoT", bound=Proto)


def parse(kind: type[ProtoT], body: bytes) -> ProtoT:
    """The `kind` in `body`, which came from a peer.

    Raises:
        InvalidMessage: it is not the protobuf form of one.
    """
    try:
        return kind.FromString(body)
    except DecodeError as exc:
        name = kind.DESCRIPTOR.name
        raise InvalidMessage(path=name, expected="the protobuf form of its name") from exc


class Payload(NamedTuple):
    """What a message carries, as it travels."""

    kind: Literal["text", "json", "data"]
    body: str | bytes


def fill_message(
    proto: pb.Message, message: Message, most: int = MAX_MESSAGE_BYTES
) -> Payload | None:
    """Write `message` into `proto`, which is empty; a payload above `most` is left out and given back.

    Raises:
        InvalidMessage: its type, id or source is no text that UTF-8 can hold.
    """
    parts = to_wire(message)
    left: Payload | None = None
    if len(parts.body) > most:
        left = Payload(parts.kind, parts.body)
    elif parts.kind == "text":
        proto.text = parts.body  # type: ignore[assignment]  # text by its kind
    elif parts.kind == "json":
        proto.json = parts.body  # type: ignore[assignment]  # bytes by its kind
    else:
        proto.data = parts.body  # type: ignore[assignment]  # bytes by its kind
    if parts.kind == "data":
        proto.content_type = parts.content_type
    if parts.metadata:
        proto.metadata = parts.metadata
    proto.timestamp_unix_nano = parts.time_ns
    try:
        proto.id = message.id
        proto.type = message.type
        proto.source = message.source
    except (TypeError, ValueError) as exc:  # UnicodeEncodeError is a ValueError
        raise InvalidMessage("has an id, type or source that is not valid text") from exc
    if parts.usage is not None:
        fill_usage(proto.usage, parts.usage)
    return left


def read_message(proto: pb.Message, payload: Payload | None = None) -> Message:
    """The message in `proto`, with `payload` if it came apart; JSON stays encoded until somebody reads it.

    Raises:
        MessageTooLarge: payload and metadata exceed 64 MiB.
    """
    parts = WireParts(
        "json",
        b"null",
        proto.content_type,
        proto.metadata,
        proto.timestamp_unix_nano or time.time_ns(),
        read_usage(proto.usage) if proto.HasField("usage") else None,
    )
    if payload is not None:
        parts.kind, parts.body = payload
    match proto.WhichOneof("payload"):
        case "text":
            parts.kind, parts.body = "text", proto.text
        case "json":
            parts.body = proto.json
        case "data":
            parts.kind, parts.body = "data", proto.data
    id, type = proto.id or new_id(), proto.type or "message"
    return from_wire(parts, id=id, type=type, source=proto.source)


def fill_chunk(proto: pb.StreamChunk, chunk: StreamChunk) -> None:
    """Write `chunk` into `proto`, which is empty.

    Raises:
        InvalidMessage: its tool calls are not JSON, or a text of it is not valid.
    """
    try:
        proto.type = chunk.type
        proto.content = chunk.content
        proto.source = chunk.source
        proto.status = chunk.status
        if chunk.path:
            proto.path.extend(chunk.path)
    except (TypeError, ValueError) as exc:
        raise InvalidMessage("has a part that is not valid text", "chunk") from exc
    if chunk.sequence:
        proto.sequence = chunk.sequence
    if chunk.timestamp:
        proto.timestamp_unix_seconds = chunk.timestamp
    if chunk.tool_calls:
        proto.tool_calls = to_json_bytes(chunk.tool_calls, "chunk.tool_calls")
    if chunk.error is not None:
        proto.error.CopyFrom(error_detail(chunk.error))
    if chunk.usage is not None:
        fill_usage(proto.usage, chunk.usage)


def read_chunk(proto: pb.StreamChunk) -> StreamChunk:
    """The chunk in `proto`.

    Raises:
        InvalidMessage: a peer sent tool calls that are no JSON array.
    """
    return StreamChunk(
        type=proto.type or "content",
        content=proto.content,
        tool_calls=_read_list(proto.tool_calls) if proto.tool_calls else [],
        source=proto.source,
        path=tuple(proto.path),
        sequence=proto.sequence,
        status=proto.status,
        error=read_error(proto.error) if proto.HasField("error") else None,
        usage=read_usage(proto.usage) if proto.HasField("usage") else None,
        timestamp=proto.timestamp_unix_seconds,
    )


def _read_list(encoded: bytes) -> list[JSONValue]:
    try:
        return msgspec.json.decode(encoded, type=list)
    except NOT_JSON as exc:
        raise InvalidMessage("is not a JSON array", "chunk.tool_calls") from exc


def fill_context(proto: pb.CallEnvelope, context: CallContext) -> None:
    """Write what travels of `context` into `proto`, which is empty; the time left is that of now."""
    if WIRE_VERSION != 1:
        proto.version = WIRE_VERSION
    remaining = context.remaining
    if not math.isinf(remaining):
        proto.timeout_nanos = min(max(0, int(remaining * NANOS)), MAX_UINT64)
    if context.purse is not None:
        _fill_budget(proto.budget, context.offered)
    try:
        _fill_identity(proto, context)
    except (TypeError, ValueError) as exc:
        raise InvalidMessage(
            "carries a name, key or baggage that is not valid text", "call"
        ) from exc


def _fill_budget(proto: pb.Budget, offered: tuple[int | None, int | None, int | None]) -> None:
    nanos, tokens, calls = offered
    proto.SetInParent()
    if nanos is not None:
        proto.nanos = min(nanos, MAX_UINT64)
    if tokens is not None:
        proto.tokens = min(tokens, MAX_UINT64)
    if calls is not None:
        proto.calls = min(calls, MAX_UINT64)


def _fill_identity(proto: pb.CallEnvelope, context: CallContext) -> None:
    if context.idempotency_key:
        proto.idempotency_key = context.idempotency_key
    if context.session:
        proto.session = context.session
    if context.principal:
        proto.principal = context.principal
    if context.tenant:
        proto.tenant = context.tenant
    if context.traceparent:
        proto.traceparent = context.traceparent
    if context.tracestate:
        proto.tracestate = context.tracestate
    if context.baggage:
        proto.baggage.update(context.baggage)
    for hop in context.hops:
        proto.hops.add(instance=hop.instance, agent=hop.agent, key=hop.key)
    if context.max_hops != MAX_HOPS:
        proto.max_hops = context.max_hops
    proto.key = context.key


def read_context(
    proto: pb.CallEnvelope, target: str, clock: Clock, default_timeout: float
) -> CallContext:
    """The context of a call that arrived for `target`, on this process's clock.

    Raises:
        IncompatiblePeer: the caller speaks another major version.
    """
    if proto.version not in (0, WIRE_VERSION):
        raise IncompatiblePeer(proto.version, WIRE_VERSION)
    timed = proto.HasField("timeout_nanos")
    context = CallContext(
        target,
        deadline=clock.monotonic() + (proto.timeout_nanos / NANOS if timed else default_timeout),
        clock=clock,
        key=proto.key or target,
        hops=tuple([Hop(hop.instance, hop.agent, hop.key) for hop in proto.hops]),
        max_hops=proto.max_hops or MAX_HOPS,
        budget=_read_budget(proto.budget) if proto.HasField("budget") else None,
        session=proto.session,
        principal=proto.principal,
        tenant=proto.tenant,
        traceparent=proto.traceparent,
        baggage=dict(proto.baggage) if proto.baggage else None,
        idempotency_key=proto.idempotency_key,
    )
    if proto.tracestate:
        context.tracestate = proto.tracestate
    return context


def _read_budget(proto: pb.Budget) -> Budget:
    return Budget(
        usd=proto.nanos / NANOS_PER_USD if proto.HasField("nanos") else None,
        tokens=proto.tokens if proto.HasField("tokens") else None,
        calls=proto.calls if proto.HasField("calls") else None,
    )


def error_detail(error: AixgoError, usage: Usage | None = None) -> pb.ErrorDetail:
    """What a caller learns of `error`: its class, its wire fields, its id, and what the call spent."""
    detail = pb.ErrorDetail(
        kind=type(error).__name__,
        error_id=error.error_id,
        agent=valid(error.agent),
        fields=_encode_fields(error.wire_fields()),
        retryable=error.retryable,
    )
    if error.partial is not None:
        detail.partial = partial_bytes(error.partial)
    if usage:
        fill_usage(detail.usage, usage, FAILURE_BYTES - detail.ByteSize())
    return detail


def _encode_fields(fields: dict[str, FieldValue]) -> bytes:
    if not fields:
        return b""
    cleaned = {k: valid(v) if isinstance(v, str) else v for k, v in fields.items()}
    return msgspec.json.encode(cleaned)


def read_error(detail: pb.ErrorDetail) -> AixgoError:
    """The error a peer described, as its own class; a kind nobody knows becomes `AgentFailed`."""
    fields: dict[str, FieldValue] = {}
    if detail.fields:
        try:
            fields = msgspec.json.decode(detail.fields, type=dict[str, FieldValue])
        except NOT_JSON:  # a foreign peer's; the kind alone still helps
            fields = {}
    return rebuild_error(
        detail.kind,
        fields,
        agent=detail.agent,
        error_id=detail.error_id,
        partial=read_partial(detail.partial),
    )


class CodecCheck:
    """Gives back what a peer would receive: encoded and decoded again."""

    def message(self, message: Message) -> Message:
        """Raise what sending `message` would raise, else the message as it would arrive."""
        proto = pb.Message()
        fill_message(proto, message)
        return read_message(pb.Message.FromString(proto.SerializeToString()))

    def error(self, error: AixgoError) -> AixgoError:
        """The error a caller in another process would get."""
        return read_error(pb.ErrorDetail.FromString(error_detail(error).SerializeToString()))

    def chunk(self, chunk: StreamChunk) -> StreamChunk:
        """Raise what sending `chunk` would raise, else the chunk as it would arrive."""
        proto = pb.StreamChunk()
        fill_chunk(proto, chunk)
        return read_chunk(pb.StreamChunk.FromString(proto.SerializeToString()))
