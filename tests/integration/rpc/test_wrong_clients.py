"""Clients that break the rules of `Connect`: their RPC ends with the right status, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
import pytest

from aixgo.errors import (
    AixgoError,
    IncompatiblePeer,
    InvalidMessage,
    LimitExceeded,
    MessageTooLarge,
)
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2
from tests.integration.rpc.raw_client import MAX_TRANSFER, frame, hello, raw_client, request
from tests.integration.rpc.scene import scene

MALFORMED = grpc.StatusCode.INVALID_ARGUMENT
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED
OTHER_VERSION = grpc.StatusCode.UNIMPLEMENTED

Frames = Callable[[pb.Hello], Sequence[bytes]]


def piece(call: int, *, total: int = 0, data: bytes = b"") -> pb.Envelope:
    return pb.Envelope(call=call, piece=pb.Piece(total_bytes=total, data=data))


def ping(id: int = 1) -> pb.Envelope:
    return pb.Envelope(ping=pb.Ping(id=id))


def once(*envelopes: pb.Envelope) -> Frames:
    """One frame, the same for every server."""
    return lambda _: [frame(*envelopes)]


FIRST_FRAMES: dict[str, tuple[Frames, grpc.StatusCode]] = {
    "a request": (once(request(1)), MALFORMED),
    "a ping": (once(ping()), MALFORMED),
    "nothing": (once(), MALFORMED),
    "a hello and a request": (once(hello(), request(1)), MALFORMED),
    "two hellos": (once(hello(), hello()), MALFORMED),
    "a hello of call 3": (once(pb.Envelope(call=3, hello=hello().hello)), MALFORMED),
    "noise": (lambda _: [b"\xff" * 40], MALFORMED),
    "half a hello": (lambda _: [frame(hello())[:-3]], MALFORMED),
    "a newer version": (once(hello(version=2)), OTHER_VERSION),
    "no version": (once(hello(version=0)), OTHER_VERSION),
    "room for 15 envelopes": (once(hello(max_frame_envelopes=15)), MALFORMED),
    "room for 65,535 bytes": (once(hello(max_frame_bytes=65_535)), MALFORMED),
    "no room for chunks": (once(hello(chunk_window=0)), MALFORMED),
    "an enormous hello": (once(hello(instance="x" * 1_000_000)), TOO_MUCH),
}


@pytest.mark.parametrize(("frames", "code"), FIRST_FRAMES.values(), ids=FIRST_FRAMES)
async def test_what_is_no_hello_ends_the_connection(frames: Frames, code: grpc.StatusCode) -> None:
    async with scene() as stage, raw_client(stage.address, introduced=False) as client:
        for body in frames(pb.Hello()):
            await client.write_bytes(body)
        assert await client.ended() is code


BROKEN: dict[str, tuple[Frames, grpc.StatusCode]] = {
    "a second hello": (once(hello()), MALFORMED),
    "a hello of a call": (once(pb.Envelope(call=1, hello=hello().hello)), MALFORMED),
    "a ping of a call": (once(pb.Envelope(call=1, ping=pb.Ping())), MALFORMED),
    "a goodbye of a call": (once(pb.Envelope(call=1, go_away=pb.GoAway())), MALFORMED),
    "a request of the connection": (once(request(0)), MALFORMED),
    "a cancel of the connection": (once(pb.Envelope(cancel=pb.Cancel())), MALFORMED),
    "a credit of the connection": (once(pb.Envelope(credit=pb.Credit(chunks=1))), MALFORMED),
    "a piece of the connection": (once(piece(0, total=10)), MALFORMED),
    "a chunk": (once(pb.Envelope(call=1, chunk=message_pb2.StreamChunk())), MALFORMED),
    "a reply": (once(pb.Envelope(call=1, reply=pb.Reply())), MALFORMED),
    "a status": (once(pb.Envelope(call=1, status=pb.CallStatus(code=13))), MALFORMED),
    "an admission": (once(pb.Envelope(call=1, admitted=pb.Admitted())), MALFORMED),
    "a delivery": (once(pb.Envelope(call=1, delivery=pb.Delivery())), MALFORMED),
    "a reply nobody asked for": (once(pb.Envelope(call=999, reply=pb.Reply())), MALFORMED),
    "a number used twice": (once(request(1)), MALFORMED),
    "a number that is lower": (once(request(9), request(8)), MALFORMED),
    "a cancel before its request": (once(pb.Envelope(call=2, cancel=pb.Cancel())), MALFORMED),
    "a credit before its request": (
        once(pb.Envelope(call=2, credit=pb.Credit(chunks=1))),
        MALFORMED,
    ),
    "a piece nobody announced": (once(piece(2, data=b"x")), MALFORMED),
    "a piece for a call without a transfer": (once(piece(1, data=b"x")), MALFORMED),
    "a transfer of a call that is open": (once(piece(1, total=10)), MALFORMED),
    "a transfer of nothing": (once(piece(2)), MALFORMED),
    "an announcement with data": (once(piece(2, total=10, data=b"x")), MALFORMED),
    "an announcement twice": (once(piece(2, total=10), piece(2, total=10)), MALFORMED),
    "an empty piece": (once(piece(2, total=10), piece(2)), MALFORMED),
    "a request during its transfer": (once(piece(2, total=10), request(2)), MALFORMED),
    "noise": (lambda _: [b"\xff" * 40], MALFORMED),
    "half a frame": (lambda _: [frame(request(2))[:-3]], MALFORMED),
    "text that is not UTF-8": (
        lambda _: [frame(request(2, text="grün")).replace("ü".encode(), b"\xff\xfe")],
        MALFORMED,
    ),
    "more data than announced": (once(piece(2, total=10), piece(2, data=b"x" * 11)), TOO_MUCH),
    "a transfer of 65 MiB and a byte": (once(piece(2, total=MAX_TRANSFER + 1)), TOO_MUCH),
    "a transfer of 16 EiB": (once(piece(2, total=2**64 - 1)), TOO_MUCH),
    "a frame with too many bytes": (
        lambda server: [frame(request(2, text="x" * server.max_frame_bytes))],
        TOO_MUCH,
    ),
    "a frame with too many envelopes": (
        lambda server: [frame(*[pb.Envelope()] * (server.max_frame_envelopes + 1))],
        TOO_MUCH,
    ),
    "a flood of pings": (
        lambda _: [frame(*[ping(i) for i in range(100)]) for _ in range(10)],
        TOO_MUCH,
    ),
    "data before credit": (  # two of the largest are as much as is granted at a time
        once(*[piece(call, total=MAX_TRANSFER) for call in (2, 3, 4)], piece(4, data=b"x")),
        TOO_MUCH,
    ),
}


@pytest.mark.parametrize(("frames", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_rule_ends_the_connection_and_its_calls(
    frames: Frames, code: grpc.StatusCode
) -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "stuck"))
        await stage.stuck_are(1)
        for body in frames(client.theirs):
            await client.write_bytes(body)
        assert await client.ended() is code
        await stage.stuck_are(0)


ERRORS: dict[str, tuple[Frames, type[AixgoError]]] = {
    "malformed": (once(hello()), InvalidMessage),
    "too many envelopes": (BROKEN["a frame with too many envelopes"][0], LimitExceeded),
    "too large a transfer": (BROKEN["a transfer of 16 EiB"][0], MessageTooLarge),
}


@pytest.mark.parametrize(("frames", "error"), ERRORS.values(), ids=ERRORS)
async def test_the_status_of_a_broken_rule_has_its_detail(
    frames: Frames, error: type[AixgoError]
) -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        for body in frames(client.theirs):
            await client.write_bytes(body)
        assert type(await client.error()) is error


async def test_a_newer_client_is_told_which_version_is_spoken() -> None:
    async with scene() as stage, raw_client(stage.address, introduced=False) as client:
        await client.write(hello(version=7))
        error = await client.error()
        assert isinstance(error, IncompatiblePeer)
        assert (error.theirs, error.ours) == (7, 1)


async def test_more_calls_than_there_are_places_end_the_connection() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        places = client.theirs.max_concurrent_calls
        for first in range(1, places + 1, 100):
            numbers = range(first, min(first + 100, places + 1))
            await client.write(*[request(number, "stuck") for number in numbers])
        await stage.stuck_are(places)
        await client.write(request(places + 1))
        assert await client.ended() is TOO_MUCH
        await stage.stuck_are(0)


async def test_a_place_is_free_again_once_its_call_was_ended() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        for number in range(1, 2 * client.theirs.max_concurrent_calls + 1):
            await client.write(request(number))
            assert await client.reply(number) == "hello"


GARBAGE: dict[str, bytes] = {
    "noise": b"\xff" * 40,
    "an envelope of another call": request(3).SerializeToString(),
    "an envelope without a frame": pb.Envelope(call=2).SerializeToString(),
    "a cancel": pb.Envelope(call=2, cancel=pb.Cancel()).SerializeToString(),
    "a transfer": piece(2, total=10).SerializeToString(),
    "a hello": hello().SerializeToString(),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
async def test_a_transfer_of_anything_but_a_request_ends_the_connection(data: bytes) -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "stuck"))
        await stage.stuck_are(1)
        await client.write(piece(2, total=len(data)))
        await client.until("credit", 2)
        await client.write(piece(2, data=data))
        assert await client.ended() is MALFORMED
        await stage.stuck_are(0)


HARMLESS: dict[str, pb.Envelope] = {
    "a cancel of a call that ended": pb.Envelope(call=1, cancel=pb.Cancel()),
    "a credit for a call that ended": pb.Envelope(call=1, credit=pb.Credit(chunks=5)),
    "piece credit for a call that ended": pb.Envelope(call=1, credit=pb.Credit(piece_bytes=5)),
    "a piece for a call that ended": piece(1, data=b"x"),
    "a cancel of a number that was left out": pb.Envelope(call=2, cancel=pb.Cancel()),
    "credit without a transfer": pb.Envelope(call=4, credit=pb.Credit(piece_bytes=2**63)),
    "chunks for a call without": pb.Envelope(call=4, credit=pb.Credit(chunks=2**32 - 1)),
    "no credit at all": pb.Envelope(call=4, credit=pb.Credit()),
    "a goodbye": pb.Envelope(go_away=pb.GoAway(reason="tired")),
    "an answer to no ping": pb.Envelope(ping=pb.Ping(id=77, answer=True)),
    "an envelope without a frame": pb.Envelope(),
    "an envelope of a call, without a frame": pb.Envelope(call=1),
    "an envelope of the future": pb.Envelope.FromString(b"\x08\x04\xfa\x3f\x02\x08\x01"),
}


@pytest.mark.parametrize("envelope", HARMLESS.values(), ids=HARMLESS)
async def test_what_may_have_crossed_an_end_is_dropped(envelope: pb.Envelope) -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1), request(3))
        assert await client.reply(1) == "hello"
        await client.write(request(4, "stuck"))
        await client.write(envelope)
        await client.write(request(5, text="after it"))
        assert await client.reply(5) == "after it"
        await stage.stuck_are(1)


UNFIT: dict[str, tuple[pb.Request, grpc.StatusCode]] = {
    "no target": (pb.Request(method=pb.METHOD_EXECUTE, message={"text": "x"}), MALFORMED),
    "no message": (pb.Request(method=pb.METHOD_EXECUTE, target="echo"), MALFORMED),
    "no message to send": (pb.Request(method=pb.METHOD_SEND, target="echo"), MALFORMED),
    "no message to stream": (
        pb.Request(method=pb.METHOD_EXECUTE_STREAM, target="pour"),
        MALFORMED,
    ),
    "no mailbox": (pb.Request(method=pb.METHOD_RECEIVE), MALFORMED),
    "no method": (pb.Request(target="echo", message={"text": "x"}), MALFORMED),
    "nothing": (pb.Request(), MALFORMED),
    "a method of the future": (
        pb.Request(method=17, target="echo", message={"text": "x"}),  # type: ignore[arg-type]
        OTHER_VERSION,
    ),
    "another version": (
        pb.Request(
            method=pb.METHOD_EXECUTE, target="echo", message={"text": "x"}, envelope={"version": 2}
        ),
        OTHER_VERSION,
    ),
    "an unknown agent": (
        pb.Request(method=pb.METHOD_EXECUTE, target="nobody", message={"text": "x"}),
        grpc.StatusCode.NOT_FOUND,
    ),
    "no time": (
        pb.Request(
            method=pb.METHOD_EXECUTE,
            target="echo",
            message={"text": "x"},
            envelope={"timeout_nanos": 0},
        ),
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ),
}


@pytest.mark.parametrize(("unfit", "code"), UNFIT.values(), ids=UNFIT)
async def test_a_request_that_does_not_fit_fails_alone(
    unfit: pb.Request, code: grpc.StatusCode
) -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(pb.Envelope(call=1, request=unfit), request(2))
        status = (await client.until("status", 1)).status
        assert status.code == code.value[0]
        assert await client.reply(2) == "hello"


async def test_a_ping_is_answered_with_its_id() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(ping(41))
        assert (await client.until("ping")).ping == pb.Ping(id=41, answer=True)


async def test_a_cancelled_call_is_ended_once_and_its_number_is_gone() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "stuck"))
        await stage.stuck_are(1)
        cancel = pb.Envelope(call=1, cancel=pb.Cancel())
        await client.write(cancel, cancel)
        assert (await client.until("status", 1)).status.code == 1
        await stage.stuck_are(0)
        await client.write(cancel, request(2))
        following = await client.read()
        assert following is not None
        assert following.call == 2


async def test_a_client_that_closes_its_side_still_gets_the_ends_of_its_calls() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(request(1, "stuck", timeout=0.3), request(2, text="two"))
        await stage.stuck_are(1)
        await client.close()
        assert await client.reply(2) == "two"
        assert (await client.until("status", 1)).status.code == 4
        assert await client.ended() is grpc.StatusCode.OK


async def test_a_client_that_closes_its_side_in_a_transfer_is_not_waited_for() -> None:
    async with scene() as stage, raw_client(stage.address) as client:
        await client.write(piece(1, total=1_000_000), request(2))
        assert await client.reply(2) == "hello"
        await client.close()
        assert await client.ended() is not grpc.StatusCode.DEADLINE_EXCEEDED
