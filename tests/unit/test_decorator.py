"""`@agent`: what a function may take and give, and how it stays a function."""

import asyncio
import dataclasses
import threading
import typing
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pydantic
import pytest

from aixgo import (
    Agent,
    AgentRefused,
    CallContext,
    Caller,
    LocalRuntime,
    Message,
    StreamChunk,
    agent,
)
from aixgo.errors import AgentFailed, ConfigError, InvalidMessage
from aixgo.message import JSONValue


@dataclasses.dataclass
class Order:
    item: str
    count: int = 1


class Invoice(pydantic.BaseModel):
    item: str
    cents: int


async def answer_of(made: Agent, payload: object) -> Message:
    async with LocalRuntime(made) as rt:
        return await rt.call(made.name, payload)


# -- inputs and outputs ---------------------------------------------------------------------------------


@agent
async def takes_message(message: Message) -> Message:
    return message.reply([message.type, message.payload])


@agent
async def takes_text(text: str) -> str:
    return f"<{text}>"


@agent
async def takes_bytes(data: bytes) -> bytes:
    return data[::-1]


@agent
async def takes_dict(order: dict[str, int]) -> dict[str, int]:
    return {key: value + 1 for key, value in order.items()}


@agent
async def takes_dataclass(order: Order) -> Order:
    return Order(order.item, order.count + 1)


@agent
async def takes_model(invoice: Invoice) -> Invoice:
    return Invoice(item=invoice.item, cents=invoice.cents * 2)


@agent
async def takes_number(number: float) -> float:
    return number / 2


@agent
async def takes_optional(order: Order | None) -> bool:
    return order is None


@agent
async def takes_literal(colour: typing.Literal["red", "blue"]) -> str:
    return colour


@agent
async def takes_anything(value) -> JSONValue:  # type: ignore[no-untyped-def]
    return [value]


@agent
async def takes_nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("made", "given", "expected"),
    [
        (takes_message, "x", ["message", "x"]),
        (takes_text, "x", "<x>"),
        (takes_text, {"a": [1]}, '<{"a":[1]}>'),
        (takes_bytes, b"abc", b"cba"),
        (takes_bytes, "abc", b"cba"),
        (takes_dict, {"a": 1}, {"a": 2}),
        (takes_dict, '{"a": 1}', {"a": 2}),
        (takes_dataclass, {"item": "a"}, {"item": "a", "count": 2}),
        (takes_dataclass, Order("a", 4), {"item": "a", "count": 5}),
        (takes_dataclass, '{"item": "a"}', {"item": "a", "count": 2}),
        (takes_model, {"item": "a", "cents": 3}, {"item": "a", "cents": 6}),
        (takes_model, Invoice(item="a", cents=3), {"item": "a", "cents": 6}),
        (takes_number, 3, 1.5),
        (takes_number, "3", 1.5),
        (takes_optional, None, True),
        (takes_optional, {"item": "a"}, False),
        (takes_literal, "red", "red"),
        (takes_anything, {"a": 1}, [{"a": 1}]),
        (takes_nothing, "ignored", None),
    ],
    ids=lambda value: value.name if isinstance(value, Agent) else None,
)
async def test_the_payload_arrives_as_annotated_and_the_result_is_the_reply(
    made: Agent, given: object, expected: object
) -> None:
    assert (await answer_of(made, given)).payload == expected


@pytest.mark.parametrize(
    ("made", "given", "path", "expected"),
    [
        (takes_dict, {"a": "x"}, "payload[...]", "dict[str, int]"),
        (takes_dataclass, {"item": "a", "count": "many"}, "payload.count", "Order"),
        (takes_dataclass, "no json", "payload", "Order"),
        (takes_dataclass, "[" * 100_000, "payload", "Order"),
        (takes_dataclass, b"bytes", "payload", "Order"),
        (takes_model, {"item": "a", "cents": "secret"}, "payload.cents", "Invoice"),
        (takes_model, ["secret"], "payload", "Invoice"),
        (takes_number, [1], "payload", "float"),
        (takes_literal, "green", "payload", "typing.Literal['red', 'blue']"),
    ],
)
async def test_a_payload_that_does_not_fit_says_where_and_what_was_wanted(
    made: Agent, given: object, path: str, expected: str
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        await answer_of(made, given)
    assert (caught.value.path, caught.value.expected) == (path, expected)
    assert str(caught.value) == f"{path} does not fit {expected}"


async def test_a_result_outside_the_domain_is_an_error_with_its_path() -> None:
    @agent
    async def gives_a_set(text: str) -> object:
        return {"found": {text}}

    with pytest.raises(InvalidMessage) as caught:
        await answer_of(gives_a_set, "x")
    assert caught.value.path == "payload.found"


async def test_a_result_keeps_the_type_of_what_it_answers() -> None:
    async with LocalRuntime(takes_text) as rt:
        assert (await rt.call("takes_text", Message("x", type="order"))).type == "order"


# -- what else a function may ask for -------------------------------------------------------------------


async def test_a_caller_and_a_context_are_filled_in_by_annotation() -> None:
    @agent
    async def asks(context: CallContext, text: str, caller: Caller, times: int = 2) -> str:
        replies = [await caller.call("takes_text", text) for _ in range(times)]
        return context.agent + "".join(reply.text for reply in replies)

    async with LocalRuntime(asks, takes_text) as rt:
        assert (await rt.call("asks", "x")).payload == "asks<x><x>"


async def test_a_synchronous_function_runs_in_a_thread_with_its_context() -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    both = threading.Barrier(2)

    @agent
    def meets(text: str, context: CallContext) -> list[JSONValue]:
        both.wait(5)  # two of them meet: neither blocks the loop
        return [tenant.get(), context.agent, threading.current_thread() is threading.main_thread()]

    tenant.set("acme")
    async with LocalRuntime(meets) as rt, asyncio.timeout(10):
        outcomes = await rt.call_parallel(["meets", "meets"], "x")
    assert [reply.payload for reply in outcomes.replies] == [["acme", "meets", False]] * 2


async def test_a_synchronous_function_that_raises_stop_iteration_fails_and_does_not_hang() -> None:
    @agent
    def first(text: str) -> str:
        return next(letter for letter in text if letter == "x")

    async with asyncio.timeout(5):
        with pytest.raises(AgentFailed, match="'first'"):
            await answer_of(first, "abc")


async def test_a_synchronous_agent_can_be_hosted_again_after_its_runtime_stopped() -> None:
    @agent
    def double(text: str) -> str:
        return text * 2

    assert (await answer_of(double, "a")).payload == "aa"
    assert (await answer_of(double, "b")).payload == "bb"


# -- streams --------------------------------------------------------------------------------------------


@agent
async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


async def test_a_generator_streams_its_pieces_and_is_callable_as_a_whole() -> None:
    async with LocalRuntime(letters) as rt:
        async with rt.stream("letters", Message("abc", type="t")) as chunks:
            assert [chunk.content async for chunk in chunks] == ["a", "b", "c"]
        assert chunks.final is not None
        assert (chunks.final.payload, chunks.final.type) == ("abc", "t")
        assert (await rt.call("letters", "abc")).payload == "abc"


async def test_a_generator_may_give_chunks_and_end_with_its_own_message() -> None:
    @agent
    async def thinks(text: str) -> AsyncIterator[StreamChunk | Message | dict[str, int]]:
        yield StreamChunk(type="thinking", content="hm")
        yield {"n": 1}
        yield Message([text], metadata={"k": 1})

    async with LocalRuntime(thinks) as rt:
        async with rt.stream("thinks", "x") as chunks:
            found = [(chunk.type, chunk.content) async for chunk in chunks]
        assert found == [("thinking", "hm"), ("content", '{"n":1}')]
        assert chunks.final is not None
        assert (chunks.final.payload, chunks.final.metadata) == (["x"], {"k": 1})
        assert (await rt.call("thinks", "x")).payload == ["x"]


async def test_an_agent_that_does_not_stream_gives_its_answer_as_one_chunk() -> None:
    async with LocalRuntime(takes_text) as rt:
        async with rt.stream("takes_text", "x") as chunks:
            assert [chunk.content async for chunk in chunks] == ["<x>"]
        assert chunks.final is not None
        assert chunks.final.source == "takes_text"


async def test_leaving_a_stream_early_runs_the_functions_own_cleanup() -> None:
    cleaned = asyncio.Event()

    @agent
    async def endless(text: str) -> AsyncIterator[str]:
        try:
            while True:
                yield text
        finally:
            cleaned.set()

    async with LocalRuntime(endless) as rt:
        async with rt.stream("endless", "x") as chunks:
            assert (await anext(aiter(chunks))).content == "x"
        assert cleaned.is_set()
        assert rt.metrics()["calls_in_flight"] == 0


# -- the agent itself -----------------------------------------------------------------------------------


async def test_a_decorated_function_stays_callable_as_the_function() -> None:
    assert await takes_text("x") == "<x>"
    assert await takes_dataclass(Order("a")) == Order("a", 2)
    assert [piece async for piece in letters("ab")] == ["a", "b"]
    assert takes_text.__name__ == "takes_text"


def test_an_agent_takes_its_facts_from_the_function_unless_they_are_given() -> None:
    @agent
    async def summarise(text: str) -> str:
        """Make a text shorter.

        Much shorter.
        """
        return text[:10]

    @agent(
        name="research.specialist",
        role="researches",
        description="Finds things.",
        model="gpt",
        mailbox=True,
        depends_on=["db"],
    )
    async def other(text: str) -> str:
        return text

    assert isinstance(summarise, Agent)
    assert (summarise.name, summarise.role, summarise.description) == (
        "summarise",
        "agent",
        "Make a text shorter.",
    )
    assert (other.name, other.role, other.description) == (
        "research.specialist",
        "researches",
        "Finds things.",
    )
    assert (other.model, other.mailbox, other.depends_on) == ("gpt", True, ("db",))
    assert repr(other) == "<agent 'research.specialist'>"


def test_schemas_describe_the_annotations_that_have_one() -> None:
    assert takes_text.input_schema == {"type": "string"}
    assert takes_message.input_schema is None
    assert takes_nothing.output_schema is None
    assert letters.output_schema is None
    found = takes_model.input_schema
    assert found is not None
    assert set(typing.cast("dict[str, object]", found["properties"])) == {"item", "cents"}
    assert takes_dataclass.output_schema is not None


def two_inputs(a: str, b: str) -> str:
    return a + b


def positional_only(a: str, /) -> str:
    return a


def wants_a_caller(text: str, caller: Caller) -> str:
    return text


def plain_generator(text: str) -> Iterator[str]:
    yield text


async def unresolved(text: "Missing") -> str:  # type: ignore[name-defined] # noqa: F821
    return str(text)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (two_inputs, "both 'a' and 'b' have no default"),
        (positional_only, "'a' must not be positional-only"),
        (wants_a_caller, "only an 'async def' can use a Caller"),
        (plain_generator, "a generator must be an 'async def' one"),
        (unresolved, "the annotation 'Missing' cannot be resolved"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_function_that_cannot_be_an_agent_says_why_when_it_is_decorated(
    function: typing.Callable[..., object], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"@agent '{function.__name__}': .*{why}"):
        agent(function)


def test_a_name_that_cannot_be_one_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(ConfigError, match="contains '/'"):
        agent(name="a/b")(two_inputs)


async def test_a_refusal_reaches_the_caller_in_its_own_words() -> None:
    @agent
    async def refuses(text: str) -> str:
        raise AgentRefused(f"never {text}")

    with pytest.raises(AgentRefused, match=r"^never x$") as caught:
        await answer_of(refuses, "x")
    assert (caught.value.agent, len(caught.value.error_id)) == ("refuses", 12)


async def test_annotations_may_use_the_json_types() -> None:
    @agent
    async def wrap(value: JSONValue) -> dict[str, JSONValue] | JSONValue | bytes:
        return {"value": value}

    reply = await wrap.execute(Message({"a": [1]}))
    assert reply.payload == {"value": {"a": [1]}}
