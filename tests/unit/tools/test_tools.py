"""`@tool`: what a model is told about a function, and what becomes of the arguments it writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from aixgo import CallContext, Caller, LocalRuntime, agent, tool
from aixgo.errors import ConfigError
from aixgo.tools import ArgumentsInvalid, FunctionTool, Tool, as_tool


@dataclass
class Place:
    city: str
    country: str = "Norway"


class Filter(BaseModel):
    field: str
    above: float = 0.0


@tool
async def search(
    text: str,
    limit: Annotated[int, Field(description="most results", ge=1, le=50)] = 10,
    order: Literal["new", "old"] = "new",
    place: Place | None = None,
    filters: list[Filter] = [],  # noqa: B006 - what a user may well write
) -> list[str]:
    """Searches the archive.

    Use it for anything about the past.

    Args:
        text: what to look for,
            in plain words
        limit: not this, the annotation says it better
    """
    names = [item.field for item in filters]
    return [text, str(limit), order, place.country if place else "-", *names]


def test_a_tool_is_described_by_its_signature_and_docstring() -> None:
    assert search.name == "search"
    assert search.description == "Searches the archive.\n\nUse it for anything about the past."
    properties = search.parameters["properties"]
    assert isinstance(properties, dict)
    assert search.parameters["required"] == ["text"]
    assert search.parameters["additionalProperties"] is False
    assert properties["text"] == {
        "type": "string",
        "description": "what to look for, in plain words",
    }
    assert properties["limit"] == {
        "type": "integer",
        "description": "most results",
        "default": 10,
        "minimum": 1,
        "maximum": 50,
    }
    assert properties["order"] == {"type": "string", "enum": ["new", "old"], "default": "new"}
    assert "title" not in str(search.parameters)


async def test_arguments_are_converted_to_the_annotations() -> None:
    found = await search.run(
        {"text": "a", "limit": "5", "place": {"city": "Oslo"}, "filters": [{"field": "x"}]}
    )
    assert found == ["a", "5", "new", "Norway", "x"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "text: Field required"),
        ({"text": "a", "limit": 99}, "limit: Input should be less than or equal to 50"),
        ({"text": "a", "page": 2}, "page: there is no such argument; there are: text, limit"),
        ({"text": "a", "place": {}}, "place.city: Field required"),
        ({"text": "a", "filters": [{"above": 1}]}, "filters.0.field: Field required"),
    ],
)
async def test_wrong_arguments_are_named_with_what_is_wrong(
    arguments: dict[str, object], told: str
) -> None:
    with pytest.raises(ArgumentsInvalid) as raised:
        await search.run(arguments)  # type: ignore[arg-type]
    assert told in str(raised.value)


async def test_the_decorated_function_stays_callable_as_itself() -> None:
    assert await search("a", limit=3) == ["a", "3", "new", "-"]


async def test_a_synchronous_tool_runs_in_a_thread_and_not_on_the_loop() -> None:
    seen: list[threading.Thread] = []

    @tool
    def work() -> str:
        seen.append(threading.current_thread())
        return "done"

    assert await work.run({}) == "done"
    assert seen[0] is not threading.current_thread()
    assert seen[0].daemon


async def test_a_tool_may_be_told_more_than_the_model_gives() -> None:
    @tool
    async def ask(name: str, caller: Caller, context: CallContext) -> str:
        return f"{context.agent} got {(await caller.call('echo', name)).text}"

    @agent
    async def echo(text: str) -> str:
        return text

    @agent
    async def front(text: str) -> str:
        return str(await ask.run({"name": text}))

    assert list(ask.parameters["properties"]) == ["name"]  # type: ignore[arg-type]
    async with LocalRuntime(echo, front) as rt:
        assert (await rt.call("front", "Ada")).text == "front got Ada"


async def test_a_parameter_may_be_called_what_pydantic_keeps_for_itself() -> None:
    @tool
    async def odd(model_config: int, schema: str, _private: bool = False, json: int = 0) -> str:
        return f"{model_config} {schema} {_private} {json}"

    found = await odd.run({"model_config": 1, "schema": "s", "_private": True})
    assert found == "1 s True 0"


async def test_any_further_arguments_reach_a_tool_that_takes_them() -> None:
    @tool
    async def post(url: str, **fields: str) -> str:
        return f"{url} {fields}"

    assert post.parameters["additionalProperties"] is True
    assert await post.run({"url": "u", "a": "1"}) == "u {'a': '1'}"


async def test_a_schema_given_replaces_the_signature_and_is_checked() -> None:
    @tool(parameters={"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})
    async def count(**anything: object) -> object:
        return anything

    assert await count.run({"n": 2}) == {"n": 2}
    with pytest.raises(ArgumentsInvalid, match="n must be at least 1"):
        await count.run({"n": 0})


def generator() -> Iterator[int]:
    yield 1


def by_position(value: int, /) -> int:
    return value


def unnamed(*values: int) -> int:
    return len(values)


def no_schema(lock: threading.Lock) -> None: ...


def wants_a_function(what: Callable[[], int]) -> None: ...


def sync_with_caller(caller: Caller) -> None: ...


class Shop:
    def price(self, item: str) -> str:
        return f"{item}: 3"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (Shop.price, "a method without its object"),
        (print, "'args' cannot be given by name"),
        (dict.fromkeys, "parameters cannot be read|cannot be given by name"),
        (generator, "a generator cannot be a tool"),
        (by_position, "'value' cannot be given by name"),
        (unnamed, "'values' cannot be given by name"),
        (no_schema, "no model can write"),
        (wants_a_function, "no JSON Schema"),
        (sync_with_caller, "only an 'async def' can use a Caller"),
    ],
)
def test_a_signature_no_model_can_call_is_refused_when_the_tool_is_made(
    function: Callable[..., object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        tool(function)


async def test_a_method_of_an_object_is_a_tool() -> None:
    assert await tool(Shop().price).run({"item": "tea"}) == "tea: 3"


@pytest.mark.parametrize("given", [Shop, int, "price", 7])
def test_a_class_or_a_value_is_no_tool(given: object) -> None:
    with pytest.raises(ConfigError, match="is no tool"):
        as_tool(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["two words", "x" * 65, "naïve", "a.b"])
def test_a_name_some_vendor_refuses_is_refused_at_once(name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        tool(name=name)(unnamed_free)


def unnamed_free() -> None: ...


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number(timeout: float) -> None:
    with pytest.raises(ConfigError, match="positive number of seconds"):
        tool(timeout=timeout)(unnamed_free)


def test_an_annotation_that_does_not_exist_is_named() -> None:
    def wrong(value: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigError, match="'Missing' cannot be resolved"):
        tool(wrong)


def test_anything_with_the_five_names_is_a_tool() -> None:
    class Clock:
        name = "clock"
        description = "tells the time"
        parameters: ClassVar[dict[str, object]] = {"type": "object"}
        timeout = 1.0

        async def run(self, arguments: object) -> object:
            return "noon"

    assert isinstance(Clock(), Tool)
    assert isinstance(search, FunctionTool)


async def test_cancelling_a_tool_reaches_its_function() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(wait.run({}))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()
