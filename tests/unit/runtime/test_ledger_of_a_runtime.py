"""The ledger of a runtime: who spent what on which model, below which pattern, on whose behalf."""

from __future__ import annotations

from aixgo import Agent, CallContext, Caller, Message, Usage, agent
from aixgo.agents import ChatAgent
from aixgo.errors import RateLimited
from aixgo.ledger import Ledger, Side
from aixgo.middleware import CallNext
from aixgo.orchestration import Limits, Parallel, Sequential
from aixgo.providers import Model
from aixgo.providers._model import ModelCall, ModelReply
from aixgo.providers.base import ChatMessage, CompletionRequest
from aixgo.runtime.distributed import DistributedRuntime
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider
from tests.unit.runtime.waiting import until

ONE = Usage(tokens_prompt=10, tokens_completion=5, calls=1)


def writer(name: str) -> ChatAgent:
    return ChatAgent(name, provider=ScriptedProvider(["words"], cycle=True))


def calls(ledger: Ledger | Usage, side: Side) -> dict[str, int]:
    return {name: usage.calls for name, usage in ledger.by(side).items()}


async def test_each_model_call_stands_below_its_innermost_pattern() -> None:
    flow = Sequential("flow", [writer("first"), Parallel("fan", [writer("b"), writer("c")])])
    async with LocalRuntime(flow, writer("alone"), principal="anna") as rt:
        reply = await rt.call("flow", "x", session="s1")
        await rt.call("alone", "x", session="s2")
        assert calls(reply.usage, "pattern") == {"parallel": 2, "sequential": 1}
        assert calls(rt.ledger, "pattern") == {"parallel": 2, "sequential": 1, "": 1}
        assert calls(rt.ledger, "agent") == {"first": 1, "b": 1, "c": 1, "alone": 1}
        assert "flow → fan → b" in rt.ledger.by("path")
        assert calls(rt.ledger, "session") == {"s1": 3, "s2": 1}
        assert calls(rt.ledger, "principal") == {"anna": 4}
        assert rt.metrics()["spent"]["calls"] == 4


async def test_a_model_is_named_as_it_was_asked_for() -> None:
    provider = ScriptedProvider(["a"])
    async with LocalRuntime(asks(Model(provider))) as rt:
        await rt.call("asks", "x")
        assert calls(rt.ledger, "model") == {f"{provider.name}:large": 1}


def asks(model: Model) -> Agent:
    @agent
    async def asks(text: str) -> str:
        request = CompletionRequest(model="large", messages=(ChatMessage("user", text),))
        return (await model.complete(request)).text

    return asks


async def again(call_next: CallNext[ModelCall, ModelReply], call: ModelCall) -> ModelReply:
    """Asks twice when the first time failed."""
    try:
        return await call_next(call)
    except RateLimited:
        attempt = ModelCall(call.provider, call.request, streaming=call.streaming, attempt=2)
        return await call_next(attempt)


async def test_an_attempt_after_the_first_counts_as_a_retry() -> None:
    busy = RateLimited()
    busy.usage = Usage(tokens_prompt=10, calls=1)
    model = Model(ScriptedProvider([busy, "at last"]), [again])
    async with LocalRuntime(asks(model)) as rt:
        reply = await rt.call("asks", "x")
        assert (reply.usage.calls, reply.usage.retries) == (2, 1)


async def test_work_on_a_sent_message_is_booked_once() -> None:
    @agent
    async def posts(text: str, caller: Caller) -> str:
        await caller.send("writer", text)
        return "sent"

    async with LocalRuntime(posts, writer("writer")) as rt:
        await rt.call("posts", "x")
        await until(lambda: calls(rt.ledger, "agent"))
        assert calls(rt.ledger, "agent") == {"writer": 1}


async def test_a_call_that_comes_back_from_a_peer_is_booked_once() -> None:
    @agent
    async def out(text: str, caller: Caller) -> Message:
        return await caller.call("there", text)

    @agent
    async def there(text: str, caller: Caller) -> Message:
        return await caller.call("home", text)

    @agent
    async def home(text: str, context: CallContext) -> str:
        context.charge(ONE)
        return text

    async with DistributedRuntime(out, home, address="127.0.0.1:0") as here:
        peers = {"home": here.address}
        async with DistributedRuntime(there, address="127.0.0.1:0", peers=peers) as elsewhere:
            await here.connect("there", elsewhere.address)
            await here.call("out", "x")
            assert calls(here.ledger, "path") == {"out → there → home": 1}
            assert calls(elsewhere.ledger, "path") == {"out → there → home": 1}


async def test_spending_that_no_model_reports_can_name_what_it_was_for() -> None:
    @agent
    async def searches(text: str, context: CallContext) -> str:
        context.charge(Usage(cost_nanos=5, calls=1), "index", "acme")
        context.charge(Usage(cost_nanos=1))
        return text

    async with LocalRuntime(searches) as rt:
        reply = await rt.call("searches", "x")
        assert {n: u.cost_nanos for n, u in reply.usage.by("model").items()} == {
            "acme:index": 5,
            "": 1,
        }


async def test_the_lines_of_a_call_add_up_to_what_it_spent_also_with_many_agents() -> None:
    many = [writer(f"w{i}") for i in range(300)]
    async with LocalRuntime(Parallel("fan", many, limits=Limits(max_agents=300))) as rt:
        reply = await rt.call("fan", "x")
    assert reply.usage.ledger is not None
    assert len(reply.usage.ledger) == 257
    assert reply.usage.ledger.total == reply.usage
