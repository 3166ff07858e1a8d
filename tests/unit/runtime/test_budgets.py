"""Budgets in one process: who gets how much, what is refused before it is spent, and what a cut-off call costs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from aixgo import Budget, LocalRuntime, Message, Usage, agent, pricing
from aixgo.agents import ChatAgent
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import BudgetExceeded, ConfigError, DeadlineExceeded, RequestRejected
from aixgo.orchestration import Limits, Sequential
from aixgo.pricing import Price, Prices
from aixgo.providers import Completion, CompletionRequest, Delta
from aixgo.testing import ScriptedProvider, ScriptedStream

BOUND = 5.0  # seconds after which a wait that should end counts as a hang


@pytest.fixture(autouse=True)
def prices_of_scripts() -> Iterator[None]:
    before = pricing.prices()
    pricing.install(Prices(own={"scripted:*": Price.usd(1, 1)}))
    yield
    pricing.install(before)


def chat(name: str = "chat", *, max_tokens: int | None = 5) -> ChatAgent:
    provider = ScriptedProvider(["hi"], cycle=True)  # 15 tokens a call
    return ChatAgent(name, provider=provider, max_tokens=max_tokens)


@agent
async def purse(context: CallContext) -> list[float | int | None]:
    budget = context.budget
    return [] if budget is None else [budget.usd, budget.tokens, budget.calls]


async def test_a_call_without_a_budget_has_none() -> None:
    async with LocalRuntime(purse) as rt:
        assert (await rt.call("purse", "")).payload == []


async def test_a_call_has_the_budget_it_was_made_with() -> None:
    async with LocalRuntime(purse) as rt:
        reply = await rt.call("purse", "", budget=Budget(usd=0.5, calls=3))
    assert reply.payload == [0.5, None, 3]


async def test_calls_in_a_row_are_lent_all_that_is_left() -> None:
    @agent
    async def boss(caller: Caller) -> list[int | None]:
        await caller.call("chat", "hi")
        return (await caller.call("purse", "")).payload  # type: ignore[return-value]

    async with LocalRuntime(purse, chat(), boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert reply.payload == [None, 85, None]


async def test_parallel_calls_are_lent_equal_shares() -> None:
    @agent
    async def boss(caller: Caller) -> list[object]:
        outcomes = await caller.call_parallel(["purse", "other", "third"], "")
        return [reply.payload for reply in outcomes.replies]

    @agent(name="other")
    async def other(context: CallContext) -> list[float | int | None]:
        await asyncio.sleep(0)  # so that all are at work at once
        return list(purse_of(context))

    @agent(name="third")
    async def third(context: CallContext) -> list[float | int | None]:
        return list(purse_of(context))

    @agent(name="purse")
    async def first(context: CallContext) -> list[float | int | None]:
        await asyncio.sleep(0)
        return list(purse_of(context))

    async with LocalRuntime(first, other, third, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert reply.payload == [[None, 34, None], [None, 33, None], [None, 33, None]]


async def test_parallel_calls_leave_a_share_for_each_call_that_is_to_come_after_them() -> None:
    @agent
    async def boss(caller: Caller) -> list[object]:
        outcomes = await caller.call_parallel(["one", "two"], "", after=2)
        last = await caller.call("three", "")
        return [*(reply.payload for reply in outcomes.replies), last.payload]

    @agent(name="one")
    async def spends(context: CallContext) -> list[float | int | None]:
        await asyncio.sleep(0)  # so that all are at work at once
        found = list(purse_of(context))
        context.charge(Usage(tokens_prompt=int(found[1] or 0)))
        return found

    async with LocalRuntime(boss) as rt:
        for name in ("one", "two", "three"):
            await rt.register(spends, name=name)
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert reply.payload == [[None, 25, None], [None, 25, None], [None, 50, None]]


def purse_of(context: CallContext) -> tuple[float | int | None, ...]:
    assert context.budget is not None
    return (context.budget.usd, context.budget.tokens, context.budget.calls)


async def test_a_stream_is_lent_half() -> None:
    @agent
    async def boss(caller: Caller) -> object:
        async with caller.stream("purse", "") as chunks:
            async for _ in chunks:
                pass
            assert chunks.final is not None
            return chunks.final.payload

    async with LocalRuntime(purse, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert reply.payload == [None, 50, None]


async def test_a_share_may_be_chosen() -> None:
    @agent
    async def boss(caller: Caller) -> object:
        return (await caller.call("purse", "", share=0.1)).payload

    async with LocalRuntime(purse, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert reply.payload == [None, 10, None]


async def test_a_model_call_that_could_go_over_is_refused_before_it_is_made() -> None:
    agent = chat(max_tokens=50)
    async with LocalRuntime(agent) as rt:
        with pytest.raises(BudgetExceeded) as caught:
            await rt.call("chat", "hi", budget=Budget(tokens=50))
    assert caught.value.limit == "tokens"
    assert caught.value.where == "chat"


async def test_the_error_names_the_hop_and_what_was_spent_where() -> None:
    flow = Sequential("flow", [chat("first"), chat("second")])
    async with LocalRuntime(flow) as rt:
        with pytest.raises(BudgetExceeded) as caught:
            await rt.call("flow", "hi", budget=Budget(calls=1))
    assert caught.value.where == "flow → second"
    assert caught.value.spent == "first $0.000015 and 15 tokens in 1 calls"


async def test_an_answer_nobody_limited_is_limited_to_what_the_budget_pays() -> None:
    agent = chat(max_tokens=None)
    provider = agent._use.given
    assert isinstance(provider, ScriptedProvider)
    async with LocalRuntime(agent) as rt:
        await rt.call("chat", "hi", budget=Budget(usd=0.0001))
        await rt.call("chat", "hi", budget=Budget(usd=10))
    limited, free = provider.requests
    assert limited.max_tokens is not None
    assert 0 < limited.max_tokens < 100
    assert free.max_tokens is None


async def test_zero_allows_what_costs_nothing() -> None:
    free = ChatAgent("free", model="offline")
    async with LocalRuntime(free, chat()) as rt:
        await rt.call("free", "It rained all day.", budget=Budget(usd=0))
        with pytest.raises(BudgetExceeded):
            await rt.call("chat", "hi", budget=Budget(usd=0))


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ConfigError):
        Budget(usd=-1)


async def test_an_unpriced_model_is_refused_to_a_budget_in_money() -> None:
    pricing.install(Prices())
    async with LocalRuntime(chat()) as rt:
        with pytest.raises(RequestRejected, match=r"has no price .*on_unpriced"):
            await rt.call("chat", "hi", budget=Budget(usd=1))
        await rt.call("chat", "hi", budget=Budget(tokens=100))


async def test_an_orchestrators_budget_lowers_what_it_was_lent() -> None:
    flow = Sequential("flow", [purse], limits=Limits(budget=Budget(tokens=40)))
    async with LocalRuntime(flow) as rt:
        assert (await rt.call("flow", "", budget=Budget(tokens=100))).payload == [None, 40, None]
        assert (await rt.call("flow", "")).payload == [None, 40, None]
        assert (await rt.call("flow", "", budget=Budget(tokens=10))).payload == [None, 10, None]


async def test_limits_of_a_file_may_hold_a_budget() -> None:
    limits = Limits.from_config({"budget": {"usd": 0.5, "calls": 3}})
    assert limits.budget == Budget(usd=0.5, calls=3)
    with pytest.raises(ConfigError, match="usd"):
        Limits.from_config({"budget": {"usd": -1}})


async def test_a_streamed_orchestration_lends_its_steps_as_much_as_a_called_one() -> None:
    flow = Sequential("flow", [purse])
    async with (
        LocalRuntime(flow) as rt,
        rt.stream("flow", "", budget=Budget(tokens=100)) as chunks,
    ):
        async for _ in chunks:
            pass
        assert chunks.final is not None
        assert chunks.final.payload == [None, 100, None]


class Hanging:
    """Says that it was asked, and never answers."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("it was waited for to the end")

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        yield await self.complete(request)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def models(self) -> list[str]:
        return []


async def test_a_model_call_that_is_cut_off_is_charged_whole_and_marked() -> None:
    found: list[Usage] = []

    @agent
    async def boss(caller: Caller, context: CallContext) -> str:
        with pytest.raises(DeadlineExceeded):
            await caller.call("chat", "hi", timeout=0.05)
        found.append(context.usage)
        return "done"

    hanging = ChatAgent("chat", provider=Hanging(), max_tokens=40)
    async with LocalRuntime(hanging, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=200))
    assert found[0].unsettled
    assert found[0].tokens_completion == 40
    assert reply.metadata["unsettled"] is True


async def test_a_stream_that_is_left_is_charged_what_came_and_some_more() -> None:
    provider = ScriptedProvider([ScriptedStream(["one ", "two ", "three"])])

    @agent
    async def boss(caller: Caller, context: CallContext) -> list[int]:
        async with caller.stream("chat", "hi") as chunks:
            await anext(aiter(chunks))
        assert context.budget is not None
        return [context.usage.tokens_total, context.budget.tokens or 0]

    async with LocalRuntime(ChatAgent("chat", provider=provider), boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=10_000))
    spent, left = reply.payload  # type: ignore[misc]
    assert 0 < spent < 200
    assert left == 10_000 - spent
    assert reply.metadata["unsettled"] is True


async def test_a_sent_message_has_what_was_carved_out_for_it_and_its_sender_less() -> None:
    got: asyncio.Queue[tuple[float | int | None, ...]] = asyncio.Queue()

    @agent
    async def later(context: CallContext) -> str:
        got.put_nowait(purse_of(context))
        return ""

    @agent
    async def boss(caller: Caller, context: CallContext) -> int | None:
        with pytest.raises(BudgetExceeded):
            await caller.send("later", "", budget=Budget(tokens=101))
        await caller.send("later", "", budget=Budget(tokens=30))
        assert context.budget is not None
        return context.budget.tokens

    async with LocalRuntime(later, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
        async with asyncio.timeout(BOUND):
            assert await got.get() == (None, 30, None)
    assert reply.payload == 70


async def test_an_agent_sees_its_pressure_and_finishes_early() -> None:
    @agent
    async def boss(message: Message, caller: Caller, context: CallContext) -> int:
        rounds = 0
        while context.pressure < 0.7:
            await caller.call("chat", "again")
            rounds += 1
        return rounds

    async with LocalRuntime(chat(), boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(calls=10))
    assert reply.payload == 7


async def test_a_task_group_that_failed_inside_an_agent_makes_no_call_unsettled() -> None:
    """Before Python 3.13 such a task counts as being cancelled from then on."""
    at_work, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def worker(context: CallContext) -> str:
        at_work.set()
        await gate.wait()
        context.charge(Usage(tokens_prompt=7))
        return "worked"

    async def fails() -> None:
        raise ValueError

    @agent
    async def boss(caller: Caller) -> str:
        out = asyncio.create_task(caller.call("worker", ""))
        await at_work.wait()
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
        out.get_loop().call_soon(gate.set)
        return "done"

    async with LocalRuntime(worker, boss) as rt:
        reply = await rt.call("boss", "", budget=Budget(tokens=100))
    assert (reply.usage.tokens_total, reply.usage.unsettled) == (7, False)
