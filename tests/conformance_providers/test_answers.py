"""What is sent and what is read, byte for byte where that matters; no vendor's server is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from aixgo.errors import RequestRejected
from aixgo.providers import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Image,
    Provider,
    ToolCall,
    ToolSpec,
    Vendor,
)
from aixgo.providers.openai import OpenAIProvider
from tests.conformance_providers.dialects import KEY, ROWS, Chat, Dialect
from tests.conformance_providers.wire import WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "x-options": {"Rome": {"keywords": ["it"]}}}},
    "required": ["city"],
}
LOOK = ToolSpec(name="look", description="Looks", parameters=CITY)


def ask(dialect: Dialect, **given: Any) -> CompletionRequest:
    given = {"messages": (ChatMessage("user", "hi"),), **given}
    return CompletionRequest(model=dialect.model, **given)


async def sent(dialect: Dialect, wire: WireServer, request: CompletionRequest) -> dict[str, Any]:
    """What the vendor gets for `request`."""
    wire.answers = [as_json(dialect.whole("yes"))]
    await dialect.provider(wire.url).complete(request)
    return wire.asked[-1].body


async def streamed(
    provider: Provider, request: CompletionRequest
) -> tuple[list[Delta], Completion]:
    pieces = [piece async for piece in provider.stream(request)]
    last = pieces.pop()
    assert isinstance(last, Completion)
    return [piece for piece in pieces if isinstance(piece, Delta)], last


async def test_cached_and_reasoning_tokens_are_parts_of_the_whole(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [
        as_json(dialect.whole("yes")),
        as_events(*dialect.pieces("yes"), *dialect.end()),
    ]
    provider = dialect.provider(wire.url)
    whole = await provider.complete(ask(dialect))
    _, last = await streamed(provider, ask(dialect))
    assert whole.usage == last.usage
    usage = whole.usage
    assert (usage.tokens_prompt, usage.tokens_completion, usage.calls) == (12, 5, 1)
    assert (usage.tokens_cached, usage.tokens_reasoning) == (4, 2)
    assert usage.tokens_cache_write == (3 if dialect.name == "anthropic" else 0)
    assert usage.cost_nanos == 0


async def test_letters_split_between_two_packets_arrive_whole(
    dialect: Dialect, wire: WireServer
) -> None:
    stream = b"".join([*dialect.pieces("Grüße 🗼", " — 漢字"), *dialect.end()])
    wire.answers = [as_events(*(stream[i : i + 3] for i in range(0, len(stream), 3)))]
    pieces, last = await streamed(dialect.provider(wire.url), ask(dialect))
    assert [piece.content for piece in pieces] == ["Grüße 🗼", " — 漢字"]
    assert last.text == "Grüße 🗼 — 漢字"


async def test_thinking_comes_before_the_answer_and_is_kept_for_the_next_turn(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_events(*dialect.thought())]
    pieces, last = await streamed(dialect.provider(wire.url), ask(dialect))
    assert [(piece.thinking, piece.content) for piece in pieces] == [("hm", ""), ("", "yes")]
    assert last.text == "yes"
    assert "hm" in json.dumps(last.as_message().thinking)


async def test_a_temperature_of_zero_is_sent_and_none_is_not(
    dialect: Dialect, wire: WireServer
) -> None:
    assert (await sent(dialect, wire, ask(dialect, temperature=0.0)))["temperature"] == 0
    assert "temperature" not in await sent(dialect, wire, ask(dialect))


async def test_fields_of_the_vendors_own_are_sent_as_they_are(
    dialect: Dialect, wire: WireServer
) -> None:
    body = await sent(dialect, wire, ask(dialect, extra={"service_tier": "flex"}))
    assert body["service_tier"] == "flex"
    assert body["model"] == dialect.model


async def test_the_key_is_sent_as_the_vendor_wants_it(dialect: Dialect, wire: WireServer) -> None:
    await sent(dialect, wire, ask(dialect))
    headers = wire.asked[0].headers
    assert KEY in (headers.get("x-api-key"), headers.get("authorization", "")[7:])


async def test_a_schema_is_sent_natively_without_our_own_keys(
    dialect: Dialect, wire: WireServer
) -> None:
    body = await sent(dialect, wire, ask(dialect, output_schema=CITY))
    text = json.dumps(body)
    assert "json_schema" in text
    assert '"additionalProperties": false' in text
    assert "x-options" not in text


async def test_a_schema_that_is_no_object_is_asked_for(dialect: Dialect, wire: WireServer) -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    assert '"integer' in json.dumps(await sent(dialect, wire, ask(dialect, output_schema=schema)))


async def test_a_schema_with_an_optional_part_keeps_its_meaning(
    dialect: Dialect, wire: WireServer
) -> None:
    schema = {**CITY, "required": []}
    body = await sent(dialect, wire, ask(dialect, output_schema=schema))
    assert '"strict": true' not in json.dumps(body)


@pytest.mark.parametrize("choice", ["auto", "none", "required", "look"])
async def test_a_tool_choice_is_sent_in_the_vendors_words(
    dialect: Dialect, wire: WireServer, choice: str
) -> None:
    body = await sent(dialect, wire, ask(dialect, tools=(LOOK,), tool_choice=choice))
    word = {"required": "any"}.get(choice, choice) if dialect.name == "anthropic" else choice
    assert f'"{word}"' in json.dumps(body["tool_choice"])
    assert "look" in json.dumps(body["tools"])


async def test_no_tools_means_no_word_of_tools(dialect: Dialect, wire: WireServer) -> None:
    body = await sent(dialect, wire, ask(dialect, tool_choice="required"))
    assert not {"tools", "tool_choice"} & set(body)


async def test_instructions_pictures_and_addresses_of_pictures_are_sent(
    dialect: Dialect, wire: WireServer
) -> None:
    images = (Image(b"\x00\x01", "image/gif"), Image(url="https://example.com/a.png"))
    turn = ChatMessage("user", "look", images=images)
    body = json.dumps(await sent(dialect, wire, ask(dialect, instructions="Be", messages=(turn,))))
    for part in ("Be", "look", "AAE=", "image/gif", "https://example.com/a.png"):
        assert part in body


async def test_one_round_of_tool_results_is_one_turn_for_anthropic_and_the_request_is_left_alone(
    dialect: Dialect, wire: WireServer
) -> None:
    calls = (ToolCall("a", "look", '{"city": "Rome"}'), ToolCall("b", "look"))
    history = (
        ChatMessage("user", "hi"),
        ChatMessage("assistant", "", tool_calls=calls),
        ChatMessage("tool", "warm", tool_call_id="a"),
        ChatMessage("tool", "cold", tool_call_id="b"),
    )
    request = ask(dialect, messages=history, tools=(LOOK,))
    body = await sent(dialect, wire, request)
    assert request == ask(dialect, messages=history, tools=(LOOK,))
    turns = body.get("messages") or body["input"]
    assert len(turns) == {"anthropic": 3, "openai": 4, "openai_responses": 5}[dialect.name]
    assert json.dumps(turns).index("warm") < json.dumps(turns).index("cold")


async def test_a_reasoning_model_of_openai_is_told_no_temperature(wire: WireServer) -> None:
    dialect = Chat()
    for model, told in (("o3", False), ("gpt-5.4", False), ("gpt-4o", True)):
        body = await sent(dialect, wire, replace(ask(dialect, temperature=0.0), model=model))
        assert ("temperature" in body) is told
        assert "max_tokens" not in body


async def test_a_server_that_counts_no_tokens_has_them_estimated(wire: WireServer) -> None:
    dialect = Chat()
    answer = {**dialect.whole("yes, surely"), "usage": None}
    wire.answers = [as_json(answer)]
    found = await dialect.provider(wire.url).complete(ask(dialect))
    assert (found.usage.tokens_prompt, found.usage.tokens_completion) == (1, 3)


async def test_pieces_of_tool_calls_are_joined_also_where_all_have_one_index(
    wire: WireServer,
) -> None:
    dialect = Chat()

    def piece(place: int, given: str, arguments: str) -> bytes:
        call = {"index": place, "id": given or None, "function": {"arguments": arguments}}
        if given:
            call["function"] = {"name": "look", "arguments": arguments}
        return dialect.chunk({"tool_calls": [call]})

    parts = [
        piece(0, "a", ""),
        piece(0, "", '{"city": '),
        piece(0, "", '"Rome"}'),
        piece(0, "b", '{"city": "Oslo"}'),
        piece(1, "c", "{}"),
    ]
    wire.answers = [as_events(*parts, *dialect.end())]
    _, last = await streamed(dialect.provider(wire.url), ask(dialect))
    assert last.tool_calls == (
        ToolCall("a", "look", '{"city": "Rome"}'),
        ToolCall("b", "look", '{"city": "Oslo"}'),
        ToolCall("c", "look", "{}"),
    )
    assert last.stop_reason == "tool_calls"


async def test_a_refusal_of_the_model_is_an_answer_that_was_filtered(wire: WireServer) -> None:
    dialect = Chat()
    answer = dialect.whole("")
    answer["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "No."}
    wire.answers = [as_json(answer)]
    found = await dialect.provider(wire.url).complete(ask(dialect))
    assert (found.text, found.stop_reason) == ("No.", "filtered")


async def test_pictures_in_a_tools_result_are_refused_where_they_cannot_go(
    wire: WireServer,
) -> None:
    dialect = Chat()
    turn = ChatMessage("tool", "see", tool_call_id="a", images=(Image(b"x"),))
    with pytest.raises(RequestRejected, match="no pictures in a tool's result"):
        await dialect.provider(wire.url).complete(ask(dialect, messages=(turn,)))
    assert wire.asked == []


@pytest.mark.parametrize("vendor", ROWS, ids=lambda row: row.name)
async def test_every_compatible_vendor_answers_and_is_asked_in_its_own_way(
    vendor: Vendor, wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "not-theirs")
    dialect = Chat()
    answer = dialect.whole('{"city": "Rome"}')
    answer["usage"] = {**dialect.usage, "total_tokens": 20, "cost": 0.25}
    wire.answers = [as_json(answer)]
    provider = OpenAIProvider(vendor, base_url=wire.url, api_key=KEY)
    request = ask(dialect, output_schema=CITY, temperature=0.0, max_tokens=9)
    found = await provider.complete(request)
    body = wire.asked[0].body
    assert found.provider == vendor.name
    assert found.usage.tokens_completion == 8, "what the total says and the parts leave out"
    assert (found.usage.cost_nanos == 250_000_000) is vendor.names_cost
    assert (body["max_tokens"], body["temperature"]) == (9, 0)
    assert body["response_format"]["type"] == vendor.schemas
    assert ("JSON Schema" in json.dumps(body["messages"])) is (vendor.schemas == "json_object")
    assert "openai-organization" not in wire.asked[0].headers


@pytest.mark.parametrize("vendor", ROWS, ids=lambda row: row.name)
async def test_thinking_goes_back_to_the_vendors_that_want_it(
    vendor: Vendor, wire: WireServer
) -> None:
    dialect = Chat()
    wire.answers = [as_events(*dialect.thought())]
    provider = OpenAIProvider(vendor, base_url=wire.url, api_key=KEY)
    _, last = await streamed(provider, ask(dialect))
    wire.answers = [as_json(dialect.whole("ok"))]
    await provider.complete(ask(dialect, messages=(ChatMessage("user", "hi"), last.as_message())))
    assert ("reasoning_content" in wire.asked[1].body["messages"][1]) is vendor.thinking_returns
