"""A link and a server over real sockets: calls, streams, mail, and who is told what went wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from aixgo.context import CallContext, Hop, SystemClock
from aixgo.errors import (
    AgentFailed,
    AgentNotFound,
    AgentRefused,
    ConfigError,
    DeadlineExceeded,
    IncompatiblePeer,
    InvalidMessage,
    RuntimeClosed,
    Unavailable,
)
from aixgo.ledger import Budget, Usage
from aixgo.message import Message, StreamChunk
from aixgo.rpc import base
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.unary import UnaryLink
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.rpc.small_host import Producer, SmallHost, a_context, linked, serving


@pytest.fixture
def host() -> SmallHost:
    return SmallHost()


@pytest.fixture
async def link(host: SmallHost) -> AsyncIterator[UnaryLink]:
    async with asyncio.timeout(20), linked(host) as link:
        yield link


# -- calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", ["text \N{SNOWMAN}", b"\x00\xff", {"a": [1, 2.5, None]}, None, 7]
)
async def test_a_reply_comes_back_as_it_was_made(link: UnaryLink, payload: object) -> None:
    reply = await link.call("echo", Message(payload), a_context())
    assert reply.payload == payload
    assert reply.source == "echo"


async def test_a_unix_socket_is_an_address_like_any_other(host: SmallHost, tmp_path: Path) -> None:
    async with linked(host, f"unix:{tmp_path}/agents.sock") as link:
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_the_host_gets_what_travels_with_a_call(host: SmallHost, link: UnaryLink) -> None:
    hops = (Hop("i1", "planner", "flow"), Hop("i2", "writer", "flow/write"))
    sent = a_context(
        key="flow/write/echo",
        hops=hops,
        max_hops=5,
        budget=Budget(usd=0.25, tokens=100),
        session="s1",
        principal="ann",
        tenant="acme",
        traceparent="00-aa-bb-01",
        baggage={"k": "v"},
        idempotency_key="once",
    )
    await link.call("echo", Message("hi"), sent)
    (got,) = host.contexts
    for name in ("agent", "key", "hops", "max_hops", "budget", "session", "principal", "tenant"):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.traceparent, got.baggage, got.idempotency_key) == (
        "00-aa-bb-01",
        {"k": "v"},
        "once",
    )
    assert 9 < got.deadline - SystemClock().monotonic() <= 10


async def test_usage_of_a_reply_and_of_a_failure_is_charged_to_the_call(
    host: SmallHost, link: UnaryLink
) -> None:
    async def spend(message: Message, context: CallContext) -> Message:
        context.charge(Usage(cost_nanos=3, calls=1))
        if message.text == "fail":
            raise AgentRefused("too expensive")
        return message.reply("done")

    host.agents["spend"] = spend
    context = a_context("spend")
    reply = await link.call("spend", Message("go"), context)
    assert reply.usage == context.usage == Usage(cost_nanos=3, calls=1)
    with pytest.raises(AgentRefused, match="too expensive"):
        await link.call("spend", Message("fail"), context)
    assert context.usage == Usage(cost_nanos=6, calls=2)


async def test_an_unknown_agent_is_not_found(link: UnaryLink) -> None:
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.call("nobody", Message("hi"), a_context("nobody"))
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.stream("nobody", Message("hi"), a_context("nobody"))
    with pytest.raises(AgentNotFound, match="nobody"):
        await link.send("nobody", Message("hi"), a_context("nobody"))


async def test_a_draining_hosts_refusal_arrives_as_a_call_not_started(
    host: SmallHost, link: UnaryLink
) -> None:
    async def refuse(message: Message, context: CallContext) -> Message:
        raise RuntimeClosed("draining")

    host.agents["echo"] = refuse
    with pytest.raises(RuntimeClosed, match="draining") as caught:
        await link.call("echo", Message("hi"), a_context())
    assert caught.value.retryable
    assert caught.value.agent == ""  # so that a caller knows no agent ran


async def test_the_caller_raises_at_its_deadline_and_learns_the_usage_after(
    host: SmallHost, link: UnaryLink
) -> None:
    async def linger(message: Message, context: CallContext) -> Message:
        context.charge(Usage(calls=1))
        await asyncio.Event().wait()
        return message

    host.agents["linger"] = linger
    context = a_context("linger", timeout=0.2)
    with pytest.raises(DeadlineExceeded, match="linger"):
        await link.call("linger", Message("hi"), context)
    assert -0.1 < context.remaining <= 0
    assert link.outstanding == 0
    await link.settle(context)
    assert context.usage == Usage(calls=1)


async def test_settling_a_call_that_is_settled_returns_at_once(link: UnaryLink) -> None:
    context = a_context()
    await link.call("echo", Message("hi"), context)
    async with asyncio.timeout(0.1):
        await link.settle(context)


async def test_calls_beyond_the_links_slots_wait_for_their_turn(host: SmallHost) -> None:
    running = most = 0

    async def count(message: Message, context: CallContext) -> Message:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return message.reply("done")

    host.agents["count"] = count
    async with linked(host, settings=WireSettings(max_concurrent_calls=3)) as link:
        calls = [link.call("count", Message("hi"), a_context("count")) for _ in range(20)]
        replies = await asyncio.gather(*calls)
    assert [reply.text for reply in replies] == ["done"] * 20
    assert most <= 3


async def test_a_call_that_came_through_the_peer_itself_needs_no_slot(host: SmallHost) -> None:
    async with linked(host, settings=WireSettings(max_concurrent_calls=1)) as link:

        async def call_back(message: Message, context: CallContext) -> Message:
            hops = (*context.hops, Hop(host.instance, "again", "k"))
            if len(hops) > 4:
                return message.reply("bottom")
            return await link.call("again", message, a_context("again", hops=hops))

        host.agents["again"] = call_back
        assert (await link.call("again", Message("hi"), a_context("again"))).text == "bottom"


async def test_a_call_waiting_for_a_slot_ends_at_its_deadline(host: SmallHost) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def hold(message: Message, context: CallContext) -> Message:
        started.set()
        await finish.wait()
        return message.reply("done")

    host.agents["hold"] = hold
    async with linked(host, settings=WireSettings(max_concurrent_calls=1)) as link:
        first = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await started.wait()
        with pytest.raises(DeadlineExceeded):
            await link.call("echo", Message("hi"), a_context(timeout=0.1))
        finish.set()
        assert (await first).text == "done"
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


# -- streams ----------------------------------------------------------------------------------------------


async def three(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
    for number in range(3):
        yield StreamChunk(content=str(number), sequence=number, source="three")
    context.charge(Usage(calls=2))
    yield message.reply("012")


async def test_a_stream_gives_its_chunks_then_its_final(host: SmallHost, link: UnaryLink) -> None:
    host.producers["three"] = three
    context = a_context("three")
    chunks = await link.stream("three", Message("go"), context)
    assert chunks.final is None
    assert [(chunk.content, chunk.sequence) async for chunk in chunks] == [
        ("0", 0),
        ("1", 1),
        ("2", 2),
    ]
    assert chunks.final is not None
    assert chunks.final.text == "012"
    assert context.usage == Usage(calls=2)
    assert link.outstanding == 0
    await chunks.aclose()


async def test_a_stream_that_fails_raises_from_the_iteration(
    host: SmallHost, link: UnaryLink
) -> None:
    async def break_off(
        message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        context.charge(Usage(calls=1))
        if message.text != "at once":
            yield StreamChunk(content="so far")
        raise AgentRefused("no more")
        yield message

    host.producers["break_off"] = break_off
    for text, so_far in (("later", ["so far"]), ("at once", [])):
        context = a_context("break_off")
        chunks = await link.stream("break_off", Message(text), context)
        assert [(await anext(chunks)).content for _ in so_far] == so_far
        with pytest.raises(AgentRefused, match="no more"):
            await anext(chunks)
        assert chunks.final is None
        assert context.usage == Usage(calls=1)
    assert link.outstanding == 0


async def test_leaving_a_stream_early_stops_the_producer(host: SmallHost, link: UnaryLink) -> None:
    stopped = asyncio.Event()
    host.producers["forever"] = endless(stopped)
    chunks = await link.stream("forever", Message("go"), a_context("forever"))
    await anext(chunks)
    await chunks.aclose()
    async with asyncio.timeout(5):
        await stopped.wait()
    assert link.outstanding == 0
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_a_stream_ends_at_its_deadline(host: SmallHost, link: UnaryLink) -> None:
    async def stall(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
        yield StreamChunk(content="one")
        await asyncio.Event().wait()

    host.producers["stall"] = stall
    chunks = await link.stream("stall", Message("go"), a_context("stall", timeout=0.2))
    assert (await anext(chunks)).content == "one"
    with pytest.raises(DeadlineExceeded, match="stall"):
        await anext(chunks)


def endless(stopped: asyncio.Event) -> Producer:
    async def forever(
        message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        try:
            while True:
                yield StreamChunk(content="x" * 1000)
        finally:
            stopped.set()

    return forever


# -- mail -------------------------------------------------------------------------------------------------


async def test_what_is_sent_can_be_received_in_order(host: SmallHost, link: UnaryLink) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    for number in range(3):
        await link.send("box", Message(number), a_context("box"))
    messages = link.receive("box", a_context("box"))
    assert [(await anext(messages)).payload for _ in range(3)] == [0, 1, 2]
    await messages.aclose()  # type: ignore[attr-defined]  # an async generator
    assert link.outstanding == 0


async def test_receiving_ends_with_its_deadline(host: SmallHost, link: UnaryLink) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    with pytest.raises(DeadlineExceeded):
        await anext(link.receive("box", a_context("box", timeout=0.1)))


async def test_receiving_from_a_mailbox_nobody_has_says_so(link: UnaryLink) -> None:
    with pytest.raises(AgentNotFound, match="nobody"):
        await anext(link.receive("nobody", a_context("nobody")))


async def test_a_stopping_server_ends_those_who_receive(host: SmallHost) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    host.mailboxes["box"].put_nowait(Message("first"))
    async with serving(host) as (server, bound):
        link = UnaryLink(bound, SystemClock())
        messages = link.receive("box", a_context("box", timeout=60))
        assert (await anext(messages)).text == "first"
        stopping = asyncio.create_task(server.stop(grace=30))
        with pytest.raises(RuntimeClosed, match="stopping"):
            await anext(messages)
        async with asyncio.timeout(5):
            await stopping
        await link.aclose()


# -- who is there -------------------------------------------------------------------------------------------


async def test_describing_tells_who_answers(host: SmallHost, link: UnaryLink) -> None:
    host.draining = True
    info = await link.describe()
    assert (info.instance, info.version, info.draining) == ("small", 1, True)
    assert [(about.name, about.role) for about in info.agents] == [("echo", "echos")]
    assert (link.instance, link.draining) == ("small", True)


async def test_nobody_there_is_said_at_once_and_before_anything_was_sent() -> None:
    link = UnaryLink("127.0.0.1:1", SystemClock(), settings=WireSettings(connect_timeout=30))
    async with asyncio.timeout(3):
        for attempt in (
            link.connect(),
            link.call("echo", Message("hi"), a_context()),
            link.stream("echo", Message("hi"), a_context()),
        ):
            with pytest.raises(Unavailable, match="refused") as caught:
                await attempt
            assert caught.value.outcome == "not_started"
    await link.aclose()


async def test_a_peer_that_never_answers_is_unavailable_after_the_connect_timeout() -> None:
    done = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = UnaryLink(f"127.0.0.1:{port}", SystemClock())
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await link.connect(timeout=0.2)
        assert caught.value.outcome == "not_started"
        await link.aclose()
        done.set()


async def test_a_peer_that_comes_back_is_reached_again_under_its_new_instance() -> None:
    async with serving(SmallHost(instance="one")) as (server, bound):
        link = UnaryLink(bound, SystemClock())
        await link.connect()
        assert link.instance == "one"
        await server.stop(0)
        with pytest.raises(Unavailable):
            await link.call("echo", Message("hi"), a_context())
    async with serving(SmallHost(instance="two"), bound):
        async with asyncio.timeout(5):
            assert (await link.connect()).instance == "two"
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
        assert link.instance == "two"
        await link.aclose()


async def test_a_connection_lost_under_a_call_leaves_the_outcome_unknown(host: SmallHost) -> None:
    started = asyncio.Event()

    async def hold(message: Message, context: CallContext) -> Message:
        started.set()
        await asyncio.Event().wait()
        return message

    host.agents["hold"] = hold
    async with serving(host) as (server, bound):
        link = UnaryLink(bound, SystemClock())
        call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await started.wait()
        await server.stop(0)
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.outcome == "unknown"
        await link.aclose()


async def test_closing_a_link_fails_its_calls_and_twice_is_fine(
    host: SmallHost, link: UnaryLink
) -> None:
    started = asyncio.Event()

    async def hold(message: Message, context: CallContext) -> Message:
        started.set()
        await asyncio.Event().wait()
        return message

    host.agents["hold"] = hold
    call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
    await started.wait()
    await link.aclose()
    with pytest.raises(Unavailable) as caught:
        await call
    assert caught.value.outcome == "unknown"
    await link.aclose()
    with pytest.raises(RuntimeClosed):
        await link.call("echo", Message("hi"), a_context())


async def test_another_major_version_is_an_incompatible_peer(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aixgo.rpc.descriptions.WIRE_VERSION", 2)
    async with serving(host) as (_, bound):
        link = UnaryLink(bound, SystemClock())
        with pytest.raises(IncompatiblePeer, match="version 2"):
            await link.connect()
        with pytest.raises(IncompatiblePeer, match="version 2"):
            await link.call("echo", Message("hi"), a_context())
        await link.aclose()


async def test_a_grpc_server_without_our_service_is_an_incompatible_peer() -> None:
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    link = UnaryLink(f"127.0.0.1:{port}", SystemClock())
    with pytest.raises(IncompatiblePeer):
        await link.connect()
    await link.aclose()
    await other.stop(None)


# -- requests of foreign clients ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "INVALID_ARGUMENT"),
        (b"\xff\xff\xff", "INVALID_ARGUMENT"),
        (pb.ExecuteRequest(target="echo").SerializeToString(), "INVALID_ARGUMENT"),
        (pb.ExecuteRequest(message={"text": "hi"}).SerializeToString(), "INVALID_ARGUMENT"),
        (
            pb.ExecuteRequest(
                target="echo", message={"text": "hi"}, envelope={"version": 2}
            ).SerializeToString(),
            "UNIMPLEMENTED",
        ),
        (
            pb.ExecuteRequest(target="nobody", message={"text": "hi"}).SerializeToString(),
            "NOT_FOUND",
        ),
    ],
    ids=["empty", "garbage", "no message", "no target", "version 2", "unknown agent"],
)
async def test_a_bad_request_gets_the_status_of_its_fault(
    host: SmallHost, body: bytes, code: str
) -> None:
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        for method in ("Execute", "Send"):
            if method == "Send" and code == "NOT_FOUND":
                continue
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/{base.SERVICE}/{method}")(body)
            assert caught.value.code() is grpc.StatusCode[code]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_stream(f"/{base.SERVICE}/ExecuteStream")(body).read()
        assert caught.value.code() is grpc.StatusCode[code]
    assert not [context for context in host.contexts if context.agent == "echo"]


async def test_a_bare_request_is_enough(host: SmallHost) -> None:
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        request = pb.ExecuteRequest(target="echo", message={"text": "hi"})
        body = await channel.unary_unary(f"/{base.SERVICE}/Execute")(request.SerializeToString())
        assert pb.ExecuteResponse.FromString(body).message.text == "hi"
    assert 59 < host.contexts[0].deadline - SystemClock().monotonic() <= 60


# -- the server -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_an_address_in_use_is_a_config_error(
    host: SmallHost, tmp_path: Path, kind: str
) -> None:
    address = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/agents.sock"
    async with serving(host, address) as (_, bound):
        second = Server(host, bound)
        with pytest.raises(ConfigError, match="in use"):
            await second.start()
        await second.stop()


async def test_a_socket_file_left_behind_is_taken_over(host: SmallHost, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/agents.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{tmp_path}/agents.sock")
    assert (tmp_path / "agents.sock").exists()
    async with linked(host, address) as link:
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


async def test_a_stopping_server_lets_running_calls_finish(host: SmallHost) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def hold(message: Message, context: CallContext) -> Message:
        started.set()
        await finish.wait()
        return message.reply("done")

    host.agents["hold"] = hold
    async with serving(host) as (server, bound):
        link = UnaryLink(bound, SystemClock())
        call = asyncio.create_task(link.call("hold", Message("hi"), a_context("hold")))
        await started.wait()
        stopping = asyncio.create_task(server.stop(grace=10))
        await asyncio.sleep(0)
        finish.set()
        assert (await call).text == "done"
        await stopping
        await server.stop()
        await link.aclose()


def test_an_invalid_message_says_which_part(host: SmallHost) -> None:
    error = InvalidMessage(expected="the name of an agent", path="target")
    assert str(error) == "target does not fit the name of an agent"
    assert not isinstance(error, AgentFailed)
