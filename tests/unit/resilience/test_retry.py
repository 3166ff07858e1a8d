"""Retries: what is tried again, when, and for how long."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo import Budget, LocalRuntime, tool
from aixgo.agents import ChatAgent
from aixgo.errors import (
    AixgoError,
    CircuitOpen,
    ConfigError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    Unavailable,
)
from aixgo.providers import ToolCall
from aixgo.resilience import Retry
from aixgo.resilience.retry import Backoff, RetryBudget
from aixgo.testing import FakeClock, ScriptedProvider
from tests.unit.resilience.seams import Asker, Broken, JumpClock

BOUND = 5.0  # seconds after which a wait that should end counts as a hang


def down(retry_after: float = 0.0) -> ProviderUnavailable:
    return ProviderUnavailable("down", provider="acme", code="overloaded", retry_after=retry_after)


def retry(clock: JumpClock | None = None, **settings: object) -> Retry:
    return Retry(jitter=False, clock=clock or JumpClock(), **settings)  # type: ignore[arg-type]


async def test_it_asks_again_until_there_is_an_answer_and_says_how_often(asker: Asker) -> None:
    clock = JumpClock()
    async with asker.set_up([retry(clock)], [down(), down(), "done"]):
        got = await asker.ask()
    assert got.pieces == ["done"]
    assert got.facts["retries"] == 2
    assert clock.waits == [2.0, 4.0]


async def test_an_answer_at_once_says_nothing_of_retries(asker: Asker) -> None:
    async with asker.set_up([retry()], ["done"]):
        got = await asker.ask()
    assert "retries" not in got.facts
    assert asker.script.asked == 1


async def test_the_last_error_is_raised_when_there_are_no_more(asker: Asker) -> None:
    async with asker.set_up([retry(max_retries=2)], [down(), down(), RateLimited(provider="p")]):
        with pytest.raises(RateLimited):
            await asker.ask()
    assert asker.script.asked == 3


@pytest.mark.parametrize(
    "error",
    [
        RequestRejected("no", provider="acme", code="authentication"),
        Unavailable("acme", "lost", outcome="unknown"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_cannot_succeed_or_may_have_happened_is_not_asked_again(
    asker: Asker, error: AixgoError
) -> None:
    async with asker.set_up([retry()], [error, "done"]):
        with pytest.raises(type(error)):
            await asker.ask()
    assert asker.script.asked == 1


async def test_the_server_says_when_to_come_back(asker: Asker) -> None:
    clock = JumpClock()
    errors = [down(7.5), RateLimited(provider="p", retry_after=0.25), CircuitOpen("p", 3.0)]
    async with asker.set_up([retry(clock)], [*errors, "done"]):
        await asker.ask()
    assert clock.waits == [7.5, 0.25, 3.0]


async def test_a_wait_that_ends_behind_the_deadline_is_not_begun(asker: Asker) -> None:
    clock = JumpClock()
    async with asker.set_up([retry(clock)], [down(30.0), "done"]):
        with pytest.raises(ProviderUnavailable):
            await asker.ask(timeout=20)
    assert clock.waits == []


async def test_nobody_waits_an_hour_for_a_server(asker: Asker) -> None:
    async with asker.set_up([retry()], [down(3600.0), "done"]):
        with pytest.raises(ProviderUnavailable) as caught:
            await asker.ask(timeout=10_000)
    assert caught.value.retry_after == 3600.0


async def test_after_the_first_piece_an_error_passes_as_it_is(asker: Asker) -> None:
    async with asker.set_up([retry()], [Broken(["It ", "is"], down()), "done"]):
        if asker.streaming:
            with pytest.raises(ProviderUnavailable):
                await asker.ask()
            assert asker.seen == ["It ", "is"]
        else:
            assert (await asker.ask()).pieces == ["done"]


async def test_every_attempt_is_charged_to_the_call(model_asker: Asker) -> None:
    async with model_asker.set_up([retry()], [down(), down(), "done"]):
        got = await model_asker.ask()
    assert (got.usage.calls, got.usage.retries, got.usage.tokens_total) == (3, 2, 35)
    assert model_asker.told == got.usage


async def test_the_error_at_the_end_says_what_all_attempts_spent(model_asker: Asker) -> None:
    async with model_asker.set_up([retry(max_retries=1)], [down(), down()]):
        with pytest.raises(ProviderUnavailable) as caught:
            await model_asker.directly()
    assert caught.value.usage is not None
    assert caught.value.usage.calls == 2


async def test_a_reply_counts_the_retries_of_all_its_rounds() -> None:
    @tool
    def length(text: str) -> int:
        return len(text)

    provider = ScriptedProvider(
        [down(), ToolCall("1", "length", '{"text": "abc"}'), down(), down(), "three"]
    )
    agent = ChatAgent("chat", provider=provider, tools=[length], middleware=[retry()])
    async with LocalRuntime(agent) as rt:
        reply = await rt.call("chat", "how long is abc?")
    assert reply.text == "three"
    assert reply.metadata["retries"] == 3


async def test_each_attempt_of_an_agent_has_the_path_of_the_first(agent_asker: Asker) -> None:
    async with agent_asker.set_up([retry()], [down(), down(), "done"]):
        await agent_asker.ask(budget=Budget(tokens=100))
    assert agent_asker.agent.paths == [("acme",)] * 3


async def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing(asker: Asker) -> None:
    clock = FakeClock()
    policy = Retry(jitter=False, clock=clock)
    async with asker.set_up([policy], [down(), "done"]):
        task = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            while not clock._timers:
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(timer.callback is None for _, _, timer in clock._timers)
        await clock.advance(10)
    assert asker.script.asked == 1


async def test_when_everything_fails_few_calls_are_retried(asker: Asker) -> None:
    policy = retry(max_retries=3, retry_delay=0, budget_floor=2, budget_ratio=0.1)
    async with asker.set_up([policy], [down()]):
        for _ in range(40):
            with pytest.raises(ProviderUnavailable):
                await asker.ask()
    assert asker.script.asked == 40 + 6  # a tenth of forty, and two


@given(retry=st.integers(1, 10_000), seed=st.integers(0, 1000))
def test_the_wait_is_a_random_part_of_a_delay_that_doubles_up_to_a_bound(
    retry: int, seed: int
) -> None:
    whole = Backoff(0.5, 60, jitter=False).wait(retry, down(), random.Random(seed))
    part = Backoff(0.5, 60).wait(retry, down(), random.Random(seed))
    assert whole is not None
    assert part is not None
    assert whole == min(60.0, 0.5 * 2 ** min(retry - 1, 20))
    assert 0 <= part <= whole


@given(asked=st.floats(allow_nan=True, allow_infinity=True))
def test_what_a_peer_says_about_waiting_is_taken_only_if_it_is_a_time(asked: float) -> None:
    wait = Backoff(1, jitter=False).wait(1, down(asked), random.Random(0))
    assert wait is None or 0 < wait <= 300


def test_a_budget_forgets_what_is_a_minute_old() -> None:
    clock = JumpClock()
    budget = RetryBudget(clock, ratio=0.5, floor=1)
    for _ in range(4):
        budget.call()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 61
    assert [budget.take() for _ in range(2)] == [True, False]


@given(
    st.lists(
        st.one_of(st.just("call"), st.just("take"), st.floats(0.1, 30)), min_size=1, max_size=200
    )
)
def test_in_any_minute_a_budget_gives_at_most_its_share(steps: list[str | float]) -> None:
    clock = JumpClock()
    budget = RetryBudget(clock, ratio=0.2, floor=3)
    calls: list[float] = []
    given_: list[float] = []
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif step == "call":
            budget.call()
            calls.append(clock.now)
        elif budget.take():
            given_.append(clock.now)
    for end in given_:
        recent = sum(end - 54 < at <= end for at in given_)  # whole slots of six seconds
        within = sum(end - 60 < at <= end for at in calls)
        assert recent <= 3 + 0.2 * within + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"retry_delay": -1.0},
        {"max_delay": float("inf")},
        {"budget_ratio": 1.5},
        {"budget_floor": -1},
    ],
    ids=str,
)
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Retry: "):
        Retry(**wrong)  # type: ignore[arg-type]
