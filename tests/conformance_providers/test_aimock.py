"""Each adapter against a server none of us wrote, which knows all three APIs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from aixgo.errors import RateLimited
from aixgo.providers import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Image,
    Provider,
    ToolSpec,
)
from tests.conformance_providers.aimock import running_aimock, skip_without_aimock
from tests.conformance_providers.dialects import Dialect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

WEATHER = ToolSpec(
    name="weather",
    description="Today's weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aimock() -> AsyncIterator[str]:
    skip_without_aimock()
    async with running_aimock() as url:
        yield url


def ask(dialect: Dialect, text: str) -> CompletionRequest:
    return CompletionRequest(model=dialect.model, messages=(ChatMessage("user", text),))


async def both(
    provider: Provider, request: CompletionRequest
) -> tuple[Completion, list[Delta], Completion]:
    """The answer as a whole, the pieces of another, and the whole of those."""
    whole = await provider.complete(request)
    pieces = [piece async for piece in provider.stream(request)]
    last = pieces.pop()
    assert isinstance(last, Completion)
    return whole, [piece for piece in pieces if isinstance(piece, Delta)], last


async def test_a_streamed_answer_is_the_whole_answer_in_pieces(
    dialect: Dialect, aimock: str
) -> None:
    request = ask(dialect, "the capital of France?")
    whole, pieces, last = await both(dialect.provider(aimock), request)
    assert whole.text.startswith("Paris — said")
    assert whole.text.endswith("🗼")
    assert len(pieces) > 2
    assert "".join(piece.content for piece in pieces) == whole.text == last.text
    assert (last.stop_reason, last.model) == (whole.stop_reason, whole.model)
    assert whole.stop_reason == "end"
    assert whole.provider == dialect.name


async def test_the_usage_is_the_vendors_whichever_way_it_is_asked(
    dialect: Dialect, aimock: str
) -> None:
    request = ask(dialect, "the capital of France?")
    whole, _, last = await both(dialect.provider(aimock), request)
    assert whole.usage == last.usage
    assert (whole.usage.tokens_prompt, whole.usage.tokens_completion) == (11, 7)
    assert whole.usage.calls == 1


async def test_a_tool_call_arrives_whole(dialect: Dialect, aimock: str) -> None:
    request = replace(ask(dialect, "the weather here?"), tools=(WEATHER,))
    whole, pieces, last = await both(dialect.provider(aimock), request)
    (call,) = whole.tool_calls
    assert (call.name, call.parsed()) == ("weather", {"city": "Rome", "days": 3})
    assert whole.stop_reason == last.stop_reason == "tool_calls"
    (streamed,) = [piece.tool_call for piece in pieces if piece.tool_call]
    assert (streamed.name, streamed.parsed()) == (call.name, call.parsed())
    assert last.tool_calls == (streamed,)


async def test_parallel_tool_calls_keep_their_order_and_their_ids_apart(
    dialect: Dialect, aimock: str
) -> None:
    request = replace(ask(dialect, "the weather in two cities?"), tools=(WEATHER,))
    whole, pieces, last = await both(dialect.provider(aimock), request)
    for calls in (whole.tool_calls, last.tool_calls, [p.tool_call for p in pieces if p.tool_call]):
        assert [call.parsed()["city"] for call in calls] == ["Rome", "Oslo"]
        assert len({call.id for call in calls}) == 2


async def test_results_of_tools_go_back_with_the_turn_that_asked(
    dialect: Dialect, aimock: str
) -> None:
    provider = dialect.provider(aimock)
    request = replace(ask(dialect, "the weather in two cities?"), tools=(WEATHER,))
    asked = await provider.complete(request)
    results = [
        ChatMessage("tool", f"{20 - 10 * place} °C", tool_call_id=call.id)
        for place, call in enumerate(asked.tool_calls)
    ]
    request = replace(request, messages=(*request.messages, asked.as_message(), *results))
    whole, _, last = await both(provider, request)
    assert whole.text == last.text == "Rome is warmer."


async def test_thinking_is_told_apart_from_the_answer(dialect: Dialect, aimock: str) -> None:
    request = ask(dialect, "think about it")
    if dialect.name != "anthropic":  # the server knows which models of OpenAI think
        request = replace(request, model="o3")
    whole, pieces, last = await both(dialect.provider(aimock), request)
    assert whole.text == last.text == "Forty-two."
    assert "".join(piece.thinking for piece in pieces) == "Six by nine, perhaps."
    assert whole.thinking
    assert last.thinking


async def test_an_answer_cut_at_its_limit_says_so(dialect: Dialect, aimock: str) -> None:
    request = replace(ask(dialect, "go on for ever"), max_tokens=2)
    whole, _, last = await both(dialect.provider(aimock), request)
    assert whole.stop_reason == last.stop_reason == "max_tokens"


async def test_a_picture_is_taken(dialect: Dialect, aimock: str) -> None:
    turn = ChatMessage("user", "what is in the picture?", images=(Image(b"\x89PNG"),))
    request = CompletionRequest(model=dialect.model, messages=(turn,))
    whole, _, last = await both(dialect.provider(aimock), request)
    assert whole.text == last.text == "A cat."


async def test_an_answer_to_a_schema_is_json(dialect: Dialect, aimock: str) -> None:
    request = replace(ask(dialect, "a city as JSON"), output_schema=WEATHER.parameters)
    whole, _, last = await both(dialect.provider(aimock), request)
    assert json.loads(whole.text) == json.loads(last.text) == {"city": "Rome"}


async def test_a_rate_limit_says_when_to_come_back(dialect: Dialect, aimock: str) -> None:
    with pytest.raises(RateLimited) as caught:
        await dialect.provider(aimock).complete(ask(dialect, "too often"))
    assert caught.value.retry_after == 9
