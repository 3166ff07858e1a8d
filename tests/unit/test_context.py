"""The context of a call: time, path, keys, randomness, spending."""

import pytest

from aixgo.context import MAX_HOPS, CallContext, Hop, SystemClock
from aixgo.errors import DeadlineExceeded, HopLimit, NotBound
from aixgo.ledger import Usage
from tests.unit.manual_clock import ManualClock


def a_context(
    key: str = "run", *, timeout: float = 10.0, clock: ManualClock | None = None, hops: int = 1
) -> CallContext:
    clock = clock or ManualClock()
    return CallContext(
        "writer",
        deadline=clock.monotonic() + timeout,
        clock=clock,
        key=key,
        hops=tuple(Hop("here", f"a{i}", key) for i in range(hops)),
    )


def test_outside_a_call_there_is_no_current_context() -> None:
    assert CallContext.maybe_current() is None
    with pytest.raises(NotBound, match="code outside a call"):
        CallContext.current()


def test_remaining_shrinks_with_the_runtimes_clock_and_the_deadline_can_be_checked() -> None:
    clock = ManualClock()
    context = a_context(timeout=10, clock=clock)
    clock.advance(4)
    assert context.remaining == 6
    context.check_deadline()
    clock.advance(6)
    with pytest.raises(DeadlineExceeded, match="'writer'"):
        context.check_deadline()


def test_a_repeated_step_gets_a_counted_key_whatever_else_is_called() -> None:
    context = a_context("run")
    keys = [context.child_key(step) for step in ("a", "b", "a", "a", "b")]
    assert keys == ["run/a", "run/b", "run/a[1]", "run/a[2]", "run/b[1]"]


def test_narrowing_shortens_and_never_extends() -> None:
    clock = ManualClock()
    context = a_context(timeout=10, clock=clock, hops=2)
    context.narrow(timeout=3, max_depth=5)
    assert (context.remaining, context.max_hops) == (3, 7)
    context.narrow(timeout=300, max_depth=100)
    assert (context.remaining, context.max_hops) == (3, 7)


def test_a_path_may_be_as_long_as_its_limit_and_no_longer() -> None:
    a_context(hops=MAX_HOPS - 1).check_hops("next")
    with pytest.raises(HopLimit) as caught:
        a_context(hops=MAX_HOPS).check_hops("next")
    assert (caught.value.value, caught.value.where) == (MAX_HOPS, "next")


def test_the_same_call_draws_the_same_numbers_and_another_call_others() -> None:
    def draws(key: str) -> list[float]:
        context = a_context(key)
        return [context.random.random() for _ in range(3)]

    assert draws("run/a") == draws("run/a")
    assert draws("run/a") != draws("run/b")


def test_spending_adds_up_and_nothing_charged_is_nothing_spent() -> None:
    context = a_context()
    context.charge(None)
    context.charge(Usage())
    assert context.spent is None
    context.charge(Usage(calls=1, cost_nanos=5))
    context.charge(Usage(calls=1, tokens_prompt=2))
    assert context.usage == Usage(calls=2, cost_nanos=5, tokens_prompt=2)
    assert context.spent is context.usage


def test_time_and_ids_come_from_the_context() -> None:
    clock = ManualClock()
    context = a_context(clock=clock)
    assert context.now() == clock.time()
    assert context.new_id() != context.new_id()


def test_the_system_clock_runs_forward() -> None:
    clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first
    assert clock.time() > 1_600_000_000
