"""One timer for all deadlines of a runtime.

`asyncio.timeout` costs more than a whole local call, so the runtime keeps its own: deadlines are rounded
up to a tick, guards of one tick share a bucket, and a heap of ticks drives a single loop timer. Arming
and disarming is a set operation; a disarmed guard leaves nothing behind.

A guard watches one task. When it fires it cancels the task, and the code that armed it turns the
cancellation into the guard's error, exactly once and only if nobody else cancelled the task as well (the
accounting of `asyncio.timeout`).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from aixgo.context import Clock, TimerHandle
from aixgo.errors import AixgoError, DeadlineExceeded

__all__ = ["Deadlines", "Guard"]

TICK = 0.002  # seconds; how much later than asked a deadline may fire
SWEEP_AT = 1_000  # buckets kept, at least, before those whose guards are all disarmed are forgotten


class Guard:
    """One armed deadline on one task."""

    __slots__ = ("_bucket", "_cancelling", "error", "task")

    def __init__(self, task: asyncio.Task[object], bucket: set[Guard]) -> None:
        self.task = task
        self.error: Callable[[], AixgoError] | None = None
        """Set when the guard fired: makes the error the cancellation stands for."""
        self._cancelling = task.cancelling()
        self._bucket = bucket

    def disarm(self) -> None:
        """Stop watching. Harmless after the guard fired."""
        self._bucket.discard(self)

    def fire(self, error: Callable[[], AixgoError]) -> None:
        """End the task's current step with `error`."""
        if self.error is None:
            self.error = error
            self._bucket.discard(self)
            self.task.cancel()

    def absorbed(self) -> bool:
        """True if this guard fired and nobody else cancelled the task: raise `error` instead.

        Call it once, on the way out of the guarded code.
        """
        return self.error is not None and self.task.uncancel() <= self._cancelling


class Deadlines:
    """The armed guards of one runtime. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop, once anything was armed: looking it up is a system call before Python 3.12."""
        self._buckets: dict[float, set[Guard]] = {}
        """By tick, the number of its end in units of TICK."""
        self._ticks: list[float] = []
        self._timer: TimerHandle | None = None
        self._timer_tick = 0.0
        self._sweep_at = SWEEP_AT

    def arm(self, when: float, task: asyncio.Task[object]) -> Guard:
        """Guard `task`, the current one, until `when` on the clock's monotonic axis."""
        tick = when // TICK + 1.0
        bucket = self._buckets.get(tick)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep()
            self.loop = task.get_loop()
            bucket = self._buckets[tick] = set()
            heapq.heappush(self._ticks, tick)
            if self._timer is None or tick < self._timer_tick:
                self._schedule(tick)
        guard = Guard(task, bucket)
        bucket.add(guard)
        return guard

    def fire_all(self, error: Callable[[], AixgoError]) -> int:
        """End every guarded call with `error`; the count of those ended."""
        guards = [guard for bucket in self._buckets.values() for guard in bucket]
        for guard in guards:
            guard.fire(error)
        return len(guards)

    def close(self) -> None:
        """Forget the timer. Guards still armed stay harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        """Forget empty buckets; done when their count may have doubled, so that it costs arming little."""
        self._buckets = {tick: bucket for tick, bucket in self._buckets.items() if bucket}
        self._ticks = sorted(self._buckets)  # which is a heap
        self._sweep_at = 2 * len(self._buckets) + SWEEP_AT

    def _schedule(self, tick: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        self._timer = self._clock.call_later(
            max(0.0, tick * TICK - self._clock.monotonic()), self._expire
        )

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._ticks and self._ticks[0] * TICK <= now:
            for guard in tuple(self._buckets.pop(heapq.heappop(self._ticks))):
                guard.fire(_deadline_passed)
        while self._ticks and not self._buckets[self._ticks[0]]:  # disarmed: nothing to wake up for
            del self._buckets[heapq.heappop(self._ticks)]
        if self._ticks:
            self._schedule(self._ticks[0])


def _deadline_passed() -> AixgoError:
    return DeadlineExceeded()
