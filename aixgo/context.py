"""What travels with a call: deadline, budget, identity, trace, and the path it took.

The host of an agent sets the current context around `execute` and around every step of a `stream`;
every `Caller` method reads it, so a call made inside a call inherits what is left without anybody
passing it on. A pattern takes time, randomness and ids only from here, so that a recorded run can be
run again.

Below: ledger, message. Above: contract, runtime; `rpc.codec` writes it into the call envelope.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aixgo.errors import DeadlineExceeded, HopLimit, NotBound
from aixgo.ledger import Budget, Ledger, Line, Usage
from aixgo.message import new_id
from aixgo.purse import Held, Purse, Share, parallel_shares

if TYPE_CHECKING:
    import asyncio

    from aixgo.contract import Caller

__all__ = ["MAX_HOPS", "CallContext", "Callback", "Clock", "Hop", "SystemClock", "TimerHandle"]

_new = object.__new__

MAX_HOPS = 32  # agents one call path may pass through, unless somebody asked for less


class Hop(NamedTuple):
    """One agent on a call's path: the runtime instance that hosted it, its name, and the call's key."""

    instance: str
    agent: str
    key: str


class Clock(Protocol):
    """Where a runtime takes time from; `aixgo.testing.FakeClock` is the other implementation."""

    def monotonic(self) -> float:
        """Seconds, for deadlines."""
        ...

    def time(self) -> float:
        """Unix seconds, for timestamps."""
        ...

    def call_later(self, delay: float, callback: Callback) -> TimerHandle:
        """Run `callback` on the current loop after `delay` seconds."""
        ...


class Callback(Protocol):
    def __call__(self) -> None: ...


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class SystemClock:
    """The machine's clock and the running loop's timers."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def call_later(self, delay: float, callback: Callback) -> TimerHandle:
        import asyncio

        return asyncio.get_running_loop().call_later(delay, callback)


class CallContext:
    """The context of one call, as its agent sees it.

    `deadline` is on the runtime clock's monotonic axis; read `remaining`. `hops` is the path up to and
    including this agent. `usage` grows as the call spends. `key` names the call within its run and does
    not depend on completion order.
    """

    # A call sets few of these, so the defaults live on the class: a context is made for every call.
    began = 0.0
    """When the call began, on the same axis."""
    caller: Caller | None = None
    """How the executing agent reaches others; set by its host."""
    executing: object = None
    """The agent object its host is executing, by which an orchestrator knows it is bound."""
    ended = False
    """True once the call returned: a task that outlives it may not call on its behalf."""
    task: asyncio.Task[object] | None = None
    """The task that runs this call."""
    guarded = math.inf
    """When a guard on `task` ends it: inner calls of that task need none of their own until then."""
    peer = ""
    """Who called from another process, as its certificate says, with mutual TLS; never what a caller wrote.

    The first URI the certificate is for, such as `spiffe://aixgo/agent/writer`, else its DNS name, else its common
    name. Empty for callers in this process, over unix sockets, and without mutual TLS.
    """
    at_instance = ""
    """The process a call with a key is for, once one has seen it; noted by the link that reached one."""
    spent: Usage | None = None
    """`usage`, or None when nothing was ever charged."""
    purse: Purse | None = None
    """What it may spend; None without a budget."""
    offer: Held | None = None
    """What of the purse goes with the attempt that is on its way to a peer."""
    posted = False
    """True for work on a message that came from a mailbox: no call above reports what it spends."""
    in_doubt = False
    """True while a peer may be spending on this call what it has not reported; noted by the link."""
    above: CallContext | None = None
    """Who is charged what arrives after this call has ended; set at its end, if it had a purse."""
    first: CallContext | None = None
    """Of another attempt of a call: the context the call began with."""
    part_of: CallContext | None = None
    """Of a part, from which an orchestration makes the attempts of one of its calls: the whole call."""
    tracestate = ""
    """What tracing systems say of the trace besides `traceparent`, as the W3C header."""
    _calls: dict[str, int] | None = None
    _random: random.Random | None = None

    def __init__(
        self,
        agent: str,
        deadline: float,
        clock: Clock,
        key: str = "",
        hops: tuple[Hop, ...] = (),
        max_hops: int = MAX_HOPS,
        budget: Budget | None = None,
        session: str = "",
        principal: str = "",
        tenant: str = "",
        traceparent: str = "",
        baggage: Mapping[str, str] | None = None,
        idempotency_key: str = "",
    ) -> None:
        self.agent = agent
        self.deadline = deadline
        self.clock = clock
        self.key = key
        self.hops = hops
        self.max_hops = max_hops
        if budget is not None:
            self.purse = Purse.of(budget)
        self.session = session
        self.principal = principal
        self.tenant = tenant
        self.traceparent = traceparent
        self.baggage = baggage
        self.idempotency_key = idempotency_key

    @staticmethod
    def current() -> CallContext:
        """The context of the call this code runs in.

        Raises:
            NotBound: outside a call.
        """
        context = _current.get()
        if context is None:
            raise NotBound("code outside a call")
        return context

    @staticmethod
    def maybe_current() -> CallContext | None:
        """The context of the call this code runs in, or None outside one."""
        return _current.get()

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative once it passed."""
        return self.deadline - self.clock.monotonic()

    def child(self, target: str, deadline: float, key: str = "") -> CallContext:
        """The context of a call made from here: it inherits identity, trace and path; budgets are lent.

        Raises:
            HopLimit: the path would become longer than it may be.
        """
        self.check_hops(target)
        made = CallContext(
            target,
            deadline,
            self.clock,
            key or self.child_key(target),
            self.hops,
            self.max_hops,
            None,
            self.session,
            self.principal,
            self.tenant,
            self.traceparent,
            self.baggage,
        )
        if self.tracestate:
            made.tracestate = self.tracestate
        return made

    @property
    def bounds(self) -> tuple[tuple[Hop, ...], int, float]:
        """Path, hops allowed and deadline: what executing the call changes, for `again`."""
        return (self.hops, self.max_hops, self.deadline)

    def again(self, bounds: tuple[tuple[Hop, ...], int, float], target: str = "") -> CallContext:
        """The context of another attempt of this call, at `target` if that is another agent.

        It has the `bounds` from before the first attempt and the same identity, and shares usage and loan, so
        that what it spends is charged to the call.
        """
        hops, max_hops, deadline = bounds
        first = self.first or self
        key = f"{self.key}~{target}" if target else self.key
        other = CallContext(
            target or self.agent,
            deadline,
            self.clock,
            key,
            hops,
            max_hops,
            None,
            self.session,
            self.principal,
            self.tenant,
            self.traceparent,
            self.baggage,
            self.idempotency_key,
        )
        other.began, other.task, other.guarded = self.began, self.task, self.guarded
        other.tracestate = self.tracestate
        other.at_instance = "" if target else self.at_instance
        other.purse, other.spent, other.first = self.purse, first.usage, first
        return other

    def part(self, purse: Purse | None) -> CallContext:
        """This call once more, to make attempts of one inner call from that share `purse`.

        Whoever asks for it has this call `absorb` what the part spent, and ends it.
        """
        part = _new(CallContext)
        part.__dict__.update(self.__dict__)
        part.part_of = self
        part.purse, part.spent = purse, None
        part.offer = part.above = part.first = None
        return part

    def check_deadline(self) -> None:
        """Raise `DeadlineExceeded` if the deadline has passed; for loops that never wait."""
        if self.remaining <= 0:
            raise DeadlineExceeded(self.agent)

    def check_hops(self, target: str) -> None:
        """Raise `HopLimit` if calling `target` from here makes the path longer than it may be."""
        if len(self.hops) >= self.max_hops:
            raise HopLimit(self.max_hops, target)

    def narrow(self, *, timeout: float, max_depth: int) -> None:
        """Shorten what calls made from here inherit: seconds from now, and agents below this one."""
        self.deadline = min(self.deadline, self.clock.monotonic() + timeout)
        self.max_hops = min(self.max_hops, len(self.hops) + max_depth)

    @property
    def usage(self) -> Usage:
        """What this call has spent so far, its callees included."""
        if self.spent is None:
            self.spent = Usage()
        return self.spent

    def charge(self, usage: Usage | None, model: str = "", provider: str = "") -> None:
        """Count spending that no Provider reports, on this call and so on everyone above it.

        Nothing spent is the same as nothing said, which is all that a peer's reply tells. `model` and `provider`
        name what it was spent on in the ledger, unless the usage brings one along.

        Raises:
            ConfigError: a count is no whole number, or negative.
        """
        if usage is not None:
            usage.check()
            if usage:
                line = self._line(model, provider)
                self._count(usage, line)
                if self.purse is not None:
                    self._pay(self.purse, usage, line)

    def absorb(self, usage: Usage | None, line: Line | None = None) -> None:
        """Count what a call made from here spent; its runtime does this when the call ends."""
        if usage:
            self._count(usage, line)
            if self.purse is not None:
                self.purse.spend(usage)

    def _count(self, usage: Usage, line: Line | None) -> None:
        spent = self.usage
        spent.add(usage)
        if spent.ledger is None:
            spent.ledger = Ledger()
        if usage.ledger is not None:
            spent.ledger.add(usage.ledger, self._pattern)
        else:
            spent.ledger.note(line or self._line(), usage)

    def _line(self, model: str = "", provider: str = "") -> Line:
        """The line of the ledger for what this call spends itself."""
        path = tuple([hop.agent for hop in self.hops])
        if not path or self.hops[-1].key != self.key:  # the callee, not we, adds it to the path
            path = (*path, self.agent)
        return Line(path, model, provider, self._pattern, self.session, self.principal)

    @property
    def _pattern(self) -> str:
        """The kind of orchestration this call executes, or ""."""
        return str(getattr(self.executing, "pattern", "") or "")

    def _pay(self, purse: Purse, usage: Usage, line: Line) -> None:
        purse.spend(usage, self.agent)
        above = self.above if self.first is None else self.first.above
        if above is not None and not above.ended:  # one that ended has paid for what was in doubt
            above.absorb(usage, line)

    @property
    def budget(self) -> Budget | None:
        """What this call can still spend, or None without a budget."""
        return None if self.purse is None else self.purse.left

    @property
    def pressure(self) -> float:
        """How far its budget is used: 0 without one, 1 when nothing is free. Near 1 an agent had better finish."""
        return 0.0 if self.purse is None else self.purse.pressure

    @property
    def offered(self) -> tuple[int | None, int | None, int | None]:
        """What a peer is told it may spend: nano-dollars, tokens and model calls, None for an open side."""
        if self.purse is None:
            return (None, None, None)
        free = self.purse.free
        if self.offer is None:
            return free
        sides = [
            None if side is None else given
            for side, given in zip(free, self.offer.amounts, strict=True)
        ]
        return (sides[0], sides[1], sides[2])

    def narrow_budget(self, budget: Budget) -> None:
        """Let this call spend at most `budget` from now on."""
        if self.purse is None:
            self.purse = Purse.of(budget)
        else:
            self.purse.cap(budget)

    def settle(self) -> None:
        """Charge what calls made from here were lent and have not accounted for; its host does this at the end."""
        usage = None if self.purse is None else self.purse.close()
        if usage is not None:
            self.absorb(usage)

    def shares(self, count: int, after: int = 0) -> Sequence[Share]:
        """Of the budget, what each of `count` calls made from here at once takes, so that all get the same.

        As much is left for each of `after` calls made from here when these are done, such as one that sums them up.
        """
        return [1] * count if self.purse is None else parallel_shares(count, after)

    def end_lending(self, parent: CallContext | None) -> None:
        """Return what was lent to this call; what is in doubt stays out until it is settled."""
        if self.purse is not None:
            self.above = parent
            self.purse.give_back()

    @property
    def where(self) -> str:
        """The agents on the path down to this one, for errors."""
        return " → ".join(hop.agent for hop in self.hops) or self.agent

    def now(self) -> float:
        """Unix seconds, from the runtime's clock."""
        return self.clock.time()

    def new_id(self) -> str:
        """A fresh id for something this call makes."""
        return new_id()

    @property
    def random(self) -> random.Random:
        """A generator seeded from the call's key: the same call draws the same numbers."""
        if self._random is None:
            self._random = random.Random(f"{self.agent}\n{self.key}")
        return self._random

    def child_key(self, step: str) -> str:
        """The key of a call made from here: this key, then `step`, counted when it repeats."""
        if self._calls is None:
            self._calls = {}
        count = self._calls.get(step, 0)
        self._calls[step] = count + 1
        return f"{self.key}/{step}[{count}]" if count else f"{self.key}/{step}"


_current: ContextVar[CallContext | None] = ContextVar("aixgo_call", default=None)
