"""Frames of `Connect`: what they are made of, and how much of it each side takes.

An envelope travels as the frame that holds it alone: joining such frames gives a frame with all of their
envelopes, because that is how protobuf encodes repeated fields. So an envelope is encoded once, by whoever
queues it, and its size is known. ConnectRequest and ConnectResponse have the same encoding; both sides
read and write the first.

Below: codec, status. Above: conduit, transfers, connection, multiplex.
"""

from __future__ import annotations

from dataclasses import dataclass

from aixgo.errors import AixgoError, IncompatiblePeer, InvalidMessage, LimitExceeded
from aixgo.ledger import Usage
from aixgo.rpc.base import WIRE_VERSION
from aixgo.rpc.codec import error_detail, fill_usage, parse
from aixgo.rpc.status import code_of
from aixgo.v1 import agent_service_pb2 as pb

__all__ = [
    "CANCELLED",
    "OURS",
    "Limits",
    "cancel",
    "credit",
    "frame_of",
    "go_away",
    "hello",
    "pong",
    "read_frame",
    "read_hello",
    "status",
]

CANCELLED = 1  # google.rpc.Code
LEAST_ENVELOPES = 16
LEAST_FRAME_BYTES = 64 * 1024


@dataclass(slots=True, frozen=True)
class Limits:
    """What one side takes; see Hello in agent_service.proto."""

    calls: int = 0
    envelopes: int = 256
    frame_bytes: int = 256 * 1024
    chunks: int = 64


OURS = Limits()


def frame_of(call: int) -> tuple[pb.ConnectRequest, pb.Envelope]:
    """A frame with one envelope of `call`, and that envelope to be filled."""
    frame = pb.ConnectRequest()
    envelope = frame.envelopes.add()
    envelope.call = call
    return frame, envelope


def read_frame(body: bytes, limits: Limits) -> pb.ConnectRequest:
    """The frame in `body`.

    Raises:
        LimitExceeded: it holds more than `limits` allow.
        InvalidMessage: it is no frame.
    """
    if len(body) > limits.frame_bytes:
        raise LimitExceeded("bytes of one frame", limits.frame_bytes, "Connect")
    frame = parse(pb.ConnectRequest, body)
    if len(frame.envelopes) > limits.envelopes:
        raise LimitExceeded("envelopes of one frame", limits.envelopes, "Connect")
    return frame


def hello(instance: str, limits: Limits) -> bytes:
    frame, envelope = frame_of(0)
    envelope.hello.version = WIRE_VERSION
    envelope.hello.instance = instance
    envelope.hello.max_concurrent_calls = limits.calls
    envelope.hello.max_frame_envelopes = limits.envelopes
    envelope.hello.max_frame_bytes = limits.frame_bytes
    envelope.hello.chunk_window = limits.chunks
    return frame.SerializeToString()


def read_hello(said: pb.Hello) -> tuple[str, Limits]:
    """Who says `said`, and what it takes.

    Raises:
        IncompatiblePeer: it speaks another major version.
        InvalidMessage: nobody can keep to limits that small.
    """
    if said.version != WIRE_VERSION:
        raise IncompatiblePeer(said.version, WIRE_VERSION)
    for name, value, least in (
        ("max_frame_envelopes", said.max_frame_envelopes, LEAST_ENVELOPES),
        ("max_frame_bytes", said.max_frame_bytes, LEAST_FRAME_BYTES),
        ("chunk_window", said.chunk_window, 1),
    ):
        if value < least:
            raise InvalidMessage(path=f"hello.{name}", expected=f"at least {least}")
    limits = Limits(
        said.max_concurrent_calls, said.max_frame_envelopes, said.max_frame_bytes, said.chunk_window
    )
    return said.instance, limits


def cancel(call: int) -> bytes:
    frame, envelope = frame_of(call)
    envelope.cancel.SetInParent()
    return frame.SerializeToString()


def credit(call: int, *, chunks: int = 0, piece_bytes: int = 0) -> bytes:
    frame, envelope = frame_of(call)
    envelope.credit.chunks = chunks
    envelope.credit.piece_bytes = piece_bytes
    return frame.SerializeToString()


def pong(id: int) -> bytes:
    frame, envelope = frame_of(0)
    envelope.ping.id = id
    envelope.ping.answer = True
    return frame.SerializeToString()


def go_away(reason: str) -> bytes:
    frame, envelope = frame_of(0)
    envelope.go_away.reason = reason
    return frame.SerializeToString()


def status(call: int, error: AixgoError | None, usage: Usage | None) -> bytes:
    """The end of a call that failed with `error`, or that its caller cancelled if there is none."""
    frame, envelope = frame_of(call)
    if error is None:
        envelope.status.code = CANCELLED
        if usage:
            fill_usage(envelope.status.error.usage, usage)
    else:
        envelope.status.code = code_of(error)
        envelope.status.error.CopyFrom(error_detail(error, usage))
    return frame.SerializeToString()
