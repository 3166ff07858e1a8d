"""Frames: joined envelopes, the limits of a frame, hellos, and what a side says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.errors import AgentRefused, IncompatiblePeer, InvalidMessage, LimitExceeded
from aixgo.ledger import Usage
from aixgo.rpc.frames import (
    CANCELLED,
    OURS,
    Limits,
    cancel,
    credit,
    frame_of,
    go_away,
    hello,
    pong,
    read_frame,
    read_hello,
    status,
)
from aixgo.v1 import agent_service_pb2 as pb


def envelopes(body: bytes) -> list[pb.Envelope]:
    return list(read_frame(body, OURS).envelopes)


def one(body: bytes) -> pb.Envelope:
    (envelope,) = envelopes(body)
    return envelope


@given(calls=st.lists(st.integers(1, 2**64 - 1), max_size=20))
def test_frames_joined_are_a_frame_with_all_their_envelopes(calls: list[int]) -> None:
    assert [each.call for each in envelopes(b"".join(cancel(call) for call in calls))] == calls


def test_both_directions_have_one_encoding() -> None:
    frame, envelope = frame_of(7)
    envelope.reply.message.text = "hi"
    body = frame.SerializeToString()
    assert pb.ConnectResponse.FromString(body).SerializeToString() == body


# -- limits -----------------------------------------------------------------------------------------------


def test_a_frame_may_be_as_large_as_its_receiver_says() -> None:
    body = cancel(1)
    assert len(read_frame(body, Limits(frame_bytes=len(body))).envelopes) == 1
    with pytest.raises(LimitExceeded, match="bytes of one frame"):
        read_frame(body, Limits(frame_bytes=len(body) - 1))


def test_a_frame_may_hold_as_many_envelopes_as_its_receiver_says() -> None:
    assert len(read_frame(cancel(1) * 16, Limits(envelopes=16)).envelopes) == 16
    with pytest.raises(LimitExceeded, match="envelopes of one frame"):
        read_frame(cancel(1) * 17, Limits(envelopes=16))


@pytest.mark.parametrize("body", [b"\xff\xff\xff", cancel(1)[:-1], b"\x0a\x04\x08\x01"])
def test_what_does_not_parse_is_no_frame(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        read_frame(body, OURS)


def test_an_empty_frame_is_one() -> None:
    assert envelopes(b"") == []


# -- hellos -----------------------------------------------------------------------------------------------


def test_a_hello_says_who_and_what_it_takes() -> None:
    limits = Limits(calls=10, envelopes=32, frame_bytes=70_000, chunks=3)
    assert read_hello(one(hello("me", limits)).hello) == ("me", limits)


@pytest.mark.parametrize("version", [0, 2])
def test_a_hello_in_another_version_is_an_incompatible_peer(version: int) -> None:
    said = one(hello("me", OURS)).hello
    said.version = version
    with pytest.raises(IncompatiblePeer):
        read_hello(said)


@pytest.mark.parametrize(
    "limits", [Limits(envelopes=15), Limits(frame_bytes=64 * 1024 - 1), Limits(chunks=0)]
)
def test_limits_nobody_can_keep_to_are_refused(limits: Limits) -> None:
    with pytest.raises(InvalidMessage, match="at least"):
        read_hello(one(hello("me", limits)).hello)


# -- what a side says -------------------------------------------------------------------------------------


def test_a_status_has_the_code_the_error_and_what_was_spent() -> None:
    said = one(status(7, AgentRefused("no"), Usage(calls=2)))
    assert said.call == 7
    assert said.status.code == 9  # FAILED_PRECONDITION
    assert (said.status.error.kind, said.status.error.usage.calls) == ("AgentRefused", 2)


@pytest.mark.parametrize("spent", [None, Usage(), Usage(calls=2)])
def test_the_status_of_a_cancelled_call_has_no_kind(spent: Usage | None) -> None:
    said = one(status(7, None, spent)).status
    assert (said.code, said.error.kind) == (CANCELLED, "")
    assert said.error.usage.calls == (spent.calls if spent else 0)


def test_small_things_say_what_they_mean() -> None:
    assert one(cancel(7)).WhichOneof("frame") == "cancel"
    granted = one(credit(7, chunks=2, piece_bytes=3)).credit
    assert (granted.chunks, granted.piece_bytes) == (2, 3)
    answered = one(pong(9)).ping
    assert (answered.id, answered.answer) == (9, True)
    assert one(go_away("draining")).go_away.reason == "draining"
