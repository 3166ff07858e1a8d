"""What a recorder writes of real calls: who called whom, what models and tools did, and nothing of what was said."""

import asyncio
from collections.abc import Iterator
from typing import TypeVar

import pytest

from aixgo import CallContext, Caller, LocalRuntime, agent, telemetry, tool
from aixgo.agents import ChatAgent
from aixgo.errors import AgentFailed, AgentRefused, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.orchestration import Parallel, Sequential
from aixgo.providers import ToolCall
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    MessageCompleted,
    RunCancelled,
    RunCompleted,
    RunStarted,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    encode_event,
)
from aixgo.sessions.fold import Node, fold
from aixgo.sessions.recorder import Recorder
from aixgo.testing import RecordingAgent, ScriptedProvider
from aixgo.testing.served import served

E = TypeVar("E", bound=Event)
RUN = "the-run"


class Recording:
    """A recorder and what it wrote."""

    def __init__(self, *, content: bool = False) -> None:
        self.events: list[Event] = []
        self.recorder = Recorder(self.events.append, RUN, content=content)
        telemetry.add_observer(self.recorder)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def tree(self) -> Node:
        return fold(self.events, RUN).root

    def said(self, text: str) -> bool:
        return any(text.encode() in encode_event(event) for event in self.events)


@pytest.fixture
def recording() -> Iterator[Recording]:
    made = Recording()
    yield made
    telemetry.remove_observer(made.recorder)


@pytest.fixture
def with_content() -> Iterator[Recording]:
    made = Recording(content=True)
    yield made
    telemetry.remove_observer(made.recorder)


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def asks(text: str, caller: Caller) -> str:
    return (await caller.call("upper", text)).text


@agent
async def fails(text: str) -> str:
    raise ValueError(f"secret {text}")


@agent
async def refuses(text: str) -> str:
    raise AgentRefused(f"secret {text}")


@tool
async def add(a: int, b: int) -> int:
    return a + b


def names(node: Node) -> tuple[object, ...]:
    return (node.name, *(names(child) for child in node.children))


async def test_calls_hang_below_whoever_made_them(recording: Recording) -> None:
    flow = Sequential("flow", [upper, Parallel("both", [asks, "upper"])])
    async with LocalRuntime(flow) as rt:
        await rt.call("flow", "hello")
    (call,) = recording.tree().children
    assert call.pattern == "sequential"
    assert names(call) == ("flow", ("upper",), ("both", ("asks", ("upper",)), ("upper",)))
    assert {node.status for node in call.walk()} == {"ok"}


async def test_a_call_in_another_process_is_one_node_and_calls_made_there_hang_below_it(
    recording: Recording,
) -> None:
    async with served(asks, upper) as rt:
        await rt.call("asks", "hello")
    (call,) = recording.tree().children
    assert names(call) == ("asks", ("upper",))
    assert call.process


async def test_models_are_recorded_with_what_they_used(recording: Recording) -> None:
    provider = ScriptedProvider(
        ["fine"], usage=Usage(tokens_prompt=7, tokens_completion=2, calls=1)
    )
    async with LocalRuntime(ChatAgent("chat", provider=provider)) as rt:
        await rt.call("chat", "how are you")
    (said,) = recording.of(MessageCompleted)
    assert (said.provider, said.usage.tokens_prompt, said.usage.calls) == ("scripted", 7, 1)
    (chat,) = recording.tree().children
    assert (chat.total.tokens_total, chat.own.tokens_total) == (9, 0)
    assert recording.recorder.spent.tokens_total == 9


async def test_a_model_that_fails_is_recorded_with_the_class_of_its_error(
    recording: Recording,
) -> None:
    provider = ScriptedProvider([ProviderUnavailable("secret", provider="scripted")])
    async with LocalRuntime(ChatAgent("chat", provider=provider)) as rt:
        with pytest.raises(ProviderUnavailable):
            await rt.call("chat", "x")
    (said,) = recording.of(MessageCompleted)
    assert said.error_type == "ProviderUnavailable"
    assert not recording.said("secret")


async def test_tools_are_recorded_from_start_to_result(recording: Recording) -> None:
    calls = [ToolCall("1", "add", '{"a": 1, "b": 2}'), ToolCall("2", "add", '{"a": "secret"}')]
    chat = ChatAgent("chat", tools=[add], provider=ScriptedProvider([calls, "3"]))
    async with LocalRuntime(chat) as rt:
        await rt.call("chat", "1 + 2?")
    assert [event.tool_id for event in recording.of(ToolCallStarted)] == ["1", "2"]
    assert [event.tool_id for event in recording.of(ToolCallCompleted)] == ["1"]
    assert [event.tool_id for event in recording.of(ToolCallFailed)] == ["2"]
    (node,) = recording.tree().children
    assert sorted((child.kind, child.status) for child in node.children) == [
        ("model", "ok"),
        ("model", "ok"),
        ("tool", "failed"),
        ("tool", "ok"),
    ]
    assert not recording.said("secret")


async def test_a_failure_is_its_class_and_the_id_its_traceback_is_logged_under(
    recording: Recording,
) -> None:
    async with LocalRuntime(fails) as rt:
        with pytest.raises(AgentFailed) as caught:
            await rt.call("fails", "x")
    (error,) = recording.of(ErrorRaised)
    assert (error.error_type, error.error_id) == ("AgentFailed", caught.value.error_id)
    assert error.error_message.startswith("agent 'fails' failed")
    assert not recording.said("secret")


@pytest.mark.parametrize("content", [False, True])
async def test_an_agents_own_words_are_recorded_only_as_content(content: bool) -> None:
    recording = Recording(content=content)
    try:
        async with LocalRuntime(refuses) as rt:
            with pytest.raises(AgentRefused):
                await rt.call("refuses", "x")
    finally:
        telemetry.remove_observer(recording.recorder)
    assert recording.said("secret x") is content


async def test_inputs_and_answers_are_recorded_only_as_content(
    recording: Recording, with_content: Recording
) -> None:
    chat = ChatAgent(
        "chat",
        tools=[add],
        provider=ScriptedProvider(
            [ToolCall("1", "add", '{"a": 7654321, "b": 2}'), "private answer"]
        ),
    )
    async with LocalRuntime(chat) as rt:
        await rt.call("chat", "private question")
    assert not recording.said("private")
    assert not recording.said("7654321")
    assert [event.content for event in with_content.of(RunStarted)] == ["private question"]
    assert [event.content for event in with_content.of(RunCompleted)] == ["private answer"]
    assert [event.tool_input for event in with_content.of(ToolCallStarted)] == [
        '{"a": 7654321, "b": 2}'
    ]
    assert [event.result for event in with_content.of(ToolCallCompleted)] == ["7654323"]


async def test_content_that_is_long_is_cut(with_content: Recording) -> None:
    async with LocalRuntime(upper) as rt:
        await rt.call("upper", "x" * 100_000)
    (started,) = with_content.of(RunStarted)
    assert started.content is not None
    assert len(started.content) == 64 * 1024 + 1
    assert started.content.endswith("…")


async def test_a_call_that_is_cancelled_says_so(recording: Recording) -> None:
    waits = RecordingAgent("waits", gated=True)
    async with LocalRuntime(waits) as rt:
        call = asyncio.create_task(rt.call("waits", "x"))
        await waits.started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    (cancelled,) = recording.of(RunCancelled)
    assert cancelled.reason == "interrupted"


async def test_a_stream_is_a_run_until_its_end_or_until_its_reader_leaves(
    recording: Recording,
) -> None:
    chat = ChatAgent("chat", provider=ScriptedProvider(["one two three"], cycle=True))
    async with LocalRuntime(chat) as rt:
        async with rt.stream("chat", "x") as chunks:
            async for _ in chunks:
                pass
        async with rt.stream("chat", "x") as chunks:
            await anext(aiter(chunks))
    assert [event.streaming for event in recording.of(RunStarted)] == [True, True]
    (whole,) = recording.of(RunCompleted)
    (left,) = recording.of(RunCancelled)
    assert left.reason == "its reader left"
    assert whole.run_id != left.run_id


async def test_messages_from_mailboxes_are_runs_of_their_own(recording: Recording) -> None:
    @agent
    async def spends(text: str) -> str:
        CallContext.current().charge(Usage(cost_nanos=5))
        return text

    async with LocalRuntime() as rt:
        await rt.register(spends, outputs=["exit"])
        await rt.send("spends", "x")
        await rt.recv("exit", timeout=5)
    (node,) = recording.tree().children
    assert (node.kind, node.name, node.total.cost_nanos) == ("message", "spends", 5)
    assert recording.recorder.spent.cost_nanos == 5


async def test_a_session_is_part_of_the_events_of_its_calls(recording: Recording) -> None:
    async with LocalRuntime(upper) as rt:
        await rt.call("upper", "x", session="s-1")
    (started,) = recording.of(RunStarted)
    assert started.session_id == "s-1"
