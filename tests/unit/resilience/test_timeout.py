"""A bound on one attempt: it is ended and cancelled, and another may follow within the call's deadline."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.errors import (
    AixgoError,
    AttemptTimeout,
    ConfigError,
    DeadlineExceeded,
    ProviderUnavailable,
)
from aixgo.resilience import Retry, Timeout
from aixgo.testing import FakeClock
from tests.unit.resilience.seams import Asker, Got, Hang, JumpClock

BOUND = 5.0  # seconds after which a wait that should end counts as a hang


def error_of(asker: Asker) -> type[AixgoError]:
    return ProviderUnavailable if asker.seam == "model" else AttemptTimeout


async def ended(asker: Asker, clock: FakeClock, hang: Hang, seconds: float) -> Got:
    """What comes of a call that hangs, once `seconds` have passed."""
    task = asyncio.create_task(asker.ask())
    async with asyncio.timeout(BOUND):
        await hang.begun.wait()
        await clock.advance(seconds)
        return await task


async def test_an_attempt_that_takes_too_long_is_cancelled(asker: Asker) -> None:
    clock, hang = FakeClock(), Hang()
    async with asker.set_up([Timeout(3, clock=clock)], [hang]):
        with pytest.raises(error_of(asker)) as caught:
            await ended(asker, clock, hang, 3)
    assert hang.cancelled
    assert caught.value.retryable
    assert getattr(caught.value, "code", "timeout") == "timeout"
    assert getattr(caught.value, "seconds", 3) == 3


async def test_an_answer_in_time_leaves_no_timer(asker: Asker) -> None:
    clock = FakeClock()
    async with asker.set_up([Timeout(3, clock=clock)], ["done"]):
        assert (await asker.ask()).pieces == ["done"]
    assert clock._timers
    assert all(timer.callback is None for _, _, timer in clock._timers)


async def test_what_was_ended_is_tried_again(asker: Asker) -> None:
    clock, hang = FakeClock(), Hang()
    policies = [Retry(jitter=False, clock=JumpClock()), Timeout(3, clock=clock)]
    async with asker.set_up(policies, [hang, "done"]):
        got = await ended(asker, clock, hang, 3)
    assert got.pieces == ["done"]
    assert got.facts["retries"] == 1
    if asker.seam == "model":
        assert (got.usage.calls, got.usage.retries) == (2, 1)


async def test_a_stream_may_be_silent_between_two_pieces_for_as_long(asker: Asker) -> None:
    if not asker.streaming:
        return
    clock, hang = FakeClock(), Hang(after=["It ", "is"])
    policies = [Retry(clock=JumpClock()), Timeout(3, idle=10, clock=clock)]
    async with asker.set_up(policies, [hang, "done"]):
        task = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            await hang.begun.wait()
            await clock.advance(9)
            assert not task.done()
            await clock.advance(1)
            with pytest.raises(error_of(asker)):
                await task
    assert asker.seen == ["It ", "is"]
    assert hang.cancelled
    assert asker.script.asked == 1


async def test_the_deadline_of_the_call_is_another_error(asker: Asker) -> None:
    hang = Hang()
    async with asker.set_up([Timeout(30)], [hang]):
        with pytest.raises(DeadlineExceeded):
            await asker.ask(timeout=0.02)
    assert hang.cancelled


async def test_a_cancelled_call_stays_cancelled(asker: Asker) -> None:
    clock, hang = FakeClock(), Hang()
    async with asker.set_up([Retry(clock=JumpClock()), Timeout(3, clock=clock)], [hang, "done"]):
        task = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            await hang.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asker.script.asked == 1
    assert all(timer.callback is None for _, _, timer in clock._timers)


async def test_a_call_that_is_cancelled_as_its_time_runs_out_stays_cancelled(asker: Asker) -> None:
    clock, hang = FakeClock(), Hang()
    async with asker.set_up([Timeout(3, clock=clock)], [hang]):
        task = asyncio.create_task(asker.ask())
        async with asyncio.timeout(BOUND):
            await hang.begun.wait()
        task.cancel()
        for _, _, timer in clock._timers:  # in the same turn of the loop
            if timer.callback is not None:
                timer.callback()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("wrong", [(0.0,), (-1.0,), (float("nan"),), (1.0, 0.0)], ids=str)
def test_a_time_that_is_none_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="Timeout: "):
        Timeout(*wrong)
