"""What was used within the last minute, and what is on its way to be used.

A strict sliding window: at no moment do the amounts of the 60 seconds before it, and those that are held for calls
under way, exceed the limit by the window's doing. (A bucket that refills lets nearly twice its size through within
one minute.) An amount is *held* before it is used, and *settled* when it has been: what was used of it leaves the
window 60 seconds later, and the rest is free at once.

It knows no time of its own and waits for nothing. Below: nothing. Above: `_gate`.
"""

from __future__ import annotations

from collections import deque

__all__ = ["MINUTE", "Used", "Window"]

MINUTE = 60.0  # seconds


class Used:
    """An amount that counts until `until`, unless it is voided before."""

    __slots__ = ("amount", "until")

    def __init__(self, amount: int, until: float) -> None:
        self.amount = amount
        self.until = until


class Window:
    """Whole units of something of which `limit` may be used in a minute."""

    __slots__ = ("_held", "_settled", "_used", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._used = 0
        self._settled: deque[Used] = deque()  # the oldest first

    @property
    def left(self) -> int:
        """What can be held or used now."""
        return max(0, self.limit - self._used - self._held)

    def fits(self, amount: int) -> bool:
        """Whether `amount` can be held or used now."""
        return self._used + self._held + amount <= self.limit

    def expire(self, now: float) -> None:
        """Forget what was used a minute ago. Whoever asks anything else does this first."""
        while self._settled and self._settled[0].until <= now:
            self.void(self._settled.popleft())

    def hold(self, amount: int) -> None:
        """Count `amount` until it is settled."""
        self._held += amount

    def settle(self, held: int, used: int, now: float) -> None:
        """Of what was `held`, or besides it, `used` was used."""
        self._held -= held
        if used:
            self.use(used, now)

    def use(self, amount: int, now: float) -> Used:
        """Count `amount` for a minute from now."""
        used = Used(amount, now + MINUTE)
        self._used += amount
        self._settled.append(used)
        return used

    def void(self, used: Used) -> None:
        """It was not used after all. Harmless once it has left the window."""
        self._used -= used.amount
        used.amount = 0

    @property
    def next_change(self) -> float | None:
        """When time alone next frees something, or nearly."""
        return self._settled[0].until if self._settled else None

    def soonest(self, amount: int, now: float) -> float:
        """The first moment at which `amount` can fit, should all that is held come back unused."""
        excess = self._used + amount - self.limit
        for used in self._settled:
            if excess <= 0:
                break
            excess -= used.amount
            now = used.until
        return now
