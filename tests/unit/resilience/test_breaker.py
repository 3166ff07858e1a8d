"""The circuit breaker: when a backend is left alone, and what lets it back in."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aixgo.errors import (
    AixgoError,
    CircuitOpen,
    ConfigError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from aixgo.resilience import CircuitBreaker, Retry
from aixgo.resilience.breaker import Circuit, Permit
from tests.unit.resilience.seams import Answer, Asker, Broken, Hang, JumpClock

BOUND = 5.0  # seconds after which a wait that should end counts as a hang


def down() -> ProviderUnavailable:
    return ProviderUnavailable("down", provider="acme", code="overloaded")


async def outcomes(asker: Asker, count: int) -> list[str]:
    found = []
    for _ in range(count):
        try:
            await asker.ask()
            found.append("ok")
        except AixgoError as exc:
            found.append(type(exc).__name__)
    return found


async def test_failures_in_a_row_open_it_and_then_nothing_is_asked(asker: Asker) -> None:
    clock = JumpClock()
    breaker = CircuitBreaker(3, 60, clock=clock)
    async with asker.set_up([breaker], [down()]):
        assert await outcomes(asker, 5) == ["ProviderUnavailable"] * 3 + ["CircuitOpen"] * 2
        clock.now += 45
        with pytest.raises(CircuitOpen) as caught:
            await asker.ask()
    assert asker.script.asked == 3
    assert caught.value.retry_after == 15
    assert asker.backend in str(caught.value)
    assert breaker.states == {asker.backend: "open"}


async def test_a_success_between_them_begins_the_count_anew(asker: Asker) -> None:
    breaker = CircuitBreaker(2, clock=JumpClock())
    async with asker.set_up([breaker], [down(), "ok", down(), "ok", down(), "ok"]):
        assert "CircuitOpen" not in await outcomes(asker, 6)
    assert breaker.states == {asker.backend: "closed"}


async def test_what_the_caller_did_wrong_and_limits_of_rate_do_not_count(asker: Asker) -> None:
    wrong = RequestRejected("no", provider="acme", code="invalid_request")
    breaker = CircuitBreaker(1, clock=JumpClock())
    async with asker.set_up([breaker], [wrong, RateLimited(provider="p"), wrong, "ok"]):
        found = await outcomes(asker, 4)
    assert found == ["RequestRejected", "RateLimited", "RequestRejected", "ok"]


async def test_a_stream_counts_at_its_end(asker: Asker) -> None:
    breaker = CircuitBreaker(1, clock=JumpClock())
    async with asker.set_up([breaker], [Broken(["half"], down())]):
        assert await outcomes(asker, 2) == ["ProviderUnavailable", "CircuitOpen"]
    assert breaker.states == {asker.backend: "open"}


async def test_a_cancelled_call_does_not_count(asker: Asker) -> None:
    hang = Hang(after=["half"])
    breaker = CircuitBreaker(1, clock=JumpClock())
    async with asker.set_up([breaker], [hang, "ok"]):
        task = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            await hang.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await outcomes(asker, 1) == ["ok"]


async def test_a_few_trials_that_all_succeed_close_it(asker: Asker) -> None:
    clock = JumpClock()
    breaker = CircuitBreaker(1, 60, 2, clock=clock)
    async with asker.set_up([breaker], [down(), "ok"]):
        await outcomes(asker, 2)
        clock.now += 60
        assert await outcomes(asker, 1) == ["ok"]
        assert breaker.states == {asker.backend: "half_open"}
        assert await outcomes(asker, 1) == ["ok"]
        assert breaker.states == {asker.backend: "closed"}


async def test_one_trial_that_fails_opens_it_for_the_whole_time_again(asker: Asker) -> None:
    clock = JumpClock()
    answers: list[Answer] = [down(), "ok", down(), "ok"]
    async with asker.set_up([CircuitBreaker(1, 60, 2, clock=clock)], answers):
        await outcomes(asker, 1)
        clock.now += 60
        assert await outcomes(asker, 3) == ["ok", "ProviderUnavailable", "CircuitOpen"]
        clock.now += 59
        assert await outcomes(asker, 1) == ["CircuitOpen"]
        clock.now += 1
        assert await outcomes(asker, 1) == ["ok"]


async def test_only_so_many_trials_are_let_in_at_a_time(asker: Asker) -> None:
    clock, hang = JumpClock(), Hang()
    async with asker.set_up([CircuitBreaker(1, 60, 1, clock=clock)], [down(), hang, "ok"]):
        await outcomes(asker, 1)
        clock.now += 60
        trial = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            await hang.begun.wait()
        assert await outcomes(asker, 1) == ["CircuitOpen"]
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        assert await outcomes(asker, 1) == ["ok"]  # the one that was cancelled gave its place back


async def test_an_open_circuit_is_not_retried_before_it_says_so(asker: Asker) -> None:
    clock = JumpClock()
    policies = [
        Retry(clock=clock, jitter=False, retry_delay=1),
        CircuitBreaker(1, 15, 1, clock=clock),
    ]
    async with asker.set_up(policies, [down(), "done"]):
        got = await asker.ask(timeout=30)
    assert got.facts["retries"] == 2
    assert clock.waits == [1.0, 14.0]
    assert asker.script.asked == 2


async def test_agents_have_a_circuit_each(agent_asker: Asker) -> None:
    breaker = CircuitBreaker(1, clock=JumpClock())
    agent_asker.other(["fine"])
    async with agent_asker.set_up([breaker], [down()]):
        await outcomes(agent_asker, 1)
        assert agent_asker.runtime is not None
        assert (await agent_asker.runtime.call("backup", "x")).text == "fine"
    assert breaker.states == {"acme": "open", "backup": "closed"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"half_open_attempts": 0},
        {"recovery_timeout": 0.0},
        {"recovery_timeout": float("inf")},
    ],
    ids=str,
)
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="CircuitBreaker: "):
        CircuitBreaker(**wrong)  # type: ignore[arg-type]


class CircuitMachine(RuleBasedStateMachine):
    """A circuit against its rules, written as a list of what happened since the last change of state."""

    THRESHOLD, RECOVERY, TRIALS = 3, 10.0, 2

    def __init__(self) -> None:
        super().__init__()
        self.clock = JumpClock()
        self.circuit = Circuit(
            CircuitBreaker(self.THRESHOLD, self.RECOVERY, self.TRIALS, clock=self.clock)
        )
        self.state = "closed"
        self.in_a_row = 0
        self.opened_at = 0.0
        self.open_trials: list[Permit] = []
        self.successes = 0
        self.permits: list[Permit] = []
        self.old: set[int] = set()
        """Ids of permits of an earlier state, which decide nothing."""

    def become(self, state: str) -> None:
        self.state = state
        self.in_a_row = self.successes = 0
        self.open_trials = []
        self.old |= {id(permit) for permit in self.permits}
        if state == "open":
            self.opened_at = self.clock.now

    @rule()
    def ask(self) -> None:
        if self.state == "open" and self.clock.now >= self.opened_at + self.RECOVERY:
            self.become("half_open")
        expected = self.state == "closed" or (
            self.state == "half_open" and len(self.open_trials) + self.successes < self.TRIALS
        )
        if not expected:
            with pytest.raises(CircuitOpen) as refused:
                self.circuit.admit("b")
            left = self.opened_at + self.RECOVERY - self.clock.now
            assert refused.value.retry_after == (left if self.state == "open" else 0)
            return
        permit = self.circuit.admit("b")
        self.permits.append(permit)
        if self.state == "half_open":
            self.open_trials.append(permit)

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), how=st.sampled_from(["ok", "failed", "refused", "left"]))
    def end(self, data: st.DataObject, how: str) -> None:
        permit = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        error: BaseException | None = {
            "ok": None,
            "failed": down(),
            "refused": RequestRejected("no"),
            "left": asyncio.CancelledError(),
        }[how]
        permit.ended(error)
        if id(permit) in self.old:
            self.old.discard(id(permit))
            return
        if permit in self.open_trials:
            self.open_trials.remove(permit)
        if how == "ok":
            self.in_a_row = 0
            if self.state == "half_open":
                self.successes += 1
                if self.successes == self.TRIALS:
                    self.become("closed")
        elif how == "failed":
            self.in_a_row += 1
            if self.state == "half_open" or self.in_a_row == self.THRESHOLD:
                self.become("open")

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def the_states_agree(self) -> None:
        assert self.circuit.state == self.state


CircuitMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCircuit = CircuitMachine.TestCase
