"""A clock that stands still until told otherwise."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from aixgo.context import Callback

__all__ = ["FakeClock"]


class FakeClock:
    """Implements `aixgo.context.Clock`: give it to a runtime as `clock=`.

    Args:
        now: the Unix time it shows at first.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._start = now
        self._elapsed = 0.0
        self._order = count()
        self._timers: list[tuple[float, int, _Timer]] = []

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def time(self) -> float:
        """Unix seconds."""
        return self._start + self._elapsed

    def call_later(self, delay: float, callback: Callback) -> _Timer:
        """Run `callback` once `delay` seconds have been advanced."""
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._elapsed + max(0.0, delay), next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass: timers that fall due fire in order, each seeing its own moment."""
        end = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, when)
            if timer.callback is not None:
                timer.callback()
                await asyncio.sleep(0)  # what it woke may set the next timer
        self._elapsed = end
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None
