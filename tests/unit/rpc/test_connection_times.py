"""Peers that stop in the middle: what each side of a connection does as its clock goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aixgo.context import CallContext
from aixgo.errors import AixgoError, DeadlineExceeded, Unavailable
from aixgo.message import Message
from aixgo.rpc import multiplex
from aixgo.rpc.calls import Call
from aixgo.rpc.connection import Connection
from aixgo.rpc.desk import Desk
from aixgo.rpc.frames import Limits, cancel, frame_of, hello
from aixgo.rpc.multiplex import CANCEL_TIMEOUT, HELLO_TIMEOUT, ServedConnection
from aixgo.rpc.traffic import Traffic
from aixgo.rpc.transfers import STALL, Pool, announcement
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.manual_clock import ManualClock
from tests.unit.rpc.fake_pipe import FakePipe, run
from tests.unit.rpc.small_host import SmallHost, a_context

# -- the server's side ------------------------------------------------------------------------------------


class Served:
    """A connection being served over a fake pipe, on a clock the test moves."""

    def __init__(self, calls: int) -> None:
        self.clock = ManualClock()
        self.pipe = FakePipe()
        self.host = SmallHost()
        self.host.clock = self.clock
        self.desk = Desk(self.host)
        self.connection = ServedConnection(
            self.pipe,  # type: ignore[arg-type]  # as far as it is used
            self.desk,
            Limits(calls=calls),
            Traffic(),
            Pool(2**30),
        )
        self.served: asyncio.Task[AixgoError | None] = asyncio.create_task(self.connection.run())

    def come(self, *frames: bytes) -> None:
        for frame in frames:
            self.pipe.coming.put_nowait(frame)

    def statuses(self) -> dict[int, str]:
        """What kind of error each call ended with; "" if it was cancelled."""
        return {
            envelope.call: envelope.status.error.kind
            for envelope in self.pipe.envelopes()
            if envelope.WhichOneof("frame") == "status"
        }


def request(call: int, target: str) -> bytes:
    frame, envelope = frame_of(call)
    envelope.request.method = pb.METHOD_EXECUTE
    envelope.request.target = target
    envelope.request.message.text = "hi"
    return frame.SerializeToString()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served(calls=2)
    async with asyncio.timeout(20):
        yield served
        served.pipe.free()
        served.connection.over(None)
        await served.served
        served.desk.deadlines.close()


async def test_a_client_that_does_not_greet_is_ended_after_ten_seconds(served: Served) -> None:
    await run()
    served.clock.advance(HELLO_TIMEOUT - 0.1)
    await run()
    assert not served.served.done()
    served.clock.advance(0.1)
    assert isinstance(await served.served, DeadlineExceeded)


async def test_a_request_that_stops_in_the_middle_ends_its_call_only(served: Served) -> None:
    served.come(hello("", Limits()), announcement(1, 1_000), request(2, "echo"))
    await run()
    served.clock.advance(2 * STALL)
    await run()
    assert served.statuses() == {1: "DeadlineExceeded"}
    assert not served.served.done()
    assert served.connection.idle


async def test_a_client_that_stops_reading_is_ended(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplex, "WRITE_TIMEOUT", 0.0)
    served.connection.check_written()
    served.come(hello("", Limits()))
    await run()
    assert not served.served.done()
    served.pipe.stuck = True
    served.come(request(1, "echo"))
    await run()
    served.connection.check_written()
    served.pipe.free()
    assert isinstance(await served.served, DeadlineExceeded)


async def test_agents_that_do_not_stop_leave_no_room_for_more_for_ever(served: Served) -> None:
    let_go = asyncio.Event()

    async def stubborn(message: Message, context: CallContext) -> Message:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return message.reply("done")

    served.host.call = lambda target, message, context: stubborn(message, context)  # type: ignore[method-assign]
    served.come(hello("", Limits()))
    for number in range(1, 5):
        served.come(request(number, "stubborn"))
        await run()
        served.come(cancel(number))
        await run()
        served.clock.advance(CANCEL_TIMEOUT)
    served.come(request(5, "stubborn"))
    await run()
    assert served.statuses() == {1: "", 2: "", 3: "", 4: "", 5: "LimitExceeded"}
    let_go.set()


# -- the client's side ------------------------------------------------------------------------------------


async def test_a_reply_that_stops_in_the_middle_is_unavailable_and_its_call_is_cancelled() -> None:
    pipe, clock = FakePipe(), ManualClock()
    connection = Connection(
        pipe,  # type: ignore[arg-type]  # as far as it is used
        "fake",
        clock,
        Traffic(),
        10,
        lambda *_: None,
    )
    pipe.coming.put_nowait(hello("peer", Limits(calls=10)))
    async with asyncio.timeout(20):
        assert await connection.open()
        call = Call(a_context())
        assert connection.begin_now(call, pb.METHOD_EXECUTE, "echo", Message("hi"))
        await run()
        pipe.coming.put_nowait(announcement(1, 1_000))
        await run()
        clock.advance(2 * STALL)
        await run()
        assert isinstance(call.end, Unavailable)
        assert call.end.outcome == "unknown"
        kinds = [envelope.WhichOneof("frame") for envelope in pipe.envelopes()]
        assert kinds == ["request", "credit", "cancel"]
        await connection.aclose()


async def test_a_connection_that_was_never_opened_can_be_closed() -> None:
    pipe = FakePipe()
    connection = Connection(
        pipe,  # type: ignore[arg-type]  # as far as it is used
        "fake",
        ManualClock(),
        Traffic(),
        10,
        lambda *_: None,
    )
    await connection.aclose()
    await connection.ended()
    assert pipe.written == []
