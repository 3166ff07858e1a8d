"""What one call may still spend: lending, reserving, settling.

A call with a budget has a purse. It *lends* parts of it to the calls made from there, each of which gets a purse of
its own, and *reserves* parts for its model calls. What is out on loan or reserved cannot be given twice; when it
comes back, what was spent of it is gone and the rest is free again. So the sum over a tree of calls never exceeds
what its root was given, whoever runs where, as long as the estimates of model calls hold.

Amounts are triples: nano-dollars, tokens, model calls. A side without a limit is open: it is counted and never asked.
Used from one event loop. Below: errors, ledger. Above: context.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import TypeAlias

from aixgo.errors import BudgetExceeded, ConfigError
from aixgo.ledger import NANOS_PER_USD, Budget, Usage

__all__ = [
    "Amounts",
    "Held",
    "STREAM_SHARE",
    "Purse",
    "Share",
    "check_share",
    "parallel_shares",
    "sides_of",
]

Amounts: TypeAlias = tuple[int, int, int]
Limits: TypeAlias = tuple[int | None, int | None, int | None]
Share: TypeAlias = float | Fraction
"""Of what is free: more than 0, at most 1."""

STREAM_SHARE = 0.5  # of what is free: whoever reads a stream goes on calling beside it
SETTLE_TIMEOUT = 0.25  # seconds a callee that was given up has to tell what it spent
SIDES = ("money", "tokens", "model calls")
NOTHING: Amounts = (0, 0, 0)


class Held:
    """Amounts that are out: lent to a call, or reserved. `Purse.release` takes them back."""

    __slots__ = ("_turn", "amounts")

    def __init__(self, amounts: Amounts, turn: int) -> None:
        self.amounts = amounts
        self._turn = turn

    def is_of(self, turn: int) -> bool:
        """Whether it was taken since the purse was last closed."""
        return self._turn == turn


class Purse:
    """What one call may spend, and what of it is where."""

    __slots__ = (
        "_above",
        "_held",
        "_limits",
        "_out",
        "_spent",
        "_table",
        "_turn",
        "_waiting",
    )

    def __init__(
        self, limits: Limits, *, above: Purse | None = None, held: Held | None = None
    ) -> None:
        self._limits = limits
        self._above = above
        self._held = held
        self._spent = [0, 0, 0]
        self._out = [0, 0, 0]
        self._turn = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._table: dict[str, Usage] = {} if above is None else above._table  # noqa: SLF001 - of its own kind

    @classmethod
    def of(cls, budget: Budget) -> Purse:
        """A purse that holds `budget`."""
        return cls(sides_of(budget))

    # -- what is left ---------------------------------------------------------------------------------

    @property
    def free(self) -> Limits:
        """What can be spent, lent or reserved now; None on a side that is open."""
        left = [
            None if limit is None else max(0, limit - spent - out)
            for limit, spent, out in zip(self._limits, self._spent, self._out, strict=True)
        ]
        return (left[0], left[1], left[2])

    @property
    def left(self) -> Budget:
        """`free`, as a budget."""
        nanos, tokens, calls = self.free
        usd = None if nanos is None else nanos / NANOS_PER_USD
        return Budget(usd=usd, tokens=tokens, calls=calls)

    @property
    def pressure(self) -> float:
        """From 0, nothing spent, to 1, nothing free, on the side where the least is left."""
        return max(
            (
                1.0 if not limit else 1.0 - free / limit
                for limit, free in zip(self._limits, self.free, strict=True)
                if limit is not None and free is not None
            ),
            default=0.0,
        )

    @property
    def in_money(self) -> bool:
        """Whether money is limited."""
        return self._limits[0] is not None

    @property
    def is_out(self) -> bool:
        """Whether anything is lent or reserved."""
        return any(self._out)

    def spent_text(self) -> str:
        """What was spent where, by agent, the most first."""
        rows = sorted(self._table.items(), key=lambda row: (-row[1].cost_nanos, row[0]))
        return ", ".join(
            f"{agent} ${usage.cost_usd:.6f} and {usage.tokens_total} tokens in {usage.calls} calls"
            for agent, usage in rows
        )

    # -- lending --------------------------------------------------------------------------------------

    async def lend(self, share: Share, cap: Budget | None = None) -> Purse:
        """A purse with `share` of what is free, in whole units, and at most `cap`.

        When a side is empty because of what is out, this waits until something has come back or nothing is out
        any more; whoever calls bounds the wait.
        """
        while self._is_dry():
            await self._change()
        limits = [
            None if free is None else min(free, math.ceil(free * share)) for free in self.free
        ]
        caps = sides_of(cap) if cap is not None else (None, None, None)
        lent = [
            most if limit is None else limit if most is None else min(limit, most)
            for limit, most in zip(limits, caps, strict=True)
        ]
        held = self._hold(
            0 if limit is None else (given or 0) for limit, given in zip(limits, lent, strict=True)
        )
        return Purse((lent[0], lent[1], lent[2]), above=self, held=held)

    def give_back(self) -> None:
        """Return to whoever lent this purse all that is not out. Harmless when done, or when nobody did.

        Nothing can be taken out of it any more, should the call go on for somebody else.
        """
        if self._above is None or self._held is None:
            return
        self.cap(Budget(usd=0, tokens=0, calls=0))
        above, held = self._above, self._held
        # The call that lent it may have ended, and paid for it.
        if not held.is_of(above._turn):  # noqa: SLF001 - of its own kind
            self._held = None
            return
        above.release(held)
        self._held = above._hold(  # noqa: SLF001 - of its own kind
            min(kept, out) for kept, out in zip(held.amounts, self._out, strict=True)
        )
        if not self.is_out:
            self._held = None

    async def take_all(self) -> Held:
        """Hold all that is free, for one attempt elsewhere; waits like `lend`."""
        while self._is_dry():
            await self._change()
        return self._hold(free or 0 for free in self.free)

    def carve(self, budget: Budget, where: str) -> tuple[Held, Purse]:
        """Hold `budget` for work nobody waits for; a side it leaves open gets nothing of a limited one.

        The purse given is for that work, and returns nothing to this one.

        Raises:
            BudgetExceeded: it is more than is free.
        """
        amounts = [given or 0 for given in sides_of(budget)]
        for i, free in enumerate(self.free):
            if free is not None and amounts[i] > free:
                raise self._exceeded(i, where)
        sides = [
            given if limit is None or given is not None else 0
            for limit, given in zip(self._limits, sides_of(budget), strict=True)
        ]
        held = self._hold(
            0 if limit is None else given
            for limit, given in zip(self._limits, amounts, strict=True)
        )
        return held, Purse((sides[0], sides[1], sides[2]))

    # -- reserving ------------------------------------------------------------------------------------

    async def reserve(self, least: Amounts, where: str) -> None:
        """Return when `least` is free.

        Raises:
            BudgetExceeded: it will not be, even when all that is out comes back unspent.
        """
        while True:
            short = False
            for i, free in enumerate(self.free):
                limit = self._limits[i]
                if limit is None or free is None:
                    continue
                if least[i] > limit - self._spent[i]:
                    raise self._exceeded(i, where)
                short = short or least[i] > free
            if not short:
                return
            await self._change()

    def hold(self, amounts: Amounts) -> Held:
        """Take `amounts` out of what is free."""
        return self._hold(amounts)

    def release(self, held: Held) -> None:
        """Take back what was held; what was spent of it has been spent by then. Once per `held`."""
        if held.is_of(self._turn):
            self._out = [out - given for out, given in zip(self._out, held.amounts, strict=True)]
            self._wake()

    # -- settling -------------------------------------------------------------------------------------

    def spend(self, usage: Usage, agent: str = "") -> None:
        """Count what was spent; with `agent` also in the table of who spent what, unless its ledger knows better."""
        self._spent[0] += usage.cost_nanos
        self._spent[1] += usage.tokens_total
        self._spent[2] += usage.calls
        if agent and usage.ledger is not None:
            for line, part in usage.ledger:
                self._table.setdefault(line.agent, Usage()).add(part)
        elif agent:
            self._table.setdefault(agent, Usage()).add(usage)

    def cap(self, budget: Budget) -> None:
        """From now on allow at most `budget` more."""
        limits = [
            limit
            if most is None
            else most + spent + out
            if limit is None
            else min(limit, most + spent + out)
            for limit, most, spent, out in zip(
                self._limits, sides_of(budget), self._spent, self._out, strict=True
            )
        ]
        self._limits = (limits[0], limits[1], limits[2])

    async def returned(self) -> None:
        """Wait until all that was lent has come back, for what a call that was given up may take to tell."""
        if self.is_out:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_TIMEOUT):
                    while self.is_out:
                        await self._change()

    def close(self) -> Usage | None:
        """End the call this purse is of: what is still out is taken for spent, and returned to be charged."""
        if not self.is_out:
            return None
        usage = self.unsettled(self._out)
        self._out = [0, 0, 0]
        self._turn += 1  # what comes back from now on has been paid
        return usage

    def unsettled(self, amounts: Sequence[int]) -> Usage:
        """A usage that takes `amounts` of the limited sides for spent."""
        nanos, tokens, calls = (
            0 if limit is None else given
            for limit, given in zip(self._limits, amounts, strict=True)
        )
        return Usage(cost_nanos=nanos, tokens_completion=tokens, calls=calls, unsettled=True)

    # -- inside ---------------------------------------------------------------------------------------

    def _hold(self, amounts: Iterable[int]) -> Held:
        nanos, tokens, calls = amounts
        self._out = [self._out[0] + nanos, self._out[1] + tokens, self._out[2] + calls]
        return Held((nanos, tokens, calls), self._turn)

    def _is_dry(self) -> bool:
        """Whether a side is empty and may fill again."""
        return any(free == 0 and out > 0 for free, out in zip(self.free, self._out, strict=True))

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _exceeded(self, side: int, where: str) -> BudgetExceeded:
        return BudgetExceeded(SIDES[side], self._limits[side] or 0, where, self.spent_text())


def sides_of(budget: Budget) -> Limits:
    """The three sides of `budget`, None where it is open."""
    return (budget.nanos, budget.tokens, budget.calls)


def parallel_shares(count: int, after: int = 0) -> list[Share]:
    """The share each of `count` calls takes of what those before it left, so that all get the same.

    As much as each gets is left for each of `after` calls to be made later. In whole units: what cannot be divided
    goes to the first ones.

    Raises:
        ConfigError: `after` is below 0.
    """
    if after < 0:
        raise ConfigError(f"after={after}: give the number of calls to be made later")
    return [Fraction(1, count + after - i) for i in range(count)]


def check_share(share: Share) -> Share:
    """`share`, if it is one.

    Raises:
        ConfigError: it is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share={share!r}: a share is above 0 and at most 1")
    return share
