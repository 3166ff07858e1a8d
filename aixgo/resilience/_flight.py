"""Equal requests that are out at the same time: one leads and asks, the others wait for what it gets.

Who leads is not known to be read: a stream may be left open by somebody who never reads on. So every wait has a
bound, after which a request goes out for itself.

Used from one event loop. Below: context. Above: cache.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Literal, TypeAlias, TypeVar

from aixgo.context import Clock
from aixgo.errors import ProviderError

__all__ = ["Flight", "Flights", "Outcome"]

MAX_JOINED = 1_000  # requests that wait for one; one more goes out for itself

K = TypeVar("K")
T = TypeVar("T")
Outcome: TypeAlias = T | ProviderError | Literal["lead", "ask"]
"""What became of a wait: an answer, the leader's error, its place, or nothing, so that one asks for oneself."""


class Flight(Generic[T]):
    """One request that is out, and who waits for its answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.since = clock.monotonic()
        """When its present leader began."""
        self.led = True
        """False once its leader is gone and nobody took its place."""
        self._waiting: deque[asyncio.Future[Outcome[T]]] = deque()

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MAX_JOINED

    async def join(self, seconds: float) -> Outcome[T]:
        """What the leader got, or what to do instead; after `seconds` that is to ask."""
        waiter: asyncio.Future[Outcome[T]] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)

        def give_up() -> None:
            _tell(waiter, "ask")

        timer = self._clock.call_later(seconds, give_up)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result() == "lead":
                self.hand_over()
            raise
        finally:
            timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def hand_over(self) -> bool:
        """Have the first who waits lead; False if nobody does."""
        self.since = self._clock.monotonic()
        while self._waiting:
            if _tell(self._waiting.popleft(), "lead"):
                return True
        self.led = False
        return False

    def land(self, outcome: Outcome[T]) -> None:
        """Tell all who wait."""
        while self._waiting:
            _tell(self._waiting.popleft(), outcome)


class Flights(Generic[K, T]):
    """The requests that are out, each under its key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out: dict[K, Flight[T]] = {}

    def find(self, key: K) -> Flight[T] | None:
        return self._out.get(key)

    def begin(self, key: K) -> Flight[T]:
        """A new one, in the place of any other."""
        flight: Flight[T] = Flight(self._clock)
        self._out[key] = flight
        return flight

    def end(self, key: K, flight: Flight[T]) -> None:
        """Forget `flight`, unless another has its place by now."""
        if self._out.get(key) is flight:
            del self._out[key]


def _tell(waiter: asyncio.Future[Outcome[T]], outcome: Outcome[T]) -> bool:
    if waiter.done():
        return False
    waiter.set_result(outcome)
    return True
