"""The offline provider: what it reads off a text, and that it reads nothing else."""

from __future__ import annotations

import json

import pytest

from aixgo.errors import RequestRejected
from aixgo.message import JSONValue
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Delta
from aixgo.providers.offline import OfflineProvider

STAR = (
    "# The Sun\n\nThe Sun is the star at the centre of the Solar System. It is a nearly perfect ball of hot plasma. "
    "Hello! The Sun radiates energy mainly as light. Some people like tea. "
    "The mass of the Sun is about 333 times the mass of another star.\n\n```\ncode is no prose\n```\n"
)


async def ask(
    text: str,
    schema: dict[str, JSONValue] | None = None,
    *,
    instructions: str = "",
    max_tokens: int | None = None,
) -> Completion:
    request = CompletionRequest(
        model="offline",
        messages=[ChatMessage("user", text)],
        instructions=instructions,
        output_schema=schema,
        max_tokens=max_tokens,
    )
    return await OfflineProvider().complete(request)


async def fill(text: str, schema: dict[str, JSONValue]) -> JSONValue:
    value: JSONValue = json.loads((await ask(text, schema)).text)
    return value


async def test_a_summary_is_made_of_the_texts_own_sentences_in_order() -> None:
    answer = (await ask(STAR)).text
    assert "Sun" in answer
    assert "Hello" not in answer
    assert "code" not in answer
    assert "# The Sun" not in answer
    places = [STAR.index(part) for part in answer.replace(". ", ".|").split("|")]
    assert places == sorted(places)
    assert len(answer) < len(STAR) / 2


async def test_another_text_gets_another_answer_and_the_same_one_the_same() -> None:
    assert (await ask(STAR)).text == (await ask(STAR)).text
    assert (await ask(STAR)).text != (await ask(STAR.replace("Sun", "Moon"))).text


async def test_instructions_do_not_change_the_answer() -> None:
    told = await ask(STAR, instructions="Answer only with the word tea.")
    assert told.text == (await ask(STAR)).text
    assert told.usage.tokens_prompt > (await ask(STAR)).usage.tokens_prompt


async def test_max_tokens_bounds_the_answer() -> None:
    provider = OfflineProvider()
    for most in (1, 5, 20, 60):
        answer = await ask(STAR, max_tokens=most)
        assert 0 < provider.count_tokens(answer.text) <= most
    assert (await ask(STAR, max_tokens=5)).stop_reason == "max_tokens"


async def test_usage_counts_words_and_costs_nothing() -> None:
    usage = (await ask("One two three.")).usage
    assert (usage.tokens_prompt, usage.tokens_completion, usage.calls, usage.cost_nanos) == (
        4,
        4,
        1,
        0,
    )


async def test_the_pieces_of_a_stream_are_the_answer() -> None:
    request = CompletionRequest(model="offline", messages=[ChatMessage("user", STAR)])
    items = [item async for item in OfflineProvider().stream(request)]
    whole = items.pop()
    assert isinstance(whole, Completion)
    assert len(items) > 5
    assert "".join(item.content for item in items if isinstance(item, Delta)) == whole.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My invoice is wrong", "billing"),
        ("the app has CRASHED", "technical"),
        ("it does not work at all", "technical"),
    ],
)
async def test_an_enum_takes_the_option_whose_words_fit(text: str, expected: str) -> None:
    schema: dict[str, JSONValue] = {
        "enum": ["billing", "technical"],
        "x-options": {
            "billing": {"description": "payments and invoices"},
            "technical": {"keywords": ["crash", "not work"], "examples": ["It does not work"]},
        },
    }
    assert await fill(text, schema) == expected


async def test_a_shape_may_say_what_it_is_without_a_model() -> None:
    nothing: JSONValue = {"type": "array", "items": {"type": "string"}, "x-offline": []}
    schema: dict[str, JSONValue] = {
        "type": "object",
        "properties": {"needs": nothing, "what": {"type": "string"}},
    }
    assert await fill("Mix the dough.", schema) == {"needs": [], "what": "Mix the dough."}


async def test_fields_beside_an_enum_tell_about_the_choice() -> None:
    share: JSONValue = {"type": "number", "minimum": 0, "maximum": 1}
    label: JSONValue = {"enum": ["fruit", "metal"], "x-options": {"fruit": {"keywords": ["apple"]}}}
    schema: dict[str, JSONValue] = {
        "type": "object",
        "properties": {"kind": label, "confidence": share, "why": {"type": "string"}},
    }
    clear = await fill("It rains. An apple is a fruit.", schema)
    mixed = await fill("An apple made of metal.", schema)
    vague = await fill("Nothing of the kind.", schema)
    assert isinstance(clear, dict)
    assert isinstance(mixed, dict)
    assert isinstance(vague, dict)
    assert (clear["kind"], clear["why"]) == ("fruit", "An apple is a fruit.")
    assert 1 > clear["confidence"] > mixed["confidence"] >= vague["confidence"] == 0.5  # type: ignore[operator]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "format": "email"}, "ann@example.org"),
        ({"type": "string", "format": "date"}, "2024-05-06"),
        ({"type": "string", "format": "uri"}, "https://example.org/a"),
        ({"type": "string", "maxLength": 10}, "Write to …"),
        ({"type": "integer", "description": "items"}, 12),
        ({"type": "number", "description": "price", "maximum": 5}, 5),
        ({"type": "boolean", "description": "urgent"}, True),
        ({"type": "boolean", "description": "important"}, False),
        ({"type": "boolean", "description": "purple"}, False),
        ({"type": ["null", "integer"], "description": "items"}, 12),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}], "description": "x"}, False),
        ({"const": "fixed"}, "fixed"),
        ({"type": "array", "items": {"type": "number"}, "maxItems": 1}, [2024.0]),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, []),
        ({"type": "array", "items": {"enum": ["urgent", "purple"]}}, ["urgent"]),
        ({"type": "null"}, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, 1),
    ],
)
async def test_each_type_is_read_off_the_text(
    schema: dict[str, JSONValue], expected: JSONValue
) -> None:
    text = (
        "Write to ann@example.org by 2024-05-06 about https://example.org/a now. It is urgent but not important. "
        "There are 12 items. The price is 7.5 each."
    )
    assert await fill(text, schema) == expected


async def test_a_list_of_objects_has_one_per_sentence() -> None:
    items: JSONValue = {"type": "object", "properties": {"count": {"type": "integer"}}}
    schema: dict[str, JSONValue] = {"type": "array", "items": items}
    assert await fill("We saw 3 birds there. They saw 40 cats too.", schema) == [
        {"count": 3},
        {"count": 40},
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/gone"},
        {"enum": []},
        {"type": "object", "properties": {"again": {"$ref": "#"}}},
    ],
)
async def test_a_schema_that_cannot_be_filled_is_rejected(schema: dict[str, JSONValue]) -> None:
    with pytest.raises(RequestRejected):
        await ask("text", schema)


@pytest.mark.parametrize("text", ["", " ", "?", "🙂", "word", "a" * 300_000, "x. " * 30_000])
async def test_any_text_has_an_answer(text: str) -> None:
    assert isinstance((await ask(text)).text, str)
    assert await fill(text, {"type": "object", "properties": {"a": {"type": "string"}}}) is not None


async def test_of_json_the_texts_in_it_are_read_and_nothing_that_was_asked() -> None:
    told = {
        "question": "What is it that a budget refuses before it is spent?",
        "documents": [
            {"id": "budgets.md#1", "content": "A budget refuses a call before it is spent."},
            {"id": "budgets.md#2", "content": "Whoever has none may spend what others lend them."},
        ],
        "instructions": "Answer the question from the documents, and from nothing else.",
    }
    answer = (await ask(json.dumps(told))).text
    assert answer in [document["content"] for document in told["documents"]]
    assert (await ask('{"n": 1, "text": "short"}')).text == '{"n": 1, "text": "short"}'
    assert (
        await ask("[not json, but a text of some length]")
    ).text == "[not json, but a text of some length]"
