"""The turn: model, tools, model again, until there is an answer; the same for a call and for a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from aixgo import Caller, LocalRuntime, Message, tool
from aixgo.agents import ChatAgent
from aixgo.errors import DeadlineExceeded, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.providers import Completion, CompletionRequest, Delta, ToolCall
from aixgo.testing import FakeClock, ScriptedProvider, ScriptedStream, served

ADD = ToolCall("1", "add", '{"a": 2, "b": 3}')


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def streamed(rt: LocalRuntime, text: str) -> tuple[list[tuple[str, str]], Message]:
    async with rt.stream("chat", text) as chunks:
        found = [(chunk.type, chunk.content) async for chunk in chunks]
        assert chunks.final is not None
        return found, chunks.final


async def test_a_model_is_offered_the_tools_and_told_their_results() -> None:
    provider = ScriptedProvider([ADD, "It is 5."])
    async with LocalRuntime(ChatAgent("chat", tools=[add], provider=provider)) as rt:
        reply = await rt.call("chat", "2 + 3?")
    first, second = provider.requests
    assert reply.text == "It is 5."
    assert [(spec.name, spec.description) for spec in first.tools] == [("add", "Adds two numbers.")]
    assert [turn.role for turn in second.messages] == ["user", "assistant", "tool"]
    assert second.messages[1].tool_calls == (ADD,)
    assert (second.messages[2].content, second.messages[2].tool_call_id) == ("5", "1")


async def test_a_reply_says_which_tools_ran_and_what_all_rounds_spent() -> None:
    provider = ScriptedProvider([ADD, [ADD, ADD], "done"])
    async with LocalRuntime(ChatAgent("chat", tools=[add], provider=provider)) as rt:
        reply = await rt.call("chat", "go")
    assert reply.metadata["rounds"] == 2
    assert reply.metadata["tool_calls"] == ["add", "add", "add"]
    assert reply.usage == Usage(tokens_prompt=30, tokens_completion=15, calls=3)


async def test_a_stream_gives_text_and_tool_calls_as_they_come() -> None:
    script = [
        ScriptedStream(["Let me", " see."], tool_calls=[ADD]),
        ScriptedStream(["It ", "is 5."]),
    ]
    agent = ChatAgent("chat", tools=[add], provider=ScriptedProvider(script, cycle=True))
    async with LocalRuntime(agent) as rt:
        chunks, final = await streamed(rt, "2 + 3?")
        assert chunks == [
            ("content", "Let me"),
            ("content", " see."),
            ("tool_call", ""),
            ("content", "It "),
            ("content", "is 5."),
        ]
        called = await rt.call("chat", "2 + 3?")
    assert (final.text, final.metadata, final.usage) == (
        called.text,
        called.metadata,
        called.usage,
    )


@pytest.mark.parametrize("transport", ["stream", "unary"])
@pytest.mark.parametrize("name", ["chat", "research.lead", "Backend Dev"])
async def test_tool_calls_cross_the_wire_as_objects(name: str, transport: str) -> None:
    agent = ChatAgent(name, tools=[add], provider=ScriptedProvider([ADD, "5"]))
    async with served(agent, transport=transport) as rt, rt.stream(name, "2 + 3?") as chunks:
        found = [chunk async for chunk in chunks]
        assert chunks.final is not None
        assert chunks.final.metadata["tool_calls"] == ["add"]
    calls, answer = found
    assert calls.tool_calls == [{"id": "1", "name": "add", "arguments": {"a": 2, "b": 3}}]
    assert (answer.content, answer.source) == ("5", name)


@pytest.mark.parametrize("transport", ["stream", "unary"])
async def test_a_caller_that_leaves_cancels_tools_behind_a_server(transport: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    agent = ChatAgent("chat", tools=[wait], provider=ScriptedProvider([ToolCall("1", "wait")]))
    async with served(agent, transport=transport) as rt:
        call = asyncio.create_task(rt.call("chat", "go"))
        await asyncio.wait_for(started.wait(), 5)
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_tools_of_one_round_run_at_once_and_answer_in_order() -> None:
    arrived = asyncio.Event()

    @tool
    async def first() -> str:
        await asyncio.wait_for(arrived.wait(), 5)
        return "one"

    @tool
    async def second() -> str:
        arrived.set()
        return "two"

    provider = ScriptedProvider([[ToolCall("a", "first"), ToolCall("b", "second")], "done"])
    async with LocalRuntime(ChatAgent("chat", tools=[first, second], provider=provider)) as rt:
        await rt.call("chat", "go")
    results = provider.requests[1].messages[-2:]
    assert [(turn.tool_call_id, turn.content) for turn in results] == [("a", "one"), ("b", "two")]


async def test_a_failing_tool_leaves_the_others_and_the_turn_alone() -> None:
    @tool
    async def broken() -> str:
        raise RuntimeError("out of paper")

    provider = ScriptedProvider([[ToolCall("a", "broken"), ADD, ToolCall("c", "none")], "done"])
    async with LocalRuntime(ChatAgent("chat", tools=[broken, add], provider=provider)) as rt:
        assert (await rt.call("chat", "go")).text == "done"
    results = [turn.content for turn in provider.requests[1].messages[-3:]]
    assert results[:2] == ["error: RuntimeError: out of paper", "5"]
    assert "there is no tool 'none'" in results[2]


async def test_a_model_that_never_stops_asking_has_to_answer_with_what_it_has() -> None:
    script = [ADD, ADD, ScriptedStream(["about 5"], tool_calls=[ADD])]
    provider = ScriptedProvider(script)
    agent = ChatAgent("chat", tools=[add], max_rounds=2, provider=provider)
    async with LocalRuntime(agent) as rt:
        reply = await rt.call("chat", "go")
    assert (reply.text, reply.metadata["stopped_by"]) == ("about 5", "max_rounds")
    assert [request.tool_choice for request in provider.requests] == ["auto", "auto", "none"]


async def test_an_error_in_the_middle_of_a_stream_repeats_no_text() -> None:
    script = [ADD, ScriptedStream(["It ", "is"], ProviderUnavailable(provider="scripted"))]
    agent = ChatAgent("chat", tools=[add], provider=ScriptedProvider(script))
    async with LocalRuntime(agent) as rt, rt.stream("chat", "go") as chunks:
        seen = [(await anext(chunks)).content for _ in range(3)]
        with pytest.raises(ProviderUnavailable):
            await anext(chunks)
    assert "".join(seen) == "It is"


async def test_leaving_a_call_cancels_the_tools_that_run() -> None:
    running: list[str] = []
    both, cancelled = asyncio.Event(), []

    async def wait(name: str) -> None:
        running.append(name)
        if len(running) == 2:
            both.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    calls = [ToolCall("1", "wait", '{"name": "a"}'), ToolCall("2", "wait", '{"name": "b"}')]
    agent = ChatAgent("chat", tools=[wait], provider=ScriptedProvider([calls]))
    async with LocalRuntime(agent) as rt:
        call = asyncio.create_task(rt.call("chat", "go"))
        await asyncio.wait_for(both.wait(), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert sorted(cancelled) == ["a", "b"]


async def test_the_deadline_of_a_call_ends_its_tools() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    agent = ChatAgent("chat", tools=[wait], provider=ScriptedProvider([ToolCall("1", "wait")]))
    clock = FakeClock()
    async with LocalRuntime(agent, clock=clock) as rt:
        call = asyncio.create_task(rt.call("chat", "go", timeout=3))
        await asyncio.wait_for(started.wait(), 5)
        await clock.advance(4)
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(call, 5)
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_tools_that_call_agents_at_once_share_the_call_they_serve() -> None:
    inner = ChatAgent("inner", provider=ScriptedProvider(["yes"], cycle=True))

    async def ask(question: str, caller: Caller) -> str:
        return (await caller.call("inner", question)).text

    calls = [ToolCall(str(n), "ask", '{"question": "really?"}') for n in range(3)]
    provider = ScriptedProvider([calls, "sure"])
    async with LocalRuntime(ChatAgent("chat", tools=[ask], provider=provider), inner) as rt:
        reply = await rt.call("chat", "go")
    assert [turn.content for turn in provider.requests[1].messages[-3:]] == ["yes"] * 3
    assert reply.usage.calls == 5


async def test_a_stream_that_is_left_closes_the_model() -> None:
    closed = asyncio.Event()

    class Endless(ScriptedProvider):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
            try:
                while True:
                    yield Delta("la ")
                    await asyncio.sleep(0)
            finally:
                closed.set()

    async with LocalRuntime(ChatAgent("chat", provider=Endless([]))) as rt:
        async with rt.stream("chat", "sing") as chunks:
            assert (await anext(chunks)).content == "la "
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_model_that_ends_without_an_answer_is_an_error() -> None:
    class Silent(ScriptedProvider):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
            for piece in self.pieces:
                yield piece

        pieces: Sequence[Delta] = ()

    async with (
        LocalRuntime(ChatAgent("chat", provider=Silent([]))) as rt,
        rt.stream("chat", "hi") as chunks,
    ):
        with pytest.raises(ProviderUnavailable) as raised:
            await anext(chunks)
    assert raised.value.code == "no_answer"


async def test_thinking_is_streamed_and_goes_back_with_the_results() -> None:
    thought = {"type": "thinking", "signature": "s"}

    class Thinker(ScriptedProvider):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
            yield Delta(thinking="hm")
            async for piece in super().stream(request):
                if isinstance(piece, Completion):
                    yield Completion(
                        text=piece.text,
                        model="m",
                        provider="p",
                        usage=piece.usage,
                        tool_calls=piece.tool_calls,
                        thinking=(thought,),
                    )

    provider = Thinker([ADD, "5"])
    async with LocalRuntime(ChatAgent("chat", tools=[add], provider=provider)) as rt:
        chunks, _ = await streamed(rt, "go")
    assert [kind for kind, _ in chunks] == ["thinking", "tool_call", "thinking"]
    assert provider.requests[1].messages[1].thinking == (thought,)
