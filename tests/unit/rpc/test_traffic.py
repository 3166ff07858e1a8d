"""What passes over the wire, counted and shown: every frame, and never a payload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from aixgo.context import CallContext
from aixgo.message import Message, StreamChunk
from aixgo.rpc.frames import cancel, credit, frame_of, status
from aixgo.rpc.stream import StreamLink
from aixgo.rpc.traffic import SHOWN, Traffic, wire_view
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import SmallHost, a_context, serving

SECRET = "correct horse battery staple"


@pytest.fixture
def transport() -> str:
    return "stream"


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[pytest.LogCaptureFixture]:
    """The lines that `AIXGO_WIRE=debug` logs."""
    monkeypatch.setenv("AIXGO_WIRE", "debug")
    log = logging.getLogger("aixgo.wire")
    level, handlers = log.level, log.handlers[:]
    yield caplog
    log.setLevel(level)
    log.handlers[:] = handlers


async def tell(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
    yield StreamChunk(content=SECRET)
    yield message.reply(SECRET)


# -- shown ------------------------------------------------------------------------------------------------


async def test_every_frame_is_shown_on_both_sides_without_a_payload(
    host: SmallHost, link_to: OpenLink, shown: pytest.LogCaptureFixture
) -> None:
    host.producers["tell"] = tell
    host.mailboxes["box"] = asyncio.Queue()
    async with serving(host) as (server, bound):
        link = link_to(bound)
        await link.call("echo", Message(SECRET), a_context())
        await link.call("echo", Message({SECRET: SECRET}, metadata={SECRET: 1}), a_context())
        await link.send("box", Message(SECRET * 20_000), a_context("box", session=SECRET))
        async for _ in await link.stream("tell", Message(SECRET), a_context("tell")):
            pass
        await link.aclose()
        frames = sum(
            each.frames_sent + each.frames_received for each in (link.traffic, server.traffic)
        )
    lines = [record.message for record in shown.records if record.name == "aixgo.wire"]
    text = "\n".join(lines)
    assert SECRET not in text
    assert len([line for line in lines if line.startswith(("->", "<-"))]) >= frames > 0
    for kind in (
        "hello",
        "request#1 'echo'",
        "reply#1",
        "piece#3",
        "credit#3",
        "admitted",
        "chunk",
    ):
        assert kind in text
    assert any(line.startswith("--") for line in lines)


def test_a_line_says_what_whose_and_how_large(shown: pytest.LogCaptureFixture) -> None:
    view = wire_view("10.0.0.1:5")
    assert view is not None
    frame, envelope = frame_of(7)
    envelope.request.target = "upper"
    body = frame.SerializeToString() + cancel(6) + credit(5, chunks=3) + status(4, None, None)
    view.sent(body, pb.ConnectRequest.FromString)
    assert shown.messages[-1] == (
        f"-> 10.0.0.1:5 {len(body)} B: request#7 'upper' 11 B, cancel#6 4 B, "
        "credit#5 3 chunks, 0 bytes 6 B, status#4 cancelled 6 B"
    )


def test_of_a_long_frame_the_rest_is_counted(shown: pytest.LogCaptureFixture) -> None:
    view = wire_view("peer")
    assert view is not None
    frame = pb.ConnectRequest.FromString(cancel(1) * (SHOWN + 5))
    view.received(99, frame)
    assert shown.messages[-1].endswith("and 5 more")


def test_an_envelope_from_the_future_is_shown_as_unknown(shown: pytest.LogCaptureFixture) -> None:
    view = wire_view("peer")
    assert view is not None
    view.received(5, pb.ConnectRequest(envelopes=[pb.Envelope(call=3)]))
    assert "unknown#3" in shown.messages[-1]


@pytest.mark.parametrize("value", ["", "0", "info"])
def test_nothing_is_shown_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AIXGO_WIRE", value)
    assert wire_view("peer") is None


def test_where_nobody_configured_logging_lines_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch,
    shown: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("aixgo.wire")
    monkeypatch.setattr(log, "propagate", False)
    for _ in range(2):
        view = wire_view("peer")
        assert view is not None
    view.ended("closed")
    assert capsys.readouterr().err.count("-- peer closed") == 1


# -- counted ----------------------------------------------------------------------------------------------


async def test_both_sides_count_the_same_frames(host: SmallHost, link_to: OpenLink) -> None:
    async with serving(host) as (server, bound):
        link = link_to(bound)
        for _ in range(3):
            await link.call("echo", Message("hi"), a_context())
        near, far = link.traffic.metrics(), server.traffic.metrics()
        assert near["connections"] == far["connections"] == near["connections_opened"] == 1
        for name in ("frames", "envelopes", "bytes"):
            assert near[f"{name}_sent"] == far[f"{name}_received"] > 3
            assert near[f"{name}_received"] == far[f"{name}_sent"] > 3
        assert near["queued_envelopes"] == near["queued_bytes"] == near["strays"] == 0


async def test_credits_are_counted_as_a_stream_is_read(host: SmallHost, link: StreamLink) -> None:
    async def count(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
        for _ in range(200):
            yield StreamChunk(content="x")
        yield message

    host.producers["count"] = count
    async for _ in await link.stream("count", Message("go"), a_context("count")):
        pass
    assert 200 - 64 <= link.traffic.credits_granted <= 200


def test_what_waits_now_is_the_sum_over_all_connections() -> None:
    class Waiting:
        def __init__(self, count: int, size: int) -> None:
            self.count, self.bytes = count, size

        def __len__(self) -> int:
            return self.count

    traffic = Traffic()
    traffic.queues = {Waiting(1, 10), Waiting(2, 20)}
    metrics = traffic.metrics()
    assert (metrics["connections"], metrics["queued_envelopes"], metrics["queued_bytes"]) == (
        2,
        3,
        30,
    )


def test_stalls_are_counted_by_their_reason() -> None:
    traffic = Traffic()
    traffic.stalled_for_room()
    traffic.stalled_for_place()
    traffic.stalled_for_place()
    assert (traffic.metrics()["stalls_room"], traffic.metrics()["stalls_place"]) == (1, 2)
