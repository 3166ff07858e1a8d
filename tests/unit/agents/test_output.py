"""Answers of a wanted shape: types, JSON Schemas, and what a model is told about a wrong one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from aixgo import LocalRuntime, Message, tool
from aixgo.agents import ChatAgent, read_output
from aixgo.errors import ConfigError, OutputInvalid
from aixgo.providers import ToolCall
from aixgo.testing import ScriptedProvider


@dataclass
class Item:
    name: str
    price: float = 0.0


class Order(BaseModel):
    items: list[Item]
    due: date
    coupon: str | None = None

    @field_validator("coupon")
    @classmethod
    def known(cls, value: str | None) -> str | None:
        if value not in (None, "TEN"):
            raise ValueError("there is no such coupon")
        return value

    @model_validator(mode="after")
    def something_is_ordered(self) -> Order:
        if not self.items:
            raise ValueError("an order has items")
        return self


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Node(BaseModel):
    name: str
    children: list[Node] = []


GOOD = {"items": [{"name": "tea", "price": 2.5}], "due": "2026-05-01", "coupon": None}


async def asked(
    output: object, *answers: object, **options: int
) -> tuple[Message, ScriptedProvider]:
    provider = ScriptedProvider(answers)  # type: ignore[arg-type]
    agent = ChatAgent("chat", output=output, provider=provider, **options)  # type: ignore[arg-type]
    async with LocalRuntime(agent) as rt:
        return await rt.call("chat", "go"), provider


async def test_a_model_is_asked_for_the_schema_of_the_type_and_gives_the_type() -> None:
    reply, provider = await asked(Order, GOOD)
    schema = provider.requests[0].output_schema
    assert schema is not None
    assert schema["required"] == ["items", "due"]
    assert reply.payload == GOOD
    assert read_output(reply, Order) == Order(items=[Item("tea", 2.5)], due=date(2026, 5, 1))


async def test_a_dataclass_gets_its_defaults() -> None:
    reply, _ = await asked(Item, {"name": "tea"})
    assert reply.payload == {"name": "tea", "price": 0.0}
    assert read_output(reply, Item) == Item("tea")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("no JSON at all", "JSON is malformed"),
        ({"items": []}, "due: Field required"),
        ({**GOOD, "items": []}, "an order has items"),
        ({**GOOD, "coupon": "TWENTY"}, "coupon: Value error, there is no such coupon"),
        ({**GOOD, "items": [{"price": 1}]}, "items.0.name: Field required"),
        ('{"items": NaN}', "JSON is malformed"),
        ("[" * 5_000, "not usable"),
    ],
)
async def test_a_model_is_told_what_was_wrong_and_asked_again(wrong: object, told: str) -> None:
    reply, provider = await asked(Order, wrong, GOOD)
    assert reply.payload == GOOD
    assert told in provider.requests[1].messages[-1].content


async def test_after_the_last_try_the_error_says_what_failed_last() -> None:
    provider = ScriptedProvider([{}, {**GOOD, "items": []}])
    agent = ChatAgent("chat", output=Order, tries=2, provider=provider)
    with pytest.raises(OutputInvalid, match="an order has items"):
        await agent.execute(Message("go"))
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("impossible", "why"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 4}, "must be at most 4"),
        ({"type": "object", "required": ["a"], "maxProperties": 0}, "at most 0"),
        (Annotated[int, Field(gt=9, lt=3)], "less than 3"),
    ],
)
async def test_a_shape_nothing_fits_is_an_error_that_names_what_failed_last(
    impossible: object, why: str
) -> None:
    provider = ScriptedProvider(['{"value": 12}', '{"value": 11}', '{"value": 10}'])
    if isinstance(impossible, dict) and impossible["type"] == "object":
        provider = ScriptedProvider([{"a": 1}], cycle=True)
    agent = ChatAgent("chat", output=impossible, provider=provider)
    with pytest.raises(OutputInvalid, match=why):
        await agent.execute(Message("go"))
    assert len(provider.requests) == 3


async def test_a_chat_ends_with_what_failed_last() -> None:
    agent = ChatAgent("chat", output=Item, tries=1, provider=ScriptedProvider([{"nam": "tea"}]))
    chunks = [chunk async for chunk in agent.chat([{"role": "user", "content": "go"}])]
    assert (chunks[-1].type, chunks[-1].status) == ("error", "failed")
    assert "name: Field required" in chunks[-1].content


class Basket(BaseModel):
    owner: Item | str
    pets: list[Cat | Dog]
    sizes: dict[str, Literal["s", "m"]]
    gift: Item | None


BASKET = {
    "owner": {"name": "Ada", "price": 0.0},
    "pets": [{"kind": "dog", "tricks": []}, {"kind": "cat", "lives": 9}],
    "sizes": {"hat": "m"},
    "gift": None,
}


async def test_unions_lists_and_maps_may_stand_inside_each_other() -> None:
    reply, _ = await asked(Basket, BASKET)
    assert reply.payload == BASKET
    basket = read_output(reply, Basket)
    assert (type(basket.owner), [type(pet) for pet in basket.pets]) == (Item, [Dog, Cat])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({**BASKET, "owner": 7}, "owner."),
        ({**BASKET, "pets": [{"kind": "fox"}]}, "pets.0."),
        ({**BASKET, "sizes": {"hat": "xl"}}, "sizes.hat: Input should be 's' or 'm'"),
        ({**BASKET, "gift": {}}, "gift.name: Field required"),
    ],
)
async def test_a_fault_deep_inside_is_told_with_its_place(wrong: object, told: str) -> None:
    _, provider = await asked(Basket, wrong, BASKET)
    assert told in provider.requests[1].messages[-1].content


@dataclass
class Parcel:
    items: list[Item]
    to: Item | None = None


async def test_a_dataclass_may_hold_dataclasses() -> None:
    wrong = {"items": [{"name": "tea", "price": "much"}]}
    reply, provider = await asked(Parcel, wrong, {"items": [{"name": "tea"}]})
    assert "items.0.price: " in provider.requests[1].messages[-1].content
    assert read_output(reply, Parcel) == Parcel([Item("tea")])


async def test_a_field_validator_may_mend_what_a_model_writes() -> None:
    class Word(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def lower(cls, value: str) -> str:
            return value.strip().lower()

    reply, _ = await asked(Word, {"text": " TEA "})
    assert reply.payload == {"text": "tea"}


async def test_a_union_is_asked_for_inside_an_object_and_taken_out() -> None:
    pet = Annotated[Cat | Dog, Field(discriminator="kind")]
    reply, provider = await asked(pet, {"value": {"kind": "dog", "tricks": ["sit"]}})
    schema = provider.requests[0].output_schema
    assert schema is not None
    assert (schema["type"], schema["required"]) == ("object", ["value"])
    assert reply.payload == {"kind": "dog", "tricks": ["sit"]}
    assert read_output(reply, pet) == Dog(kind="dog", tricks=["sit"])


async def test_a_list_may_come_bare_or_inside_an_object() -> None:
    items = [{"name": "tea", "price": 1.0}]
    assert (await asked(list[Item], {"value": items}))[0].payload == items
    assert (await asked(list[Item], '[{"name": "tea", "price": 1.0}]'))[0].payload == items


async def test_a_recursive_type_has_an_object_at_the_root() -> None:
    tree = {"name": "a", "children": [{"name": "b", "children": []}]}
    reply, provider = await asked(Node, tree)
    schema = provider.requests[0].output_schema
    assert schema is not None
    assert schema["type"] == "object"
    assert reply.payload == tree


async def test_a_fence_around_the_json_is_taken_off() -> None:
    reply, _ = await asked(Item, '```json\n{"name": "tea"}\n```')
    assert reply.payload == {"name": "tea", "price": 0.0}


async def test_a_json_schema_is_checked_in_depth() -> None:
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2}},
        "required": ["tags"],
    }
    reply, provider = await asked(schema, {"tags": ["a", "c"]}, {"tags": ["a"]})
    assert reply.payload == {"tags": ["a"]}
    assert 'tags[1] must be one of "a", "b"' in provider.requests[1].messages[-1].content


async def test_tools_run_before_an_answer_of_a_shape() -> None:
    @tool
    async def price_of(name: str) -> float:
        return 2.5

    provider = ScriptedProvider(
        [
            ToolCall("1", "price_of", '{"name": "tea"}'),
            {"nam": "tea"},
            {"name": "tea", "price": 2.5},
        ]
    )
    agent = ChatAgent("chat", output=Item, tools=[price_of], provider=provider)
    async with LocalRuntime(agent) as rt, rt.stream("chat", "tea?") as chunks:
        kinds = [(chunk.type, chunk.content) async for chunk in chunks]
        assert chunks.final is not None
        assert chunks.final.payload == {"name": "tea", "price": 2.5}
    assert kinds == [("tool_call", ""), ("content", '{"name":"tea","price":2.5}')]
    roles = [turn.role for turn in provider.requests[2].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_an_output_that_cannot_be_described_is_refused_when_the_agent_is_made() -> None:
    class Plain: ...

    with pytest.raises(ConfigError, match="cannot be described"):
        ChatAgent("chat", output=Plain)
    with pytest.raises(ConfigError, match="none of"):
        ChatAgent("chat", output={"type": "thing"})
    with pytest.raises(ConfigError, match="not both"):
        ChatAgent("chat", output=Item, output_schema={"type": "object"})


def test_a_reply_that_is_not_of_the_type_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="name: Field required"):
        read_output(Message({}), Item)
