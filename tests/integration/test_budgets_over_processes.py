"""One budget over agents in processes of their own: what is billed never exceeds it, not even when one is killed."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from aixgo import Budget, DistributedRuntime, Message, agent
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import BudgetExceeded, Unavailable
from tests.integration.budget_fleet import Fleet


@pytest.fixture(scope="module", params=["stream", "unary"])
def processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Those of a transport, for all its tests: whichever kills some comes last."""
    fleet = Fleet(tmp_path_factory.mktemp("tally") / "tally", request.param)
    yield fleet
    fleet.end()


@pytest.fixture
def fleet(processes: Fleet) -> Fleet:
    """The processes, as if nobody had called them."""
    processes.forget()
    return processes


async def test_a_stream_that_is_read_to_its_end_is_charged_what_it_spent(fleet: Fleet) -> None:
    @agent
    async def boss(caller: Caller, context: CallContext) -> int | None:
        async with caller.stream("chat", "hi") as chunks:
            async for _ in chunks:
                pass
        assert context.budget is not None
        return context.budget.tokens

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        reply = await rt.call("boss", "go", timeout=20, budget=Budget(tokens=2_000))
    assert reply.payload == 2_000 - fleet.billed[0]
    assert "unsettled" not in reply.metadata


async def test_an_error_from_another_process_names_the_hop_there_and_what_was_spent_here(
    fleet: Fleet,
) -> None:
    @agent
    async def boss(caller: Caller) -> str:
        await caller.call("b", {"calls": 1, "tokens": 20})
        await caller.call("a", {"calls": 0, "tokens": 90, "then": ["c"]})
        return (await caller.call("a", {"calls": 1, "tokens": 90})).text

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        with pytest.raises(BudgetExceeded) as caught:
            await rt.call("boss", "go", timeout=20, budget=Budget(tokens=100))
    assert caught.value.where == "boss → a"
    assert caught.value.spent == "b $0.000000 and 21 tokens in 1 calls"
    assert caught.value.value == 79


async def test_a_stream_that_is_left_is_charged_before_its_share_comes_back(fleet: Fleet) -> None:
    @agent
    async def boss(caller: Caller, context: CallContext) -> list[int | None]:
        async with caller.stream("chat", "linger") as chunks:
            assert (await anext(aiter(chunks))).content == "x"
        await caller.call("a", {})  # waits for what is in doubt
        assert context.budget is not None
        return [context.usage.tokens_total, context.budget.tokens]

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        reply = await rt.call("boss", "go", timeout=20, budget=Budget(tokens=2_000))
    spent, left = reply.payload  # type: ignore[misc]
    assert 0 < spent <= 1_000
    assert left == 2_000 - spent
    if fleet.transport == "stream":
        assert spent < 200  # the callee said so when it was stopped
    assert reply.metadata["unsettled"] is True


async def test_a_call_left_at_its_deadline_is_charged_what_it_spent_and_no_more(
    fleet: Fleet,
) -> None:
    found: list[tuple[int | None, int | None]] = []

    @agent
    async def boss(message: Message, caller: Caller, context: CallContext) -> Message:
        outcomes = await caller.call_parallel(
            ["a", "b"], {"calls": 1, "tokens": 50, "text": "hold"}, timeout=0.5
        )
        assert len(outcomes.errors) == 2
        reply = await caller.call("c", {"calls": 1, "tokens": 10})  # waits for what is in doubt
        assert context.budget is not None
        found.append((context.budget.tokens, context.budget.calls))
        return reply

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        reply = await rt.call("boss", "go", timeout=20, budget=Budget(tokens=1_000, calls=10))
    tokens, calls = fleet.billed
    assert calls == 3
    assert found[0][0] is not None
    assert found[0][0] <= 1_000 - tokens
    assert found[0][1] == 10 - calls  # both said what they had spent when they were stopped
    assert reply.metadata["unsettled"] is True  # a model call was cut off


@pytest.mark.timeout(60)
async def test_the_sum_over_three_processes_never_exceeds_the_budget_when_one_is_killed(
    fleet: Fleet,
) -> None:
    draw = random.Random(7)
    budget = Budget(tokens=3_000, calls=40)
    left: list[Budget | None] = []

    @agent
    async def boss(message: Message, caller: Caller, context: CallContext) -> str:
        for _ in range(3):
            task = {"calls": draw.randint(1, 3), "tokens": draw.randint(10, 60), "then": ["c"]}
            await caller.call_parallel(["a", "b"], task)
        hold = {"calls": 1, "tokens": 50, "text": "hold"}
        held = [asyncio.create_task(caller.call(name, hold, share=0.25)) for name in ("b", "c")]
        await asyncio.to_thread(fleet.b.said)
        await asyncio.to_thread(fleet.c.said)
        fleet.b.kill()
        fleet.c.kill()
        for task in held:
            with pytest.raises(Unavailable):
                await task
        left.append(context.budget)
        for _ in range(100):
            await caller.call("a", {"calls": 1, "tokens": 20})
        return "more than was paid for"

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        with pytest.raises(BudgetExceeded) as caught:
            await rt.call("boss", "go", timeout=40, budget=budget)
    assert left[0] is not None
    assert left[0].tokens
    tokens, calls = fleet.billed
    assert calls > 4
    assert tokens <= 3_000
    assert calls <= 40
    assert caught.value.where
    assert "b $" in caught.value.spent  # the share of the one that was killed, too
