"""The line in front of a limit, against a model of it that counts everything anew at every half second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aixgo.errors import CallTooLarge, LimitExceeded, QueueFull, Throttled
from aixgo.resilience._gate import Gate, Permit
from tests.unit.manual_clock import ManualClock

T = TypeVar("T")

SLOTS, REQUESTS, TOKENS = 3, 6, 40
MAX_WAITING = 5
MAX_WAIT = 45.25  # never at the same moment as something else
STEP = 0.5


class Limits(RuleBasedStateMachine):
    """Calls come, end, are cancelled and wait; the model says who has to be in."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock(0)
        self.gate = Gate(
            self.clock,
            concurrency=SLOTS,
            requests=REQUESTS,
            tokens=TOKENS,
            max_waiting=MAX_WAITING,
            max_wait=MAX_WAIT,
        )
        self.tasks: dict[int, asyncio.Task[Permit]] = {}
        # the model
        self.made = 0
        self.now = 0.0
        self.waiting: list[tuple[int, int, float]] = []  # who, tokens, since
        self.running: dict[int, int] = {}  # who → tokens
        self.requests: list[float] = []
        self.settled: list[tuple[float, int]] = []
        self.began: dict[int, float] = {}

    def teardown(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self.settle()
        assert self.clock.timers == 0, "a timer was left behind"
        self.loop.close()

    def run(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(5):
                return await work

        return self.loop.run_until_complete(bounded())

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.run(turns())

    # -- the model --------------------------------------------------------------------------------

    def used(self, at: float) -> int:
        return sum(amount for when, amount in self.settled if when + 60 > at)

    def asked(self, at: float) -> int:
        return sum(1 for when in self.requests if when + 60 > at)

    def fits(self, tokens: int) -> bool:
        return (
            len(self.running) < SLOTS
            and self.asked(self.now) < REQUESTS
            and self.used(self.now) + sum(self.running.values()) + tokens <= TOKENS
        )

    def is_hopeless(self, tokens: int) -> bool:
        at = self.now
        while self.asked(at) >= REQUESTS or self.used(at) + tokens > TOKENS:
            at += STEP
        return at - self.now > MAX_WAIT

    def admit(self) -> None:
        while self.waiting and self.fits(self.waiting[0][1]):
            who, tokens, _ = self.waiting.pop(0)
            self.running[who] = tokens
            self.began[who] = self.now
            self.requests.append(self.now)

    def give_up(self) -> list[int]:
        """Those whose patience ends now, one after the other: when one leaves, the next may get in."""
        late = []
        while found := [w for w in self.waiting if w[2] + MAX_WAIT <= self.now]:
            self.waiting.remove(found[0])
            late.append(found[0][0])
            self.admit()
        return late

    # -- what happens -----------------------------------------------------------------------------

    @rule(tokens=st.integers(0, 45))
    def a_call_comes(self, tokens: int) -> None:
        who, self.made = self.made, self.made + 1
        self.tasks[who] = self.loop.create_task(self.gate.enter(tokens))
        self.settle()
        refusal: type[LimitExceeded] | None = None
        if tokens > TOKENS:
            refusal = CallTooLarge
        elif self.waiting or not self.fits(tokens):
            if len(self.waiting) >= MAX_WAITING:
                refusal = QueueFull
            elif self.is_hopeless(tokens):
                refusal = Throttled
        if refusal is None:
            self.waiting.append((who, tokens, self.now))
            self.admit()
        else:
            assert type(self.tasks.pop(who).exception()) is refusal

    @precondition(lambda self: self.running)
    @rule(data=st.data(), share=st.sampled_from([0, 0.5, 1, 1.5]), asked=st.booleans())
    def a_call_ends(self, data: st.DataObject, share: float, asked: bool) -> None:
        who = data.draw(st.sampled_from(sorted(self.running)))
        used = int(self.running.pop(who) * share)
        if not asked:
            self.requests.remove(self.began[who])
        self.settled.append((self.now, used))
        self.admit()
        permit = self.tasks.pop(who).result()
        permit.end(used, asked=asked)
        permit.end(1_000)  # twice is once
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_caller_leaves_the_line(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        who, _, _ = self.waiting.pop(place)
        self.admit()
        self.tasks.pop(who).cancel()
        self.settle()

    @rule(steps=st.integers(1, 80))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.now += STEP / 2
            late = self.give_up()
            self.clock.advance(STEP / 2)
            self.settle()
            for who in late:
                assert type(self.tasks.pop(who).exception()) is Throttled
            self.now += STEP / 2
            self.admit()
            self.clock.advance(STEP / 2)
        self.settle()

    # -- what holds -------------------------------------------------------------------------------

    @invariant()
    def the_same_calls_are_in_and_in_line(self) -> None:
        inside = {who for who, task in self.tasks.items() if task.done()}
        assert inside == set(self.running)
        stats = self.gate.stats
        assert stats.running == len(self.running)
        assert stats.waiting == len(self.waiting)
        assert stats.requests_left == max(0, REQUESTS - self.asked(self.now))
        out = self.used(self.now) + sum(self.running.values())
        assert stats.tokens_left == max(0, TOKENS - out)

    @invariant()
    def no_minute_has_more_requests_than_allowed(self) -> None:
        for start in self.requests:
            assert sum(1 for when in self.requests if start <= when < start + 60) <= REQUESTS


TestLimits = Limits.TestCase
TestLimits.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
