"""Attempts of a call share what it was lent, and what they spend is counted once."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo import AixgoError, Budget, CallContext, LocalRuntime, Message, Usage
from aixgo.errors import AgentRefused, LimitExceeded
from aixgo.orchestration import ErrorStrategy, Limits, Parallel, Sequential
from aixgo.orchestration.base import OnFailure
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.failing import Fails, answer, down, failure

ONE = Usage(cost_nanos=10, tokens_prompt=3, calls=1)
AT_ONCE = ErrorStrategy("retry", retry_delay=0)


@pytest.fixture(params=[False, True], ids=["call", "stream"])
def streaming(request: pytest.FixtureRequest) -> bool:
    """Whether the pattern is called or streamed."""
    return bool(request.param)


@pytest.mark.parametrize("budget", [None, Budget(calls=100)], ids=["free", "budget"])
async def test_every_attempt_is_charged_and_repeated_ones_count_as_retries(
    budget: Budget | None, streaming: bool
) -> None:
    flaky = Fails("flaky", [down()] * 2, ONE)
    async with LocalRuntime(Sequential("p", [flaky], error_strategy=AT_ONCE)) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming, budget=budget)
        ledger = rt.ledger
    assert (reply.usage.calls, reply.usage.retries, reply.usage.tokens_total) == (3, 2, 9)
    by_agent = ledger.by("agent")["flaky"]
    assert (by_agent.calls, by_agent.retries) == (3, 2)
    assert list(ledger.by("pattern")) == ["sequential"]


async def test_those_asked_instead_are_charged_and_count_as_no_retries() -> None:
    fails, spare = Fails("fails", [RuntimeError()], ONE), Fails("spare", [], ONE)
    strategy = ErrorStrategy("retry", fallbacks={"fails": [spare]})
    async with LocalRuntime(Sequential("p", [fails], error_strategy=strategy)) as rt:
        reply = await answer(rt, "p", "x")
    assert (reply.usage.calls, reply.usage.retries) == (2, 0)


async def test_an_attempt_gets_what_those_before_it_left(streaming: bool) -> None:
    flaky = Fails("flaky", [down()] * 2, ONE)
    async with LocalRuntime(Sequential("p", [flaky], error_strategy=AT_ONCE)) as rt:
        await answer(rt, "p", "x", streaming=streaming, budget=Budget(calls=10), share=1)
    assert flaky.budgets == [10, 9, 8]


async def test_attempts_side_by_side_never_get_more_than_the_share_of_their_call(
    streaming: bool,
) -> None:
    stuck = RecordingAgent("stuck", gated=True)

    class Releases(Fails):
        """Lets the other go on with its last attempt."""

        async def execute(self, message: Message) -> Message:
            if not self.errors:
                stuck.release()
            return await super().execute(message)

    flaky = Releases("flaky", [down()] * 2, ONE)
    async with LocalRuntime(Parallel("p", [flaky, stuck], error_strategy=AT_ONCE)) as rt:
        await answer(rt, "p", "x", streaming=streaming, budget=Budget(calls=10), share=1)
    assert flaky.budgets == [5, 4, 3]


async def test_what_is_left_of_a_call_returns_to_the_run(streaming: bool) -> None:
    flaky, after = Fails("flaky", [down()], ONE), Fails("after")
    async with LocalRuntime(Sequential("p", [flaky, after], error_strategy=AT_ONCE)) as rt:
        await answer(rt, "p", "x", streaming=streaming, budget=Budget(calls=10), share=1)
    assert after.budgets == [8]


async def test_a_failed_call_is_charged_too(streaming: bool) -> None:
    flow = Sequential("p", [Fails("fails", [AgentRefused("no")], ONE)], error_strategy="retry")
    async with LocalRuntime(flow) as rt:
        await failure(rt, "p", "x", streaming=streaming, budget=Budget(calls=10))
        assert rt.ledger.total.calls == 1


async def test_max_tokens_stops_the_next_attempt() -> None:
    flaky = Fails("flaky", [down()] * 3, ONE)
    flow = Sequential("p", [flaky], error_strategy=AT_ONCE, limits=Limits(max_tokens=5))
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x")
    assert isinstance(error, LimitExceeded)
    assert len(flaky.messages) == 2


@given(
    budget=st.integers(0, 30),
    scripts=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4),
    goes_on=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_whatever_fails_when_a_run_never_spends_more_than_it_has(
    budget: int, scripts: list[list[int]], goes_on: bool, chance: random.Random
) -> None:
    class Greedy:
        """Spends what its script says, as far as it may; fails but for the last time."""

        role = "greedy"

        def __init__(self, name: str, script: list[int]) -> None:
            self.name = name
            self.script = script

        async def execute(self, message: Message) -> Message:
            context = CallContext.current()
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            assert context.budget is not None
            assert context.budget.calls is not None
            if not self.script:
                return message.reply("done")
            want = min(self.script.pop(), context.budget.calls)
            context.charge(Usage(calls=want))
            raise down()

    kind: OnFailure = "continue" if goes_on else "retry"
    strategy = ErrorStrategy(kind, 3, 0, fallbacks={"a0": ["spare"]})
    team = [Greedy(f"a{n}", script) for n, script in enumerate(scripts)]
    flow = Parallel("p", team, error_strategy=strategy)

    async def run() -> int:
        async with LocalRuntime(flow, Greedy("spare", [])) as rt:
            with contextlib.suppress(AixgoError):
                await answer(rt, "p", "x", budget=Budget(calls=budget))
            return rt.ledger.total.calls

    wanted = sum(sum(script) for script in scripts)
    assert asyncio.run(run()) <= min(budget, wanted)
