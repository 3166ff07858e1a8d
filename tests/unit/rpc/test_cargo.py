"""Envelopes too large for a frame: sent with their payload apart, read whoever wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.errors import InvalidMessage
from aixgo.ledger import Usage
from aixgo.message import Message
from aixgo.rpc.cargo import LARGE, Cargo, cargo_of, load, unload
from aixgo.rpc.codec import fill_message, parse, read_message
from aixgo.rpc.frames import frame_of
from aixgo.v1 import agent_service_pb2 as pb

PAYLOADS = ["text" * 50, "\N{SNOWMAN}\U0001f600é" * 30, b"\x00\xff" * 90, {"a": [1, "b" * 99]}]
HEAD = 200  # bytes: more than stands before the payload of these


def message_of(payload: object) -> Message:
    message = Message(payload, type="draft", metadata={"k": "\N{SNOWMAN}"})
    return message.delivered("writer", Usage(calls=2))


def frame_with(kind: str, message: Message, most: int) -> tuple[pb.ConnectRequest, Cargo]:
    """A frame with `message`, and what is sent of it when payloads above `most` bytes stay apart."""
    frame, envelope = frame_of(300)
    if kind == "request":
        envelope.request.method = pb.METHOD_EXECUTE
        envelope.request.target = "writer"
        envelope.request.envelope.hops.add(agent="a")
    outer = envelope.request if kind == "request" else envelope.reply
    payload = fill_message(outer.message, message, most)
    return frame, cargo_of(frame.SerializeToString()) if payload is None else load(frame, payload)


def cut(cargo: Cargo, size: int, first: int = 0) -> list[bytes]:
    """Pieces of `size`, after a first one that may be larger."""
    edge = min(max(first, size), len(cargo))
    starts = range(edge, len(cargo), size)
    return [
        cargo.cut(0, edge),
        *(cargo.cut(start, min(start + size, len(cargo))) for start in starts),
    ]


@pytest.mark.parametrize("kind", ["request", "reply"])
@pytest.mark.parametrize("payload", PAYLOADS, ids=["ascii", "text", "data", "json"])
def test_what_is_sent_is_the_envelope_with_its_message(kind: str, payload: object) -> None:
    message = message_of(payload)
    whole = frame_with(kind, message, 1000)[0].envelopes[0]
    _, cargo = frame_with(kind, message, 10)
    sent = cargo.cut(0, len(cargo))
    assert len(sent) == len(cargo) == whole.ByteSize()
    assert pb.Envelope.FromString(sent) == whole


@pytest.mark.parametrize("apart", [True, False], ids=["ours", "as protobuf writes it"])
@pytest.mark.parametrize("kind", ["request", "reply"])
@pytest.mark.parametrize("payload", PAYLOADS, ids=["ascii", "text", "data", "json"])
def test_its_payload_stays_out_of_what_is_parsed(kind: str, payload: object, apart: bool) -> None:
    message = message_of(payload)
    _, cargo = frame_with(kind, message, 10 if apart else 1000)
    envelope, found = unload(cut(cargo, 7, HEAD))
    assert found is not None
    assert envelope.call == 300
    assert envelope.request.target == ("writer" if kind == "request" else "")
    outer = envelope.request if kind == "request" else envelope.reply
    assert outer.message.WhichOneof("payload") is None
    read = read_message(outer.message, found)
    assert read == message
    assert read.usage == message.usage


@given(size=st.integers(1, 400), kind=st.sampled_from(["request", "reply"]), apart=st.booleans())
def test_however_it_is_cut_it_is_read_as_it_was_made(size: int, kind: str, apart: bool) -> None:
    message = message_of(PAYLOADS[1])
    _, cargo = frame_with(kind, message, 10 if apart else 1000)
    envelope, found = unload(cut(cargo, size))
    outer = envelope.request if kind == "request" else envelope.reply
    assert read_message(outer.message, found) == message


@given(data=st.data())
def test_whatever_a_peer_sends_is_read_as_protobuf_reads_it(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["request", "reply"]))
    _, cargo = frame_with(kind, message_of("abc"), data.draw(st.sampled_from([1, 1000])))
    body = bytearray(cargo.cut(0, len(cargo)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        expected = parse(pb.Envelope, bytes(body))
    except InvalidMessage:
        with pytest.raises(InvalidMessage):
            unload([bytes(body)])
        return
    envelope, found = unload([bytes(body)])
    if found is not None:
        outer = envelope.request if envelope.HasField("request") else envelope.reply
        setattr(outer.message, found.kind, found.body)
    assert envelope == expected


def test_of_two_payloads_the_last_counts() -> None:
    _, envelope = frame_of(1)
    envelope.reply.message.text = "first"
    message = envelope.reply.message.SerializeToString() + b"\x22\x041234"
    reply = b"\x0a" + bytes([len(message)]) + message
    body = b"\x08\x01\x52" + bytes([len(reply)]) + reply
    envelope, found = unload([body])
    assert found is None
    assert envelope.reply.message.json == b"1234"


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"\xe2\x98"], ids=["no", "half", "cut"])
def test_text_that_is_no_utf_8_is_refused(text: bytes) -> None:
    _, cargo = frame_with("reply", message_of("abc"), 1)
    body = cargo.cut(0, len(cargo)).replace(b"abc", text.rjust(3, b"x"))
    with pytest.raises(InvalidMessage):
        unload([body[:-1], body[-1:]])


def test_of_a_small_payload_before_large_metadata_nothing_is_taken_apart() -> None:
    frame, envelope = frame_of(1)
    envelope.reply.message.text = "small"
    envelope.reply.message.metadata = b" " * (LARGE + 1)
    assert unload(cut(cargo_of(frame.SerializeToString()), 60_000)) == (envelope, None)


def test_what_carries_no_message_is_an_envelope_all_the_same() -> None:
    frame, envelope = frame_of(7)
    envelope.chunk.content = "x" * 100
    parts = cut(cargo_of(frame.SerializeToString()), 30)
    assert unload(parts) == (envelope, None)
    assert parts == []
