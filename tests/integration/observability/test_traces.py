"""One trace over processes: the tree as a receiver outside decodes it, on both transports and both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract

from aixgo import AgentRefused, DistributedRuntime
from aixgo.errors import AgentFailed, DeadlineExceeded, RequestRejected
from aixgo.observability import setup
from tests.integration.observability.processes import TracedProcess
from tests.otlp import Receiver, tree


class Fleet:
    """Three processes, and we call from a fourth: `leaf` and `pieces` are in c, patterns in a, the others in b."""

    def __init__(self, transport: str, protocol: str) -> None:
        self.receiver = Receiver()
        self.receiver.__enter__()
        endpoint = self.receiver.grpc if protocol == "grpc" else self.receiver.http
        self.observability = {"exporter": "otlp", "protocol": protocol, "endpoint": endpoint}
        self.transport = transport
        self.processes: list[TracedProcess] = []
        self.c = self._start("c", ["leaf", "pieces"], {})
        peers = {"leaf": self.c.address, "pieces": self.c.address}
        self.b = self._start("b", ["relay", "chat", "sender", "moody"], peers)
        peers |= dict.fromkeys(("relay", "chat", "sender", "moody"), self.b.address)
        patterns = ["both", "line", "asks", "mixed"]
        self.a = self._start("a", patterns, peers)
        self.peers = peers | dict.fromkeys(patterns, self.a.address)

    def _start(self, service: str, agents: list[str], peers: dict[str, str]) -> TracedProcess:
        made = TracedProcess(
            service,
            agents,
            peers=peers,
            transport=self.transport,
            observability=self.observability,
        )
        self.processes.append(made)
        return made

    def runtime(self) -> DistributedRuntime:
        return DistributedRuntime(peers=self.peers, transport=self.transport)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.end()
        self.receiver.__exit__()


@pytest.fixture(scope="module", params=["stream-http/protobuf", "unary-grpc"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    transport, _, protocol = request.param.partition("-")
    made = Fleet(transport, protocol)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def here(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """The fleet, with this process traced as `test` and nothing received yet."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    fleet.receiver.spans.clear()
    with setup(service_name="test", **fleet.observability):  # type: ignore[arg-type]
        yield fleet


async def test_a_nested_workflow_is_one_tree_over_four_processes(here: Fleet) -> None:
    async with here.runtime() as runtime:
        reply = await runtime.call("line", "hi", session="s1")
    assert reply.text == "it said DEEP"

    spans = await asyncio.to_thread(here.receiver.wait, 14)
    assert tree(spans) == [
        "invoke_agent line client @test",
        "  invoke_agent line server @a",
        "    orchestration.sequential line internal @a",
        "      invoke_agent relay client @a",
        "        invoke_agent relay server @b",
        "          invoke_agent leaf client @b",
        "            invoke_agent leaf server @c",
        "      invoke_agent chat client @a",
        "        invoke_agent chat server @b",
        "          chat scripted client @b",
        "          execute_tool ask_leaf internal @b",
        "            invoke_agent leaf client @b",
        "              invoke_agent leaf server @c",
        "          chat scripted client @b",
    ]


async def seen(fleet: Fleet, count: int, *attributes: str) -> list[str]:
    """The tree of what arrives, once there are `count` spans."""
    return tree(await asyncio.to_thread(fleet.receiver.wait, count), *attributes)


async def test_a_refusal_fails_every_span_on_its_way_up(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(AgentRefused):
            await runtime.call("relay", "refuse")

    assert await seen(here, 4) == [
        "invoke_agent relay client @test !AgentRefused",
        "  invoke_agent relay server @b !AgentRefused",
        "    invoke_agent leaf client @b !AgentRefused",
        "      invoke_agent leaf server @c !AgentRefused",
    ]


async def test_what_a_foreign_exception_says_stays_out_of_the_spans(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(AgentFailed) as failed:
            await runtime.call("leaf", "fail")

    spans = await asyncio.to_thread(here.receiver.wait, 2)
    assert tree(spans) == [
        "invoke_agent leaf client @test !AgentFailed",
        "  invoke_agent leaf server @c !AgentFailed",
    ]
    assert {span.attributes["aixgo.error.id"] for span in spans} == {failed.value.error_id}
    assert "secret" not in repr(spans)


async def test_a_deadline_that_passes_is_seen_at_both_ends(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(DeadlineExceeded):
            await runtime.call("leaf", "hang", timeout=0.5)
        here.c.said()

        assert await seen(here, 2) == [
            "invoke_agent leaf client @test !DeadlineExceeded",
            "  invoke_agent leaf server @c !DeadlineExceeded",
        ]


async def test_a_call_that_is_cancelled_ends_the_spans_below_it(here: Fleet) -> None:
    async with here.runtime() as runtime:
        call = asyncio.create_task(runtime.call("relay", "hang"))
        await asyncio.to_thread(here.c.said)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await seen(here, 4) == [
            "invoke_agent relay client @test !cancelled",
            "  invoke_agent relay server @b !cancelled",
            "    invoke_agent leaf client @b !cancelled",
            "      invoke_agent leaf server @c !cancelled",
        ]


async def test_a_stream_that_is_read_to_its_end_counts_its_chunks_at_both_ends(here: Fleet) -> None:
    async with here.runtime() as runtime, runtime.stream("pieces", "a b c") as chunks:
        assert [chunk.content async for chunk in chunks] == ["a", "b", "c"]

    assert await seen(here, 2, "aixgo.stream.chunks", "aixgo.stream.left") == [
        "invoke_agent pieces client @test chunks=3",
        "  invoke_agent pieces server @c chunks=3",
    ]


async def test_a_stream_that_is_left_is_no_error_at_either_end(here: Fleet) -> None:
    async with here.runtime() as runtime:
        async with runtime.stream("pieces", "a hang b") as chunks:
            async for _ in chunks:
                break

        assert await seen(here, 2, "aixgo.stream.left") == [
            "invoke_agent pieces client @test left=True",
            "  invoke_agent pieces server @c left=True",
        ]


async def test_a_stream_that_breaks_in_the_middle_fails_both_ends(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(AgentFailed):
            async with runtime.stream("pieces", "a fail") as chunks:
                _ = [chunk async for chunk in chunks]

    assert await seen(here, 2, "aixgo.stream.chunks") == [
        "invoke_agent pieces client @test !AgentFailed chunks=1",
        "  invoke_agent pieces server @c !AgentFailed chunks=1",
    ]


async def test_a_pattern_that_streams_has_the_same_tree_as_one_that_does_not(here: Fleet) -> None:
    async with here.runtime() as runtime, runtime.stream("both", "hi") as chunks:
        _ = [chunk async for chunk in chunks]

    spans = await asyncio.to_thread(here.receiver.wait, 9)
    lines = tree(spans)
    assert lines[:3] == [
        "invoke_agent both client @test",
        "  invoke_agent both server @a",
        "    orchestration.parallel both internal @a",
    ]
    assert sorted(lines[3:]) == [
        "            invoke_agent leaf server @c",
        "          invoke_agent leaf client @b",
        "        invoke_agent leaf server @c",
        "        invoke_agent relay server @b",
        "      invoke_agent leaf client @a",
        "      invoke_agent relay client @a",
    ]
    run = next(span for span in spans if span.kind == "internal")
    assert run.attributes["aixgo.orchestration.succeeded"] == 2
    assert run.attributes["aixgo.orchestration.failed"] == 0
    assert run.attributes["aixgo.orchestration.wait_seconds"] >= 0  # type: ignore[operator]


async def test_baggage_and_tracestate_arrive_two_hops_away(here: Fleet) -> None:
    headers = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor@shop=1,other=t61rcWkgMzE",
        "baggage": "shop=blue,order=seven%20eight",
    }
    token = attach(extract(headers))
    try:
        async with here.runtime() as runtime:
            reply = await runtime.call("relay", "carried")
    finally:
        detach(token)
    assert reply.text == (
        "[('order', 'seven eight'), ('shop', 'blue')] vendor@shop=1,other=t61rcWkgMzE"
    )
    spans = await asyncio.to_thread(here.receiver.wait, 4)
    assert {span.trace_id for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert {span.state for span in spans} == {headers["tracestate"]}


async def test_a_sent_message_is_worked_on_below_its_sender(here: Fleet) -> None:
    async with here.runtime() as runtime:
        await runtime.call("sender", "later")

    assert await seen(here, 3) == [
        "invoke_agent sender client @test",
        "  invoke_agent sender server @b",
        "    invoke_agent leaf consumer @c",
    ]


async def test_a_model_that_fails_fails_the_pattern_above_it_once_at_every_end(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(RequestRejected):
            await runtime.call("asks", "fail")

    assert await seen(here, 6) == [
        "invoke_agent asks client @test !RequestRejected",
        "  invoke_agent asks server @a !RequestRejected",
        "    orchestration.sequential asks internal @a !RequestRejected",
        "      invoke_agent moody client @a !RequestRejected",
        "        invoke_agent moody server @b !RequestRejected",
        "          chat moody client @b !RequestRejected",
    ]


async def test_a_tool_that_breaks_is_an_error_of_its_own_span_only(here: Fleet) -> None:
    async with here.runtime() as runtime:
        assert (await runtime.call("moody", "tool")).text == "well"

    spans = await asyncio.to_thread(here.receiver.wait, 5)
    assert tree(spans, "gen_ai.usage.input_tokens", "gen_ai.tool.call.id") == [
        "invoke_agent moody client @test",
        "  invoke_agent moody server @b",
        "    chat moody client @b input_tokens=4",
        "    execute_tool breaks internal @b !tool_error id=call-1",
        "    chat moody client @b input_tokens=4",
    ]
    assert "secret" not in repr(spans)


async def test_a_call_that_is_cancelled_while_a_model_is_asked_ends_the_models_span_too(
    here: Fleet,
) -> None:
    async with here.runtime() as runtime:
        call = asyncio.create_task(runtime.call("asks", "hang"))
        await asyncio.to_thread(here.b.said)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await seen(here, 6) == [
            "invoke_agent asks client @test !cancelled",
            "  invoke_agent asks server @a !cancelled",
            "    orchestration.sequential asks internal @a !cancelled",
            "      invoke_agent moody client @a !cancelled",
            "        invoke_agent moody server @b !cancelled",
            "          chat moody client @b !cancelled",
        ]


async def test_a_deadline_that_passes_while_a_model_is_asked_is_its_error_at_every_end(
    here: Fleet,
) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(DeadlineExceeded):
            await runtime.call("asks", "hang", timeout=0.5)
        here.b.said()

        lines = await seen(here, 6)
        assert [line.rpartition(" ")[2] for line in lines] == ["!DeadlineExceeded"] * 6


async def test_a_stream_through_a_pattern_with_model_and_tool_is_one_tree(here: Fleet) -> None:
    async with here.runtime() as runtime, runtime.stream("asks", "tool") as chunks:
        assert "well" in "".join([c.content for c in [c async for c in chunks] if c.content])

    assert await seen(here, 8, "gen_ai.request.stream", "gen_ai.usage.output_tokens") == [
        "invoke_agent asks client @test",
        "  invoke_agent asks server @a",
        "    orchestration.sequential asks internal @a",
        "      invoke_agent moody client @a",
        "        invoke_agent moody server @b",
        "          chat moody client @b stream=True output_tokens=2",
        "          execute_tool breaks internal @b !tool_error",
        "          chat moody client @b stream=True output_tokens=2",
    ]


async def test_a_stream_that_is_left_while_a_model_writes_is_no_error_at_any_end(
    here: Fleet,
) -> None:
    async with here.runtime() as runtime:
        async with runtime.stream("asks", "hang") as chunks:
            async for chunk in chunks:
                if chunk.content:
                    break
            await asyncio.to_thread(here.b.said)  # the model is at work when its reader leaves

        assert await seen(here, 6, "aixgo.stream.left") == [
            "invoke_agent asks client @test left=True",
            "  invoke_agent asks server @a left=True",
            "    orchestration.sequential asks internal @a left=True",
            "      invoke_agent moody client @a left=True",
            "        invoke_agent moody server @b left=True",
            "          chat moody client @b left=True",
        ]


async def test_a_stream_whose_model_fails_fails_every_end(here: Fleet) -> None:
    async with here.runtime() as runtime:
        with pytest.raises(RequestRejected):
            async with runtime.stream("asks", "fail") as chunks:
                _ = [chunk async for chunk in chunks]

    lines = await seen(here, 6)
    assert [line.rpartition(" ")[2] for line in lines] == ["!RequestRejected"] * 6


async def test_a_pattern_that_bears_a_failure_counts_it_and_is_no_error_itself(
    here: Fleet,
) -> None:
    async with here.runtime() as runtime:
        await runtime.call("mixed", "refuse")

    spans = await asyncio.to_thread(here.receiver.wait, 7)
    lines = tree(spans)
    assert lines[:3] == [
        "invoke_agent mixed client @test",
        "  invoke_agent mixed server @a",
        "    orchestration.parallel mixed internal @a",
    ]
    assert sorted(lines[3:]) == [
        "        invoke_agent leaf server @c !AgentRefused",
        "        invoke_agent pieces server @c",
        "      invoke_agent leaf client @a !AgentRefused",
        "      invoke_agent pieces client @a",
    ]
    run = next(span for span in spans if span.kind == "internal")
    assert run.attributes["aixgo.orchestration.succeeded"] == 1
    assert run.attributes["aixgo.orchestration.failed"] == 1


async def test_the_session_of_a_call_is_on_every_span_below_it(here: Fleet) -> None:
    async with here.runtime() as runtime:
        await runtime.call("asks", "x", session="s1")

    spans = await asyncio.to_thread(here.receiver.wait, 6)
    assert {span.attributes["gen_ai.conversation.id"] for span in spans} == {"s1"}
