"""Trying again: only what may succeed later, only while there is time, and never as a storm.

The wait before retry n is a random part of `delay * 2^(n-1)`; a server that says when to come back is obeyed
instead. A wait that would end behind the call's deadline is not begun: the error comes at once. Retries are
also bounded in number over all calls of a backend by a budget: the idea is Finagle's `RetryBudget` (a share of
calls on top of a minimum), the share of 10 % that of the client-side budget in Google's "Site Reliability
Engineering", chapter "Handling Overload".

Below: base. Above: orchestration, which uses `Backoff` for its own strategies; config.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from aixgo.context import Clock, SystemClock
from aixgo.errors import AixgoError, ConfigError
from aixgo.keys import Key
from aixgo.measures import Counter
from aixgo.message import JSONValue
from aixgo.resilience._attempts import Restartable, Tally
from aixgo.resilience.base import (
    Backends,
    Call,
    Pieces,
    Policy,
    Reply,
    Whole,
    pause,
)

__all__ = ["POLICY", "Backoff", "Retry", "RetryBudget"]

MAX_RETRIES = 3
DELAY = 2.0  # seconds
MAX_DELAY = 60.0  # seconds
LONGEST_WAIT = 300.0  # seconds; a server that asks for more is not waited for
WINDOW = 60.0  # seconds a retry budget looks back
SLOTS = 10  # parts of that window, forgotten one at a time
BUDGET_RATIO = 0.1
BUDGET_FLOOR = (
    10  # retries in a window that every backend may have, so that a lone call is retried too
)

log = logging.getLogger("aixgo.resilience")

RETRIES = Counter("aixgo.retries", labels=2)
"""By backend, and whether it was `made` or the budget of retries was used up."""


@dataclass(slots=True, frozen=True)
class Backoff:
    """How long to wait before which retry."""

    delay: float = DELAY
    """Seconds before the first retry; doubles with each."""
    max_delay: float = MAX_DELAY
    jitter: bool = True
    """Wait a random part of the delay, so that callers who failed together do not return together."""

    def wait(self, retry: int, error: AixgoError, chance: random.Random) -> float | None:
        """Seconds before retry number `retry`, from 1, after `error`; None when it makes no sense."""
        if not error.retryable:
            return None
        asked = error.retry_after
        if 0 < asked < math.inf:
            return asked if asked <= LONGEST_WAIT else None
        most = min(self.max_delay, self.delay * 2.0 ** min(retry - 1, 64))
        return chance.uniform(0.0, most) if self.jitter else most


class RetryBudget:
    """How many retries a backend gets: `floor` in a minute, and `ratio` of the calls of that minute."""

    def __init__(
        self, clock: Clock, ratio: float = BUDGET_RATIO, floor: int = BUDGET_FLOOR
    ) -> None:
        self._clock = clock
        self._ratio = ratio
        self._floor = floor
        self._slots: deque[list[float]] = deque()  # [number, calls, retries]
        self._calls = 0.0
        self._retries = 0.0

    def call(self) -> None:
        """Count a call; retries are not calls."""
        self._slot()[1] += 1
        self._calls += 1

    def take(self) -> bool:
        """Count a retry, if there is one left."""
        slot = self._slot()
        if self._retries >= self._floor + self._ratio * self._calls:
            return False
        slot[2] += 1
        self._retries += 1
        return True

    def _slot(self) -> list[float]:
        number = self._clock.monotonic() * SLOTS // WINDOW
        slots = self._slots
        if slots and slots[-1][0] == number:
            return slots[-1]
        while slots and slots[0][0] <= number - SLOTS:
            _, calls, retries = slots.popleft()
            self._calls -= calls
            self._retries -= retries
        slots.append([number, 0.0, 0.0])
        return slots[-1]


class Retry(Policy):
    """Tries again what failed and may succeed later; the reply says how many `retries` it took.

    Only errors that say so are retried, so nothing whose outcome is unknown is. A stream is begun again only before its
    first piece. Each attempt is charged to the call.

    Args:
        max_retries: attempts after the first one.
        retry_delay: seconds before the first retry; doubles with each, and a random part of it is waited.
        max_delay: seconds no delay exceeds.
        jitter: without it the whole delay is waited.
        budget_ratio, budget_floor: retries that one backend gets in a minute: this share of its calls, on
            top of this number. When they are used up, errors come at once.
        clock, chance: where time and randomness come from.

    Raises:
        ConfigError: a number is out of bounds.
    """

    summary: ClassVar[str] = "try again what failed and may succeed later"
    place: ClassVar[int] = 30
    config_keys: ClassVar[Mapping[str, Key]] = {
        "max_retries": Key("integer", "attempts after the first", default=MAX_RETRIES, minimum=0),
        "retry_delay": Key(
            "duration", "before the first retry; doubles with each", default=DELAY, minimum=0
        ),
        "max_delay": Key("duration", "no delay is longer", default=MAX_DELAY, minimum=0),
        "jitter": Key("boolean", "wait a random part of the delay", default=True),
        "budget_ratio": Key(
            "number",
            "retries in a minute, as a share of the calls in it",
            default=BUDGET_RATIO,
            minimum=0,
            maximum=1,
        ),
        "budget_floor": Key(
            "integer", "retries in a minute besides that share", default=BUDGET_FLOOR, minimum=0
        ),
    }

    def __init__(
        self,
        max_retries: int = MAX_RETRIES,
        retry_delay: float = DELAY,
        *,
        max_delay: float = MAX_DELAY,
        jitter: bool = True,
        budget_ratio: float = BUDGET_RATIO,
        budget_floor: int = BUDGET_FLOOR,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        if max_retries < 0 or budget_floor < 0 or not 0 <= budget_ratio <= 1:
            raise ConfigError(
                "Retry: max_retries and budget_floor are at least 0, budget_ratio is from 0 to 1"
            )
        if not (0 <= retry_delay < math.inf and 0 <= max_delay < math.inf):
            raise ConfigError("Retry: delays are finite numbers of seconds, not negative")
        self.max_retries = max_retries
        self.backoff = Backoff(retry_delay, max_delay, jitter)
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()
        self._budgets = Backends(lambda: RetryBudget(self._clock, budget_ratio, budget_floor))

    async def apply(self, call: Call) -> Reply:
        """The reply of the first attempt that gives one.

        Raises:
            AixgoError: what the last attempt failed with.
        """
        attempts = _Attempts(self, call)
        reply = await attempts.ask()
        if call.streaming:
            return Restartable(cast("Pieces", reply), attempts)
        return attempts.told(cast("Whole", reply)) if attempts.tally.failed else reply

    async def wait(self, call: Call, error: AixgoError, retry: int) -> bool:
        """Wait before retry number `retry` of `call`; False when there is to be none."""
        if retry > self.max_retries:
            return False
        seconds = self.backoff.wait(retry, error, self._chance)
        if seconds is None or seconds >= call.remaining:
            return False
        if not self._budgets.get(call.backend).take():
            RETRIES.add(call.backend, "out_of_budget")
            log.warning("%s: no retry, its retry budget is used up", call.backend)
            return False
        RETRIES.add(call.backend, "made")
        kind = type(error).__name__
        log.info("%s: %s; retry %d in %.2f s", call.backend, kind, retry, seconds)
        await pause(self._clock, seconds)
        return True

    def count(self, call: Call) -> None:
        """Count a call towards the retries its backend gets."""
        self._budgets.get(call.backend).call()


class _Attempts:
    """The attempts of one call."""

    __slots__ = ("_call", "_retry", "tally")

    def __init__(self, retry: Retry, call: Call) -> None:
        retry.count(call)
        self._retry = retry
        self._call = call
        self.tally = Tally()

    async def ask(self) -> Reply:
        """The reply of the next attempt, or of one after it."""
        while True:
            try:
                return await self._call.ask()
            except AixgoError as exc:
                await self._after(exc)

    async def again(self, error: AixgoError) -> Reply:
        """The reply of another attempt after one failed with `error`, which is raised if there is none."""
        await self._after(error)
        return await self.ask()

    def told(self, whole: Whole) -> Whole:
        """The reply, saying what it took."""
        notes: dict[str, JSONValue] = {"retries": self.tally.failed} if self.tally.failed else {}
        return self.tally.answered(self._call, whole, notes)

    async def _after(self, error: AixgoError) -> None:
        self.tally.add(error)
        if not await self._retry.wait(self._call, error, self.tally.failed):
            raise self.tally.last(error)


POLICY = Retry
