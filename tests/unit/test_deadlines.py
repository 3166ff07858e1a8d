"""Deadlines: one timer for many guards, and cancellations counted like asyncio.timeout does."""

import asyncio
import tracemalloc
from collections.abc import Callable

import pytest

from aixgo.deadlines import TICK, Deadlines, Guard
from aixgo.errors import DeadlineExceeded, RuntimeClosed
from tests.unit.manual_clock import ManualClock


class Watched:
    """A task inside guarded code, at a gate nobody opens unless asked."""

    def __init__(self, deadlines: Deadlines, *whens: float) -> None:
        self.inside = asyncio.Event()
        self.gate = asyncio.Event()
        self.log: list[str] = []
        self._deadlines = deadlines
        self.task = asyncio.create_task(self._guarded(list(whens)))

    async def _guarded(self, whens: list[float]) -> str:
        if not whens:
            self.inside.set()
            await self.gate.wait()
            return "done"
        task = asyncio.current_task()
        assert task is not None
        guard = self._deadlines.arm(whens[0], task)
        try:
            return await self._guarded(whens[1:])
        except asyncio.CancelledError:
            guard.disarm()
            if guard.absorbed():
                self.log.append(f"ended by {whens[0]}")
                assert guard.error is not None
                raise guard.error() from None
            self.log.append(f"passed by {whens[0]}")
            raise
        finally:
            guard.disarm()


async def inside(watched: Watched) -> Watched:
    async with asyncio.timeout(5):
        await watched.inside.wait()
    return watched


async def end_of(task: asyncio.Task[str]) -> str | BaseException:
    async with asyncio.timeout(5):
        return (await asyncio.gather(task, return_exceptions=True))[0]


async def test_a_guard_ends_its_task_within_a_tick_of_its_time_and_not_before() -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1001.0))
    clock.advance(1.0 - TICK)
    await asyncio.sleep(0)
    assert not watched.task.done()
    clock.advance(2 * TICK)
    assert isinstance(await end_of(watched.task), DeadlineExceeded)


async def test_work_that_ends_in_time_leaves_nothing_behind() -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1001.0))
    watched.gate.set()
    assert await end_of(watched.task) == "done"
    clock.advance(2.0)
    assert clock.timers == 0


async def test_many_guards_share_one_timer_which_moves_up_for_an_earlier_one() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    late = [await inside(Watched(deadlines, 1005.0)) for _ in range(3)]
    early = await inside(Watched(deadlines, 1001.0))
    assert clock.timers == 1
    clock.advance(1.1)
    assert isinstance(await end_of(early.task), DeadlineExceeded)
    assert [watched.task.done() for watched in late] == [False] * 3
    clock.advance(4)
    assert [type(await end_of(watched.task)) for watched in late] == [DeadlineExceeded] * 3
    assert clock.timers == 0


async def test_of_nested_guards_the_one_that_fired_ends_the_call() -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1005.0, 1001.0))
    clock.advance(1.1)
    assert isinstance(await end_of(watched.task), DeadlineExceeded)
    assert watched.log == ["ended by 1001.0"]

    watched = await inside(Watched(Deadlines(clock), 1002.0, 1009.0))
    clock.advance(2)
    assert isinstance(await end_of(watched.task), DeadlineExceeded)
    assert watched.log == ["passed by 1009.0", "ended by 1002.0"]


async def test_nested_guards_that_fire_together_count_as_one_error_of_the_outer() -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1001.0, 1001.0))
    clock.advance(1.1)
    assert isinstance(await end_of(watched.task), DeadlineExceeded)
    assert watched.log == ["passed by 1001.0", "ended by 1001.0"]
    assert watched.task.cancelling() == 0


@pytest.mark.parametrize("first", ["guard", "caller"])
async def test_a_cancel_at_the_moment_the_deadline_passes_stays_a_cancel(first: str) -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1001.0))
    steps: list[Callable[[], object]] = [lambda: clock.advance(1.1), watched.task.cancel]
    for step in steps if first == "guard" else reversed(steps):
        step()
    assert isinstance(await end_of(watched.task), asyncio.CancelledError)
    assert watched.log == ["passed by 1001.0"]


async def test_a_cancel_from_outside_is_never_taken_for_the_deadline() -> None:
    clock = ManualClock()
    watched = await inside(Watched(Deadlines(clock), 1001.0))
    watched.task.cancel()
    assert isinstance(await end_of(watched.task), asyncio.CancelledError)


async def test_an_absorbed_deadline_leaves_the_task_uncancelled() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    entered = asyncio.Event()

    async def survive() -> int:
        task = asyncio.current_task()
        assert task is not None
        guard = deadlines.arm(clock.monotonic() + 1, task)
        entered.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        assert guard.absorbed()
        await asyncio.sleep(0)  # a task still cancelled would end here
        return task.cancelling()

    task = asyncio.create_task(survive())
    async with asyncio.timeout(5):
        await entered.wait()
        clock.advance(1.1)
        assert await task == 0


async def test_firing_all_ends_each_call_with_the_error_given() -> None:
    deadlines = Deadlines(ManualClock())
    watched = [await inside(Watched(deadlines, 1001.0 + i)) for i in range(3)]
    assert deadlines.fire_all(lambda: RuntimeClosed("stopped")) == 3
    assert [str(await end_of(one.task)) for one in watched] == ["the runtime is stopped"] * 3
    assert deadlines.fire_all(RuntimeClosed) == 0


async def test_a_guard_fires_once_and_may_be_disarmed_at_any_time() -> None:
    task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    guard: Guard = Deadlines(ManualClock()).arm(2000.0, task)
    guard.disarm()
    guard.fire(DeadlineExceeded)
    guard.fire(RuntimeClosed)
    guard.disarm()
    assert isinstance(guard.error() if guard.error else None, DeadlineExceeded)
    assert task.cancelling() == 1
    await asyncio.wait((task,))


async def test_closing_forgets_the_timer() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    watched = await inside(Watched(deadlines, 1001.0))
    deadlines.close()
    assert clock.timers == 0
    watched.gate.set()
    assert await end_of(watched.task) == "done"


async def test_deadlines_that_were_met_take_no_memory() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    task = asyncio.current_task()
    assert task is not None
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            clock.advance(TICK)
            deadlines.arm(clock.monotonic() + 300.0, task).disarm()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


async def test_a_deadline_armed_among_many_that_were_met_still_fires() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    early = await inside(Watched(deadlines, 1000.0 + 0.5))
    late = await inside(Watched(deadlines, 1000.0 + 100.0))
    task = asyncio.current_task()
    assert task is not None
    for number in range(20_000):
        deadlines.arm(1001.0 + number * TICK, task).disarm()
    clock.advance(0.6)
    assert isinstance(await end_of(early.task), DeadlineExceeded)
    clock.advance(100.0)
    assert isinstance(await end_of(late.task), DeadlineExceeded)
