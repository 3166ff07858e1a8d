"""What users get wrong about a model, as they meet it: through an agent, in a chat and over a runtime."""

from __future__ import annotations

import re

import pytest

from aixgo import DistributedRuntime, LocalRuntime, StreamChunk
from aixgo.agents import ChatAgent, create_simple_agent
from aixgo.errors import AixgoError, ConfigError, ProviderUnavailable, RequestRejected
from tests.conformance_providers.dialects import KEY, Chat
from tests.conformance_providers.wire import WireServer, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = Chat()
WRONG = [
    (401, "invalid_api_key", f"Incorrect key: {KEY}", "authentication", "does not accept the key"),
    (429, "insufficient_quota", "pay first", "quota", "top up the account"),
    (404, "model_not_found", "no gpt-99", "model_not_found", "has no such model"),
    (
        400,
        "context_length_exceeded",
        "at most 8 tokens",
        "context_length",
        "too long for the model",
    ),
]


def agent_at(url: str) -> ChatAgent:
    return create_simple_agent("clerk", "openai:gpt-99", api_key=KEY, base_url=url)


async def last_chunk(agent: ChatAgent) -> StreamChunk:
    return [chunk async for chunk in agent.chat([{"role": "user", "content": "hi"}])][-1]


async def error_of_a_call(agent: ChatAgent) -> AixgoError:
    async with LocalRuntime(agent) as rt:
        with pytest.raises(AixgoError) as caught:
            await rt.call("clerk", "hi")
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "said", "code", "told"), WRONG, ids=[row[3] for row in WRONG]
)
async def test_what_the_vendor_refuses_says_what_to_change_and_is_not_worth_a_retry(
    wire: WireServer, status: int, kind: str, said: str, code: str, told: str
) -> None:
    wire.answers = [as_json(CHAT.error(kind, said), status)]
    chunk = await last_chunk(agent_at(f"{wire.url}/v1"))
    assert told in chunk.content
    assert "'gpt-99'" in chunk.content
    called = await error_of_a_call(agent_at(f"{wire.url}/v1"))
    for error in (chunk.error, called):
        assert isinstance(error, RequestRejected)
        assert (error.code, error.provider, error.retryable) == (code, "openai", False)
        assert KEY not in f"{error} {error!r} {chunk.to_dict()}"
    assert len(wire.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (401, "invalid_api_key", "does not accept the key, .*; check the key in OPENAI_API_KEY"),
        (402, "billing", "credit is used up .*; top up the account"),
        (404, "model_not_found", "has no such model, .*'gpt-99'.*; check the model's name"),
        (400, "context_length_exceeded", "too long for the model .*; shorten the input"),
        (400, "content_filter", "refuses the content .*; change the input"),
        (400, "strange", "not valid .*; its own words are in the log"),
        (429, "rate_limit", "asks to slow down .*; try again after 2 s"),
        (529, "overloaded", "overloaded or failed on its side .*; try again after 2 s"),
    ],
)
async def test_what_to_change_is_told_the_same_on_every_runtime_and_never_with_a_secret(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, status: int, kind: str, advice: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{wire.url}/v1")
    said = CHAT.error(kind, f"words of a vendor, {KEY}")
    wire.answers = [as_json(said, status, retry_after="2")]
    agent = create_simple_agent("clerk", "openai:gpt-99")
    told = [str(await error_of_a_call(agent))]
    async with DistributedRuntime(agent, address="127.0.0.1:0") as host:
        for transport in ("unary", "stream"):
            runtime = DistributedRuntime(peers={"clerk": host.address}, transport=transport)
            async with runtime as rt:
                with pytest.raises(AixgoError) as caught:
                    await rt.call("clerk", "hi")
                told.append(str(caught.value))
    assert len(set(told)) == 1
    assert re.search(advice, told[0])
    assert "words of a vendor" not in told[0]
    assert KEY not in told[0]


async def test_a_key_that_was_given_is_not_looked_for_in_the_environment(wire: WireServer) -> None:
    wire.answers = [as_json(CHAT.error("invalid_api_key", "no"), 401)]
    error = await error_of_a_call(agent_at(f"{wire.url}/v1"))
    assert str(error).endswith("; check the api_key it is given")


async def test_an_address_that_points_nowhere_is_named_as_such() -> None:
    async with WireServer() as gone:
        url = gone.url
    chunk = await last_chunk(agent_at(url))
    assert isinstance(chunk.error, ProviderUnavailable)
    assert (chunk.error.code, chunk.error.retryable) == ("connection", True)
    assert "cannot be reached" in chunk.content


@pytest.mark.parametrize("url", ["llm.example.com", "ftp://llm.example.com", "http://", "//x"])
async def test_an_address_that_is_none_is_refused_before_any_network(url: str) -> None:
    chunk = await last_chunk(agent_at(url))
    assert isinstance(chunk.error, ConfigError)
    assert "the address of 'openai' has to be an http(s) URL" in chunk.content


async def test_an_address_cannot_be_given_twice(wire: WireServer) -> None:
    agent = create_simple_agent("a", f"openai:m@{wire.url}", api_key=KEY, base_url=wire.url)
    assert "has an address already" in (await last_chunk(agent)).content
