"""A clock that moves when a test says so."""

from __future__ import annotations

from collections.abc import Callable


class ManualClock:
    """Implements `Clock`; `advance` runs what falls due, in order."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._timers: list[tuple[float, int, _Timer]] = []
        self._made = 0

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return 1_700_000_000.0 + self._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        self._made += 1
        self._timers.append((self._now + delay, self._made, timer))
        return timer

    @property
    def timers(self) -> int:
        """How many callbacks are due in the future."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and min(self._timers)[0] <= end:
            due = min(self._timers)
            self._timers.remove(due)
            self._now = max(self._now, due[0])
            if not due[2].cancelled:
                due[2].callback()
        self._now = end


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
