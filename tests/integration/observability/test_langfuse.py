"""What arrives at Langfuse, as a stand-in for its documented endpoints decodes it from the bytes received."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aixgo import (
    Agent,
    CallContext,
    DistributedRuntime,
    LocalRuntime,
    Message,
    StreamChunk,
    Usage,
    agent,
    tool,
)
from aixgo.agents import ChatAgent
from aixgo.observability import LangfuseSettings, record_quality_score, setup
from aixgo.orchestration import Sequential
from aixgo.providers import ToolCall
from aixgo.testing import ScriptedProvider
from tests.integration.observability.processes import TracedProcess
from tests.langfuse_server import PUBLIC_KEY, SECRET_KEY, LangfuseServer
from tests.otlp import Received, Receiver


@pytest.fixture
def server() -> Iterator[LangfuseServer]:
    with LangfuseServer() as made:
        yield made


def ours(server: LangfuseServer, **more: Any) -> LangfuseSettings:
    return LangfuseSettings(host=server.http, public_key=PUBLIC_KEY, secret_key=SECRET_KEY, **more)


@tool
async def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a small secret"


def chat(name: str = "chat") -> Agent:
    usage = Usage(
        tokens_prompt=100,
        tokens_cached=40,
        tokens_completion=30,
        tokens_reasoning=10,
        calls=1,
        cost_nanos=2_500_000,
    )
    provider = ScriptedProvider(
        [ToolCall("c1", "look_up", '{"word": "owl"}'), "an owl sees at night"], usage=usage
    )
    made = ChatAgent(name, provider=provider, prompt="Be brief.", tools=[look_up], temperature=0.5)
    made.version = "7"  # type: ignore[attr-defined]
    return made


@agent
async def judged(text: str) -> str:
    record_quality_score("relevance", 0.75, "about owls")
    return text


async def run(*agents: Agent, target: str = "chat", **options: Any) -> None:
    async with setup(**options), LocalRuntime(*agents, principal="ann") as rt:
        await rt.call(target, "what sees at night?", session="s-1")


def attribute(span: Received, name: str) -> Any:
    return span.attributes[f"langfuse.observation.{name}"]


async def test_a_generation_has_its_model_usage_and_cost(server: LangfuseServer) -> None:
    await run(chat(), langfuse=ours(server))

    first, second = server.of_type("generation")
    assert attribute(first, "model.name") == "scripted"
    assert json.loads(attribute(first, "model.parameters")) == {"temperature": 0.5}
    assert json.loads(attribute(first, "cost_details")) == {"total": 0.0025}
    assert json.loads(attribute(second, "usage_details")) == {
        "input": 60,
        "input_cached_tokens": 40,
        "output": 20,
        "output_reasoning_tokens": 10,
        "total": 130,
    }


async def test_every_observation_has_its_type_and_stands_below_the_one_that_caused_it(
    server: LangfuseServer,
) -> None:
    await run(chat(), Sequential("line", ["chat"]), target="line", langfuse=ours(server))

    by_id = {span.span_id: span for span in server.spans}

    def path(span: Received) -> list[str]:
        above = path(by_id[span.parent_id]) if span.parent_id else []
        return [*above, str(attribute(span, "type"))]

    chain = ["span", "agent", "chain", "span", "agent"]
    assert sorted(path(span) for span in server.spans) == sorted(
        [chain[:n] for n in range(1, 6)]
        + [[*chain, "generation"], [*chain, "generation"], [*chain, "tool"]]
    )


async def test_session_user_tags_environment_and_release_are_on_every_observation(
    server: LangfuseServer,
) -> None:
    more = {"environment": "staging", "release": "r9", "tags": ["night", "birds"]}
    await run(chat(), langfuse=ours(server, **more))

    assert len(server.spans) == 5
    for span in server.spans:
        found = span.attributes
        assert (found["session.id"], found["user.id"]) == ("s-1", "ann")
        assert (found["langfuse.environment"], found["langfuse.release"]) == ("staging", "r9")
        assert found["langfuse.trace.tags"] == ["night", "birds"]


async def test_an_agents_version_is_on_it_and_on_what_it_does_itself(
    server: LangfuseServer,
) -> None:
    await run(chat(), langfuse=ours(server))

    found = {str(attribute(s, "type")): s.attributes.get("langfuse.version") for s in server.spans}
    assert found == {"span": None, "agent": "7", "generation": "7", "tool": "7"}


async def test_input_and_output_arrive_as_a_chat_when_content_is_captured(
    server: LangfuseServer,
) -> None:
    await run(chat(), langfuse=ours(server), capture_content=True)

    (at_work,) = server.of_type("agent")
    assert attribute(at_work, "input") == "what sees at night?"
    assert attribute(at_work, "output") == "an owl sees at night"
    (used,) = server.of_type("tool")
    assert json.loads(attribute(used, "input")) == {"word": "owl"}
    assert attribute(used, "output") == "owl: a small secret"
    last = server.of_type("generation")[-1]
    told = json.loads(attribute(last, "input"))
    assert [turn["role"] for turn in told] == ["system", "user", "assistant", "tool"]
    assert told[0]["content"] == "Be brief."
    assert told[2]["tool_calls"][0]["function"]["name"] == "look_up"
    assert told[3]["tool_call_id"] == "c1"
    answered = {"role": "assistant", "content": "an owl sees at night"}
    assert json.loads(attribute(last, "output")) == answered
    assert not [s for s in server.spans if any("messages" in name for name in s.attributes)]


async def test_nothing_anybody_said_arrives_unless_content_is_captured(
    server: LangfuseServer,
) -> None:
    await run(chat(), langfuse=ours(server))

    posted = b"".join(server.posted)
    for said in (b"what sees", b"an owl", b"small secret", b"Be brief"):
        assert said not in posted
    assert not [s for s in server.spans if "langfuse.observation.input" in s.attributes]


async def test_a_failure_has_its_level_and_reason(server: LangfuseServer) -> None:
    @agent
    async def broken(text: str) -> str:
        raise ValueError("a secret detail")

    with pytest.raises(Exception, match="broken"):
        await run(broken, target="broken", langfuse=ours(server))

    assert {attribute(s, "level") for s in server.spans} == {"ERROR"}
    assert all("broken" in attribute(s, "status_message") for s in server.spans)
    assert b"secret detail" not in b"".join(server.posted)


async def test_traces_are_sent_as_langfuse_documents_it(server: LangfuseServer) -> None:
    await run(judged, target="judged", langfuse=ours(server))

    sent = dict(zip(server.paths, server.headers, strict=True))
    assert set(sent) == {"/api/public/otel/v1/traces", "/api/public/scores"}
    traces = sent["/api/public/otel/v1/traces"]
    assert traces["authorization"] == f"Basic {server.credential}"
    assert traces["x-langfuse-ingestion-version"] == "4"
    assert sent["/api/public/scores"]["authorization"] == f"Basic {server.credential}"


async def test_a_score_is_on_the_span_and_at_langfuse_with_trace_and_observation(
    server: LangfuseServer,
) -> None:
    await run(judged, target="judged", langfuse=ours(server, environment="staging"))

    (span,) = server.of_type("agent")
    assert span.attributes["quality.relevance"] == 0.75
    score = server.score()
    assert score["traceId"] == span.trace_id
    assert score["observationId"] == span.span_id
    assert (score["name"], score["value"], score["dataType"]) == ("relevance", 0.75, "NUMERIC")
    assert (score["comment"], score["environment"]) == ("about owls", "staging")


async def test_a_score_said_twice_is_one_score_whose_last_value_holds(
    server: LangfuseServer,
) -> None:
    @agent
    async def wavers(text: str) -> str:
        record_quality_score("style", 0.25)
        record_quality_score("style", 1)
        return text

    await run(wavers, target="wavers", langfuse=ours(server))

    (span,) = server.of_type("agent")
    assert span.attributes["quality.style"] == 1.0
    first, last = server.scores
    assert (first["id"], first["timestamp"]) == (last["id"], last["timestamp"])
    assert last["value"] == 1.0


async def test_a_synchronous_agent_and_a_tool_score_the_span_they_run_in(
    server: LangfuseServer,
) -> None:
    @agent
    def plain(text: str) -> str:
        record_quality_score("a", 1)
        return text

    @tool
    def look_up(word: str) -> str:
        """Look a word up."""
        record_quality_score("b", 2)
        return word

    provider = ScriptedProvider([ToolCall("c1", "look_up", '{"word": "owl"}'), "done"])
    asks = ChatAgent("asks", provider=provider, tools=[look_up])
    async with setup(langfuse=ours(server)), LocalRuntime(plain, asks) as rt:
        await rt.call("plain", "x")
        await rt.call("asks", "x")

    (used,) = server.of_type("tool")
    assert used.attributes["quality.b"] == 2.0
    observations = {score["name"]: score["observationId"] for score in server.scores}
    assert observations["b"] == used.span_id
    (at_work,) = [s for s in server.of_type("agent") if "quality.a" in s.attributes]
    assert observations["a"] == at_work.span_id


async def test_a_score_in_a_step_of_a_stream_is_about_that_call(server: LangfuseServer) -> None:
    class Speaks:
        name, role = "speaks", "speaks"

        async def execute(self, message: Message) -> Message:
            return message

        async def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
            yield StreamChunk(content="a")
            record_quality_score("flow", 0.5)
            yield StreamChunk(content="b")

    async with (
        setup(langfuse=ours(server)),
        LocalRuntime(Speaks()) as rt,
        rt.stream("speaks", "x") as chunks,
    ):
        assert [chunk.content async for chunk in chunks if chunk.content] == ["a", "b"]

    (span,) = server.of_type("agent")
    assert span.attributes["quality.flow"] == 0.5
    assert server.score()["observationId"] == span.span_id


@pytest.mark.parametrize("transport", ["stream", "unary"])
async def test_what_another_process_sends_is_part_of_its_callers_trace(
    server: LangfuseServer, transport: str
) -> None:
    keys = {"host": server.http, "public_key": PUBLIC_KEY, "secret_key": SECRET_KEY}
    process = TracedProcess(
        "p", ["judged"], peers={}, transport=transport, observability={"langfuse": keys}
    )
    try:
        peers = {"judged": process.address}
        async with (
            setup(langfuse=ours(server)),
            DistributedRuntime(peers=peers, transport=transport, principal="ann") as rt,  # type: ignore[arg-type]
        ):
            await rt.call("judged", "x", session="s-1")
    finally:
        await asyncio.to_thread(process.end)

    assert len(server.spans) == 2, [(s.name, s.kind, s.attributes) for s in server.spans]
    (caller,), (at_work,) = server.of_type("span"), server.of_type("agent")
    assert (at_work.trace_id, at_work.parent_id) == (caller.trace_id, caller.span_id)
    assert at_work.attributes["langfuse.version"] == "7"
    assert (at_work.attributes["session.id"], at_work.attributes["user.id"]) == ("s-1", "ann")
    score = server.score()
    assert (score["traceId"], score["observationId"]) == (caller.trace_id, at_work.span_id)


async def test_a_score_of_a_trace_that_is_not_sampled_is_not_sent(server: LangfuseServer) -> None:
    await run(judged, target="judged", langfuse=ours(server), sampling=0.0)

    assert server.posted == []


async def test_a_score_outside_any_call_goes_nowhere(server: LangfuseServer) -> None:
    with setup(langfuse=ours(server)):
        record_quality_score("relevance", 1)

    assert server.posted == []


async def test_a_server_that_fails_for_a_moment_gets_the_score_again(
    server: LangfuseServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.failures += [503]
    on = setup(langfuse=ours(server))
    async with LocalRuntime(judged) as rt:
        await rt.call("judged", "x")
    assert on.flush()
    assert len(server.scores) == 1
    on.close()
    assert caplog.records == []


async def test_scores_that_langfuse_refuses_are_one_warning_that_says_why(
    server: LangfuseServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused = 1
    await run(judged, target="judged", langfuse=ours(server))

    (warned,) = caplog.records
    assert "no such trace" in warned.getMessage()
    assert len(server.scores) == 1, "what was refused is not sent again"


async def test_another_receiver_gets_the_same_spans_without_langfuses_names(
    server: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-other-vendor=canary-of-theirs")
    with Receiver() as collector:
        on = {"exporter": "otlp", "endpoint": collector.http, "capture_content": True}
        await run(chat(), langfuse=ours(server), **on)
        assert {s.span_id for s in collector.spans} == {s.span_id for s in server.spans}
        assert not [s for s in collector.spans if "langfuse" in repr(s.attributes)]
        assert collector.headers[0]["x-other-vendor"] == "canary-of-theirs"
        assert server.credential not in repr(collector.headers)
    assert "canary-of-theirs" not in repr(server.headers)


async def test_the_context_of_a_call_is_what_langfuse_shows_as_session_and_user(
    server: LangfuseServer,
) -> None:
    seen: list[tuple[str, str]] = []

    @agent
    async def who(message: Message) -> Message:
        context = CallContext.current()
        seen.append((context.session, context.principal))
        return message

    await run(who, target="who", langfuse=ours(server))

    (span,) = server.of_type("agent")
    assert seen == [(span.attributes["session.id"], span.attributes["user.id"])]
