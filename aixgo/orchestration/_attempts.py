"""One call of a pattern under its error strategy: asked again, then asked of others, within one loan.

Attempts have keys of their own, `key#2` and so on, and those of a stand-in `key#name`, so that a recorded run can be
run again whatever order its calls end in. What an attempt spends is charged to the run, and none gets more than is
left of what the call was lent.

Below: resilience, which knows how long to wait and who may be asked instead. Above: `_caller`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple, TypeAlias, TypeVar

from aixgo.context import CallContext, _current
from aixgo.errors import AixgoError, DeadlineExceeded, LimitExceeded
from aixgo.ledger import Budget
from aixgo.orchestration._partial import Account, Entry
from aixgo.orchestration._strategy import ErrorStrategy
from aixgo.purse import Purse, Share, check_share
from aixgo.resilience.base import pause
from aixgo.resilience.fallback import others_may_answer
from aixgo.resilience.retry import Backoff

__all__ = ["Attempt", "Attempts", "Plan", "ends_run"]

T = TypeVar("T")

log = logging.getLogger("aixgo.orchestration")


def ends_run(error: AixgoError, context: CallContext) -> bool:
    """Whether `error` ends a run whatever its strategy: a limit, a budget, or that its time is up."""
    limit = isinstance(error, LimitExceeded) and not error.retryable
    return limit or context.remaining <= 0


class Attempt(NamedTuple):
    """Whom to ask, under which key, and in which part of the run."""

    agent: str
    key: str
    part: CallContext

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have calls that begin here be part of this attempt."""
        token = _current.set(self.part)
        try:
            yield
        finally:
            _current.reset(token)


Ask: TypeAlias = Callable[[Attempt], Awaitable[T]]


class Plan:
    """The strategy of one run, who stands in for whom, and what came of its calls."""

    def __init__(self, strategy: ErrorStrategy, stand_ins: Mapping[str, Sequence[str]]) -> None:
        self.strategy = strategy
        self.account = Account()
        self._stand_ins = stand_ins
        self._unsettled: list[Attempts] = []

    @asynccontextmanager
    async def call(
        self, context: CallContext, target: str, key: str, share: Share, budget: Budget | None
    ) -> AsyncIterator[Attempts]:
        """The attempts of a call from `context`; what they have spent is counted there at the end."""
        key = key or context.child_key(target)
        entry = self.account.begin(target, key)
        attempts = Attempts(
            self.strategy,
            self._stand_ins.get(target, ()),
            entry,
            key,
            context,
        )
        left = False
        try:
            await attempts.lend(share, budget)
            yield attempts
        except asyncio.CancelledError:
            left = True
            raise
        except AixgoError as exc:
            entry.error = exc
            self.account.end(entry)
            raise
        else:
            self.account.end(entry)
        finally:
            if attempts.is_out and left:
                self._unsettled.append(attempts)  # its caller does not wait; the run does
            else:
                await attempts.settle()

    async def close(self, *, wait: bool) -> None:
        """Settle what was stopped; once, at the end of the run. Nobody waits at the end of one that was left."""
        for attempts in self._unsettled:
            await attempts.settle(wait=wait)


class Attempts:
    """The attempts of one call."""

    def __init__(
        self,
        strategy: ErrorStrategy,
        stand_ins: Sequence[str],
        entry: Entry,
        key: str,
        context: CallContext,
    ) -> None:
        self.entry = entry
        self.begun = False
        """True once a piece of the reply went out: then nobody is asked any more."""
        self._strategy = strategy
        self._stand_ins = stand_ins
        self._key = key
        self._context = context
        self._purse: Purse | None = None
        self._parts: list[tuple[CallContext, bool]] = []  # and whether it repeats another

    @property
    def tokens(self) -> int:
        """What they have used so far."""
        return sum(part.spent.tokens_total for part, _ in self._parts if part.spent is not None)

    async def run(self, ask: Ask[T]) -> T:
        """What the first attempt gives that does not fail.

        Raises:
            AixgoError: what the agent failed with at last, or what ends the run.
        """
        entry = self.entry
        try:
            return await self._persist(ask, entry.agent, self._key)
        except AixgoError as exc:
            if not self._stand_ins or not self._others_may_answer(exc):
                raise
            first = entry.error = exc
        for name in self._stand_ins:
            log.warning("%s: %s; asking %s", entry.agent, type(first).__name__, name)
            try:
                found = await self._persist(ask, name, f"{self._key}#{name}")
            except AixgoError as exc:
                if ends_run(exc, self._context):
                    raise
                first.add_note(f"{name}, asked instead: {exc}")
                if not self._others_may_answer(exc):
                    break
            else:
                entry.served_by = name
                return found
        raise first

    async def _persist(self, ask: Ask[T], agent: str, key: str) -> T:
        """What one agent answers in the end, asked again as the strategy says."""
        backoff = Backoff(self._strategy.retry_delay)
        chance: random.Random | None = None  # few calls fail, and making one takes long
        failed = 0
        while True:
            part = self._context.part(self._purse)
            self._parts.append((part, failed > 0))
            try:
                return await ask(Attempt(agent, f"{key}#{failed + 1}" if failed else key, part))
            except AixgoError as exc:
                failed += 1
                # Not the run's: others draw from that, in the order they fail.
                chance = chance or random.Random(key)
                asked_again = failed <= self._strategy.retries and not self.begun
                seconds = backoff.wait(failed, exc, chance) if asked_again else None
                remaining = self._context.remaining
                if seconds is None or seconds >= remaining or ends_run(exc, self._context):
                    raise
                kind = type(exc).__name__
                log.info("%s: %s; retry %d in %.2f s", agent, kind, failed, seconds)
            self.entry.retries += 1
            await pause(self._context.clock, seconds)

    def _others_may_answer(self, error: AixgoError) -> bool:
        return not self.begun and not ends_run(error, self._context) and others_may_answer(error)

    # -- what they spend ------------------------------------------------------------------------------

    async def lend(self, share: Share, budget: Budget | None) -> None:
        """Take from the run what they may spend together, once there is something to take.

        Raises:
            DeadlineExceeded: everything stayed lent until the run's time was up.
        """
        purse = self._context.purse
        if purse is None:
            self._purse = None if budget is None else Purse.of(budget)
            return
        try:
            async with asyncio.timeout(max(0.0, self._context.remaining)):
                self._purse = await purse.lend(check_share(share), budget)
        except TimeoutError:
            raise DeadlineExceeded(self.entry.agent) from None

    @property
    def is_out(self) -> bool:
        """Whether something of what they were lent has not come back."""
        return self._purse is not None and self._purse.is_out

    async def settle(self, *, wait: bool = True) -> None:
        """Count what was spent, once what was lent has come back, and return the rest."""
        purse = self._purse
        try:
            if purse is not None and wait:
                await purse.returned()
        finally:
            for part, _ in self._parts:
                part.ended = True
            if self._parts:
                self._parts[-1][0].settle()  # what did not come back is taken for spent
            for part, repeats in self._parts:
                if repeats and part.spent is not None:
                    part.spent.repeated()
                self._context.absorb(part.spent)
            if purse is not None:
                purse.give_back()
