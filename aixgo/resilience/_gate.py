"""The line in front of a limit: who goes in, who waits, who is turned away.

Strictly first come, first served: a small call does not overtake a large one that waits, or large ones would wait
for ever. Whoever goes in takes all it needs at once, so two that wait never hold half of it each. A call made inside
another one that is in here stands before those outside: they may be waiting for the very call it is part of.

Used from one event loop. Below: `_window`, errors. Above: limiter.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass

from aixgo.context import Clock, TimerHandle
from aixgo.errors import CallTooLarge, DeadlineExceeded, QueueFull, Throttled
from aixgo.resilience._window import Used, Window

__all__ = ["Gate", "LimiterStats", "Permit"]

INSIDE, OUTSIDE = 0, 1  # the lines, the first served first


@dataclass(slots=True, frozen=True, kw_only=True)
class LimiterStats:
    """A limiter at one moment. What is not limited is None."""

    running: int
    """Calls that hold a slot."""
    waiting: int
    requests_left: int | None
    """Requests that could go in now."""
    tokens_left: int | None
    """Tokens that could be reserved now."""
    admitted: int
    """Calls let in since the limiter was made."""
    refused: int
    """Calls turned away: too large, no room in the line, or no hope of being in time."""


class Permit:
    """What a call in here holds. `end` it once, whatever happens; twice is fine."""

    __slots__ = ("_gate", "_open", "request", "slot", "tokens", "waited")

    def __init__(self, gate: Gate, tokens: int, request: Used | None, *, slot: bool) -> None:
        self._gate = gate
        self._open = True
        self.tokens = tokens
        """The estimate that is held."""
        self.request = request
        """Its place in the window of requests."""
        self.slot = slot
        self.waited: float | None = None
        """Seconds in line; None for a call that went in at once."""

    def end(self, tokens: int, *, asked: bool = True) -> None:
        """Give back the slot; of the tokens, that many were used. Unless `asked`, no request was made either."""
        if self._open:
            self._open = False
            self._gate.leave(self, tokens, asked=asked)


class _Waiter:
    __slots__ = ("line", "timer", "tokens", "turn")

    def __init__(self, tokens: int, line: int) -> None:
        self.tokens = tokens
        self.line = line
        self.turn: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self.timer: TimerHandle | None = None


class Gate:
    """Slots, requests and tokens, taken together by whoever is first in line. None leaves a side open."""

    def __init__(
        self,
        clock: Clock,
        *,
        concurrency: int | None,
        requests: int | None,
        tokens: int | None,
        max_waiting: int,
        max_wait: float,
    ) -> None:
        self._clock = clock
        self._slots = math.inf if concurrency is None else concurrency
        self._requests = None if requests is None else Window(requests)
        self._tokens = None if tokens is None else Window(tokens)
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._lines: tuple[OrderedDict[_Waiter, None], ...] = (OrderedDict(), OrderedDict())
        self._timer: TimerHandle | None = None
        self.running = 0
        self._admitted = 0
        self._refused = 0

    @property
    def stats(self) -> LimiterStats:
        self._expire()
        return LimiterStats(
            running=self.running,
            waiting=self.waiting,
            requests_left=None if self._requests is None else self._requests.left,
            tokens_left=None if self._tokens is None else self._tokens.left,
            admitted=self._admitted,
            refused=self._refused,
        )

    # -- going in -------------------------------------------------------------------------------------

    async def enter(
        self, tokens: int, *, agent: str = "", remaining: float = math.inf, inside: bool = False
    ) -> Permit:
        """What the call needs, once it is its turn.

        Args:
            tokens: the most it may use.
            agent: who calls, for errors.
            remaining: seconds it has.
            inside: it is part of a call that is in here, and needs no slot.

        Raises:
            CallTooLarge: it would wait for ever.
            QueueFull: too many wait.
            Throttled: it cannot be its turn in time, or was not.
            DeadlineExceeded: `remaining` passed.
        """
        line = INSIDE if inside else OUTSIDE
        if self._tokens is not None and tokens > self._tokens.limit:
            self._refused += 1
            raise CallTooLarge(tokens, self._tokens.limit, agent)
        self._expire()
        if self._fits(tokens, line) and not any(self._lines[: line + 1]):
            return self._admit(tokens, line)
        return await self._wait(self._line_up(tokens, line, agent, remaining), line)

    def _line_up(self, tokens: int, line: int, agent: str, remaining: float) -> _Waiter:
        """A place at the end of the line, for as long as it has a chance."""
        patience = min(remaining, self._max_wait)
        wait = self._least_wait(tokens)
        if self.waiting >= self._max_waiting:
            self._refused += 1
            raise QueueFull(self._max_waiting, agent)
        if wait > patience or patience <= 0:
            self._refused += 1
            if remaining <= 0:
                raise DeadlineExceeded(agent)
            raise Throttled(wait, agent)
        waiter = _Waiter(tokens, line)

        def give_up() -> None:
            self._serve()  # room may come at this very moment
            if waiter.turn.done():
                return
            self._refused += 1
            late = remaining <= self._max_wait
            wait = self._least_wait(tokens)
            waiter.turn.set_exception(DeadlineExceeded(agent) if late else Throttled(wait, agent))
            self._step_out(waiter)

        if patience < math.inf:
            waiter.timer = self._clock.call_later(patience, give_up)
        self._lines[line][waiter] = None
        self._watch_time()
        return waiter

    async def _wait(self, waiter: _Waiter, line: int) -> Permit:
        began = self._clock.monotonic()
        try:
            permit = await waiter.turn
            permit.waited = self._clock.monotonic() - began
            return permit
        except asyncio.CancelledError:
            if waiter in self._lines[line]:
                self._step_out(waiter)
            elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
                waiter.turn.result().end(
                    0, asked=False
                )  # its turn came at the same moment: the next one's
            raise

    def _admit(self, tokens: int, line: int) -> Permit:
        slot = line == OUTSIDE
        self.running += slot
        self._admitted += 1
        request = None
        if self._requests is not None:
            request = self._requests.use(1, self._clock.monotonic())
        if self._tokens is not None:
            self._tokens.hold(tokens)
        return Permit(self, tokens, request, slot=slot)

    # -- going out ------------------------------------------------------------------------------------

    def leave(self, permit: Permit, used: int, *, asked: bool) -> None:
        """Take back what a call held; `Permit.end` is how it leaves."""
        self.running -= permit.slot
        if self._requests is not None and permit.request is not None and not asked:
            self._requests.void(permit.request)
        if self._tokens is not None:
            self._tokens.settle(permit.tokens, used, self._clock.monotonic())
        self._serve()

    # -- the line -------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return sum(map(len, self._lines))

    @property
    def _first(self) -> _Waiter | None:
        return next((next(iter(line)) for line in self._lines if line), None)

    def _step_out(self, waiter: _Waiter) -> None:
        """Leave the line without a turn; whoever was behind may have one now."""
        self._remove(waiter)
        self._serve()

    def _remove(self, waiter: _Waiter) -> None:
        del self._lines[waiter.line][waiter]
        if waiter.timer is not None:
            waiter.timer.cancel()

    def _serve(self) -> None:
        """Let in whoever is first, as long as there is room."""
        self._expire()
        while (first := self._first) is not None:
            gone = first.turn.done()  # cancelled, and not run since
            if not gone and not self._fits(first.tokens, first.line):
                break
            self._remove(first)
            if not gone:
                first.turn.set_result(self._admit(first.tokens, first.line))
        self._watch_time()

    def _fits(self, tokens: int, line: int) -> bool:
        return (
            (line == INSIDE or self.running < self._slots)
            and (self._requests is None or self._requests.fits(1))
            and (self._tokens is None or self._tokens.fits(tokens))
        )

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for window in (self._requests, self._tokens):
            if window is not None:
                window.expire(now)

    def _least_wait(self, tokens: int) -> float:
        """Seconds until the windows can have room, should nobody else go in before."""
        now = self._clock.monotonic()
        moments = [now]
        if self._requests is not None:
            moments.append(self._requests.soonest(1, now))
        if self._tokens is not None:
            moments.append(self._tokens.soonest(tokens, now))
        return max(moments) - now

    def _watch_time(self) -> None:
        """Serve again when time alone next frees something the first in line needs."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        first = self._first
        if first is None:
            return
        moments = [
            window.next_change
            for window, amount in ((self._requests, 1), (self._tokens, first.tokens))
            if window is not None and window.next_change is not None and not window.fits(amount)
        ]
        if moments:
            delay = max(moments) - self._clock.monotonic()
            self._timer = self._clock.call_later(max(0.0, delay), self._serve)
