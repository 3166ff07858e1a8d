"""Sequences of frames as no client writes them: valid, wrong, out of order, and damaged on the way.

Everything is drawn by Hypothesis, so a failing sequence shrinks to its core. Numbers of calls are drawn from few, so
that sequences meet their own calls; agents are those of `tests.integration.rpc.scene`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from hypothesis import strategies as st

from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2
from tests.integration.rpc.raw_client import MAX_TRANSFER, frame, hello, request

__all__ = ["Sequence", "sequences"]


@dataclass(frozen=True)
class Sequence:
    """Frames to be written one after the other; shown as what they say."""

    frames: tuple[bytes, ...]

    def __repr__(self) -> str:
        return "".join(f"\n  {len(body)} bytes: {_told(body)}" for body in self.frames)


def _told(body: bytes) -> str:
    try:
        envelopes = pb.ConnectRequest.FromString(body).envelopes
    except DecodeError:
        return "no frame"
    return " | ".join(str(each)[:200].replace("\n", " ") for each in envelopes)


CALLS = st.one_of(st.integers(1, 6), st.sampled_from([0, 7, 1000, 2**63, 2**64 - 1]))
TARGETS = st.sampled_from(["echo", "echo", "stuck", "large", "pour", "nobody", ""])
METHODS = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 0, 9])
TIMEOUTS = st.sampled_from([0.0, 0.005, 0.02])  # seconds, so that an example is short
SIZES = st.sampled_from([0, 1, 5, 1000, 70_000])


@st.composite
def requests(draw: st.DrawFn, calls: st.SearchStrategy[int] = CALLS) -> pb.Envelope:
    made = request(
        draw(calls),
        draw(TARGETS),
        draw(st.sampled_from(["hello", "100", "300000"])),
        method=draw(METHODS),
        timeout=draw(TIMEOUTS),
    )
    if made.request.method == pb.METHOD_SEND and made.request.target in ("stuck", "pour"):
        made.request.target = "echo"  # what was sent outlives its call
    for name in draw(st.sets(st.sampled_from(["message", "target", "method"]), max_size=1)):
        if not draw(st.integers(0, 5)):
            made.request.ClearField(name)  # type: ignore[arg-type]
    return made


@st.composite
def pieces(draw: st.DrawFn) -> pb.Envelope:
    part = pb.Piece()
    if draw(st.booleans()):
        part.total_bytes = draw(
            st.sampled_from([1, 5, 10, 1000, 100_000, MAX_TRANSFER, MAX_TRANSFER + 1, 2**64 - 1])
        )
    else:
        part.data = b"x" * draw(SIZES)
    return pb.Envelope(call=draw(CALLS), piece=part)


@st.composite
def transfers(draw: st.DrawFn) -> list[pb.Envelope]:
    """A request in pieces, whole unless its credit is not there yet."""
    whole = draw(requests(st.integers(1, 8)))
    body = whole.SerializeToString()
    cut = draw(st.integers(0, len(body)))
    parts = [pb.Piece(total_bytes=len(body)), pb.Piece(data=body[:cut]), pb.Piece(data=body[cut:])]
    return [pb.Envelope(call=whole.call, piece=part) for part in parts if part.ByteSize()]


HELLOS = st.builds(
    lambda changes: hello(**changes),
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.sampled_from([0, 1, 2]),
            "max_frame_envelopes": st.sampled_from([0, 15, 16, 2**32 - 1]),
            "max_frame_bytes": st.sampled_from([0, 65_535, 65_536, 2**32 - 1]),
            "chunk_window": st.sampled_from([0, 1, 2, 2**32 - 1]),
            "max_concurrent_calls": st.sampled_from([1, 2**32 - 1]),
            "features": st.lists(st.text(max_size=5), max_size=3),
        },
    ),
)
FIRST = st.one_of(
    st.just(hello()),
    st.just(hello(max_frame_envelopes=16, max_frame_bytes=65_536, chunk_window=1)),
    st.just(hello(max_frame_bytes=2**32 - 1, chunk_window=2**32 - 1)),
    HELLOS,
)
CREDITS = st.builds(
    lambda call, chunks, size: pb.Envelope(
        call=call, credit=pb.Credit(chunks=chunks, piece_bytes=size)
    ),
    CALLS,
    st.sampled_from([0, 1, 3, 2**32 - 1]),
    st.sampled_from([0, 1, 1000, 400_000, 2**64 - 1]),
)
FROM_A_SERVER = [
    pb.Envelope(admitted=pb.Admitted()),
    pb.Envelope(chunk=message_pb2.StreamChunk(content="x")),
    pb.Envelope(delivery=pb.Delivery()),
    pb.Envelope(reply=pb.Reply()),
    pb.Envelope(status=pb.CallStatus(code=13)),
]
FREE = [  # what is dropped or answered, whenever it comes
    pb.Envelope(),
    pb.Envelope(call=3),
    pb.Envelope.FromString(b"\x08\x04\xfa\x3f\x02\x08\x01"),
    pb.Envelope(ping=pb.Ping(id=3)),
    pb.Envelope(ping=pb.Ping(id=3, answer=True)),
    pb.Envelope(go_away=pb.GoAway(reason="x")),
]


def _of_call(call: int, envelope: pb.Envelope) -> pb.Envelope:
    made = pb.Envelope.FromString(envelope.SerializeToString())
    made.call = call
    return made


CANCELS = st.builds(lambda call: pb.Envelope(call=call, cancel=pb.Cancel()), CALLS)
SINGLE = st.one_of(
    requests(),
    requests(),
    CANCELS,
    CREDITS,
    pieces(),
    st.sampled_from(FREE),
    st.builds(_of_call, CALLS, st.sampled_from([*FREE, *FROM_A_SERVER])),
    HELLOS,
)
RISING = st.lists(requests(), min_size=1, max_size=6).map(
    lambda found: [_of_call(number, each) for number, each in enumerate(found, 1)]
)
GROUPS = st.one_of(RISING, transfers(), st.lists(SINGLE, max_size=4))


def _damage(body: bytes, at: int, how: str) -> bytes:
    at = at % len(body) if body else 0
    match how:
        case "truncate":
            return body[:at]
        case "flip":
            return body[:at] + bytes([body[at] ^ (1 << at % 8)]) + body[at + 1 :] if body else body
        case "insert":
            return body[:at] + b"\x00\xff\x80" + body[at:]
        case "double":
            return body + body
        case "swell":
            return body + b"\xfa\x3f\x80\x80\x10" + bytes(2**18)  # an unknown field of 256 KiB
        case _:
            return body


DAMAGE = st.one_of(
    st.just("none"),
    st.just("none"),
    st.just("none"),
    st.sampled_from(["truncate", "flip", "insert", "double", "swell"]),
)
_join: Callable[[list[pb.Envelope]], bytes] = lambda envelopes: frame(*envelopes)  # noqa: E731
FRAMES = st.builds(_damage, GROUPS.map(_join), st.integers(0, 500), DAMAGE)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Frames to be written one after the other."""
    opening = _damage(frame(draw(FIRST)), draw(st.integers(0, 40)), draw(DAMAGE))
    following = draw(st.lists(FRAMES, max_size=6))
    if draw(st.integers(0, 15)):
        return Sequence((opening, *following))
    return Sequence(tuple(draw(st.permutations([opening, *following]))))
