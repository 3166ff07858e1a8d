"""What a user may write, as the type checker sees it; never executed.

A line that must be refused carries an ignore with its code, and mypy reports an ignore that is not
needed.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import assert_type

import aixgo
from aixgo.agents import ChatAgent, read_output
from aixgo.contract import AgentDescription
from aixgo.message import JSONValue
from aixgo.providers import Model, Provider
from aixgo.resilience import CircuitBreaker, Fallback, Retry, Timeout
from aixgo.runtime.options import Health, Metrics
from aixgo.tools import Tool


@dataclass
class Order:
    item: str


class Plain:
    """Any class with these three is an agent; it derives from nothing."""

    name = "plain"
    role = "answers"

    async def execute(self, message: aixgo.Message) -> aixgo.Message:
        return message.reply("done")


class NoAgent:
    name = "incomplete"


@aixgo.agent
async def upper(text: str) -> str:
    return text.upper()


@aixgo.agent(name="orders", role="takes orders", model="m", mailbox=True, depends_on=["upper"])
async def orders(order: Order, caller: aixgo.Caller, context: aixgo.CallContext) -> Order:
    return order


@aixgo.agent
def threaded(text: str) -> int:
    return len(text)


@aixgo.agent
async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


@aixgo.tool
def area(width: float, height: float = 1.0) -> float:
    return width * height


@aixgo.tool(name="look", description="looks it up", timeout=5)
async def look_up(word: str, context: aixgo.CallContext) -> list[str]:
    return [word]


async def a_decorated_function_is_a_tool_and_stays_the_function() -> None:
    found: Tool = area
    assert_type(found.name, str)
    assert_type(area(2.0), float)
    area("2")  # type: ignore[arg-type]
    ChatAgent("measure", tools=[area, look_up, len])
    agent = ChatAgent("place", output=Order)
    reply = await agent.execute(aixgo.Message("an apple"))
    assert_type(read_output(reply, Order), Order)


async def a_decorated_function_is_an_agent_and_stays_the_function() -> None:
    found: aixgo.Agent = upper
    assert_type(found.name, str)
    assert_type(await upper("hello"), str)
    assert_type(threaded("hello"), int)
    assert_type([letter async for letter in letters("hello")], list[str])
    await upper(1)  # type: ignore[arg-type]
    assert_type(await upper.execute(aixgo.Message("hello")), aixgo.Message)


async def a_reply_is_a_message(caller: aixgo.Caller) -> None:
    reply = await caller.call("upper", "hello", timeout=5, budget=aixgo.Budget(usd=0.10))
    assert_type(reply, aixgo.Message)
    assert_type(reply.reply("done"), aixgo.Message)
    assert_type(reply.text, str)
    assert_type(reply.metadata, dict[str, JSONValue])
    assert_type(reply.usage, aixgo.Usage)
    assert_type(reply.usage.cost_usd, float)
    await caller.call("upper", "hello", 5)  # type: ignore[call-arg]


async def outcomes_keep_replies_and_errors_apart(caller: aixgo.Caller) -> None:
    outcomes = await caller.call_parallel(["a", "b"], {"key": [1, 2.5, None]})
    assert_type(outcomes.replies, list[aixgo.Message])
    assert_type(outcomes.errors, list[aixgo.AixgoError])
    assert_type(outcomes[0].target, str)


async def a_stream_gives_chunks(caller: aixgo.Caller) -> None:
    async with caller.stream("upper", "hello") as chunks:
        async for chunk in chunks:
            assert_type(chunk, aixgo.StreamChunk)
        assert_type(chunks.final, aixgo.Message | None)


async def mail_is_sent_and_read(caller: aixgo.Caller) -> None:
    await caller.send("upper", Order("tea"), timeout=1, budget=aixgo.Budget(calls=3))
    await caller.emit("done")
    await caller.broadcast("all", targets=["upper"])
    assert_type(await caller.recv(timeout=1), aixgo.Message)
    async with caller.spawn(Plain()) as name:
        assert_type(name, str)


def a_context_tells_what_travels_with_a_call() -> None:
    context = aixgo.CallContext.current()
    assert_type(context.remaining, float)
    assert_type(context.random.random(), float)
    assert_type(context.budget, aixgo.Budget | None)
    assert_type(context.baggage, Mapping[str, str] | None)
    context.charge(aixgo.Usage(calls=1))


async def a_local_runtime_is_a_caller_and_takes_its_options() -> None:
    async with aixgo.LocalRuntime(upper, orders, Plain(), max_in_flight=10, check_wire=True) as rt:
        assert_type(rt, aixgo.LocalRuntime)
        assert_type(await rt.call("upper", "hello"), aixgo.Message)
        assert_type(rt.get_agent("upper"), aixgo.Agent)
        assert_type(rt.describe("upper"), AgentDescription | None)
        assert_type(rt.list_agents(), list[str])
        assert_type(await rt.health(), Health)
        assert_type(rt.metrics(), Metrics)
        assert_type(await rt.pending(), int)
        await rt.register(Plain(), "other", outputs=["done"], depends_on=["upper"])
        await rt.register(NoAgent())  # type: ignore[arg-type]
    aixgo.LocalRuntime(upper, unknown=1)  # type: ignore[call-arg]


async def a_distributed_runtime_differs_in_how_it_is_made_only() -> None:
    peers = {"upper": "127.0.0.1:50051", "lower": ["127.0.0.1:50052", "unix:/run/lower.sock"]}
    async with aixgo.DistributedRuntime(orders, peers=peers, address="127.0.0.1:0") as rt:
        assert_type(rt, aixgo.DistributedRuntime)
        assert_type(rt.address, str)
        assert_type(await rt.call("upper", "hello"), aixgo.Message)
        await rt.connect("third", ["127.0.0.1:50053"])
        await rt.disconnect("third")
    await aixgo.serve(upper, address="127.0.0.1:0", stop_grace=5)
    await aixgo.serve(upper)  # type: ignore[call-arg]
    tls = aixgo.Tls(ca="ca.pem", cert="cert.pem", key="cert.key")
    token = aixgo.Token.from_env("TOKEN")
    await aixgo.serve(upper, address="0.0.0.0:1", tls=tls, token=token)
    await aixgo.serve(upper, address="0.0.0.0:1", token="text")  # type: ignore[arg-type]


def one_question_can_be_asked_from_synchronous_code() -> None:
    assert_type(aixgo.run(upper, "hello", timeout=5), aixgo.Message)
    assert_type(aixgo.run("flow.yaml", {"topic": "tea"}, agent="writer"), aixgo.Message)
    aixgo.load_config("flow.yaml")


def a_policy_is_middleware_of_a_model_and_of_a_runtime(provider: Provider) -> None:
    policies = [Retry(2), CircuitBreaker(), Timeout(5)]
    Model(provider, policies)
    Model(provider, [Fallback(["offline"]), Retry()])
    ChatAgent("chat", middleware=policies)
    aixgo.LocalRuntime(upper, middleware=policies)
    aixgo.LocalRuntime(upper, middleware=[Fallback(agents={"upper": ["lower"]}), Retry()])
    Model(provider, [5])  # type: ignore[list-item]


def a_refusal_is_an_aixgo_error_with_words_for_the_caller() -> aixgo.AixgoError:
    error = aixgo.AgentRefused("not today")
    assert_type(error.text, str)
    assert_type(error.retryable, bool)
    return error


def a_wrong_name_is_an_error() -> None:
    aixgo.Mesage("hello")  # type: ignore[attr-defined]
