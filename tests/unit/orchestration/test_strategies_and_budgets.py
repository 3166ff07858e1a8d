"""Attempts of a call share what it was lent, and what they spend is counted once."""

from __future__ import annotations

import pytest

from aixgo import Budget, LocalRuntime, Message, Usage
from aixgo.errors import AgentRefused, LimitExceeded
from aixgo.orchestration import ErrorStrategy, Limits, Parallel, Sequential
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
