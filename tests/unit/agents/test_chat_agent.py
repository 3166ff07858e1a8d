"""ChatAgent."""

from __future__ import annotations

import pytest

from aixgo import Message
from aixgo.agents import ChatAgent
from aixgo.errors import ConfigError, OutputInvalid, RateLimited
from aixgo.ledger import Usage
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider, ScriptedStream, served


async def test_the_prompt_is_instructions_and_the_message_is_the_text() -> None:
    provider = ScriptedProvider(["hello"])
    agent = ChatAgent("chat", prompt="Be kind.", temperature=0, max_tokens=9, provider=provider)
    async with LocalRuntime(agent) as rt:
        reply = await rt.call("chat", "hi")
    request = provider.requests[0]
    assert reply.text == "hello"
    assert (request.instructions, request.text) == ("Be kind.", "hi")
    assert (request.temperature, request.max_tokens) == (0, 9)
    assert reply.metadata["provider"] == "scripted"
    assert "offline" not in reply.metadata


async def test_what_the_model_spent_is_on_the_reply() -> None:
    usage = Usage(cost_nanos=1_000_000, tokens_prompt=7, tokens_completion=3, calls=1)
    async with LocalRuntime(ChatAgent("chat", provider=ScriptedProvider(["x"], usage=usage))) as rt:
        reply = await rt.call("chat", "hi")
    assert reply.usage == usage
    assert (reply.metadata["cost_usd"], reply.metadata["tokens_total"]) == (0.001, 10)


async def test_it_streams_as_the_model_does() -> None:
    provider = ScriptedProvider([ScriptedStream(["a", "b", "c"])])
    async with (
        LocalRuntime(ChatAgent("chat", provider=provider)) as rt,
        rt.stream("chat", "hi") as chunks,
    ):
        assert [chunk.content async for chunk in chunks] == ["a", "b", "c"]
        assert chunks.final is not None
        assert chunks.final.text == "abc"
        assert chunks.final.usage.calls == 1


async def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_came() -> None:
    error = RateLimited(provider="scripted", retry_after=2.0)
    provider = ScriptedProvider([ScriptedStream(["a"], error)])
    async with (
        LocalRuntime(ChatAgent("chat", provider=provider)) as rt,
        rt.stream("chat", "hi") as chunks,
    ):
        assert (await anext(chunks)).content == "a"
        with pytest.raises(RateLimited) as raised:
            await anext(chunks)
    assert raised.value.retry_after == 2.0


async def test_an_answer_with_a_schema_is_a_value() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    provider = ScriptedProvider(["{}", {"n": 4}, {"n": 5}])
    async with LocalRuntime(ChatAgent("chat", provider=provider, output_schema=schema)) as rt:
        assert (await rt.call("chat", "hi")).payload == {"n": 4}
        async with rt.stream("chat", "hi") as chunks:
            assert [chunk.content async for chunk in chunks] == ['{"n":5}']
        assert chunks.final is not None
        assert chunks.final.payload == {"n": 5}


async def test_an_answer_that_never_fits_is_invalid() -> None:
    provider = ScriptedProvider(["nope"], cycle=True)
    async with LocalRuntime(
        ChatAgent("chat", provider=provider, output_schema={"type": "array"})
    ) as rt:
        with pytest.raises(OutputInvalid):
            await rt.call("chat", "hi")


async def test_offline_answers_are_marked() -> None:
    async with LocalRuntime(ChatAgent("chat", model="offline")) as rt:
        reply = await rt.call("chat", "The sun is a star. It is hot.")
    assert reply.metadata["offline"] is True
    assert reply.metadata["model"] == "offline"
    assert reply.metadata["cost_usd"] == 0


async def test_a_model_that_does_not_exist_fails_the_start() -> None:
    with pytest.raises(ConfigError, match="gpt-4"):
        async with LocalRuntime(ChatAgent("chat", model="gpt-4")):
            pass


async def test_it_answers_the_same_over_the_wire() -> None:
    text = "The sun is a star. It is hot. Tea is a drink."
    async with LocalRuntime(ChatAgent("chat", model="offline")) as rt:
        here = await rt.call("chat", text)
    async with served(ChatAgent("chat", model="offline")) as rt:
        there = await rt.call("chat", text)
    assert (here.payload, here.metadata, here.usage) == (there.payload, there.metadata, there.usage)


def test_it_is_built_from_configuration() -> None:
    entry = {
        "name": "a",
        "role": "chat",
        "model": "offline",
        "prompt": "p",
        "temperature": 0,
        "inputs": [],
    }
    agent = ChatAgent.from_config("a", entry)
    assert (agent.name, agent.model, agent.prompt) == ("a", "offline", "p")
    with pytest.raises(ConfigError, match="agent 'a': temperature"):
        ChatAgent.from_config("a", {"temperature": "hot"})


async def test_it_keeps_the_type_of_the_message() -> None:
    async with LocalRuntime(ChatAgent("chat", provider=ScriptedProvider(["x"]))) as rt:
        assert (await rt.call("chat", Message("hi", type="ask"))).type == "ask"
