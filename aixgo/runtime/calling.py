"""The caller's side of a call: its context, its deadline, and what happens when it ends.

Below: deadlines, context. Above: `base.Runtime` puts a route at the end of this.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aixgo import telemetry
from aixgo.context import CallContext, _current
from aixgo.deadlines import Deadlines, Guard
from aixgo.errors import AixgoError, ConfigError, DeadlineExceeded, RuntimeClosed
from aixgo.ledger import Budget, Ledger, Usage
from aixgo.measures import tally
from aixgo.message import Message, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.runtime.lending import tell_spent

__all__ = [
    "CallStream",
    "InFlight",
    "check_agent",
    "check_budget",
    "check_timeout",
    "guard_call",
    "leave_guard",
    "parent_call",
]

T = TypeVar("T")

log = logging.getLogger("aixgo.runtime")

LEDGER_LINES = 10_000  # a runtime tells apart; what was added to longest ago becomes one line
LEFT = "left"  # why a stream failed that nobody read to its end
CLOSE_TIMEOUT = 5.0  # seconds a producer may take to stop when its reader leaves


class InFlight:
    """Counts the calls of one runtime and what they spent, and tells when there are none."""

    __slots__ = (
        "_idle",
        "_instance",
        "count",
        "errors",
        "failed",
        "ledger",
        "seconds",
        "spent",
        "succeeded",
    )

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self.ledger = Ledger(LEDGER_LINES, rolling=True)
        self.spent = Usage()
        self.count = 0
        self.succeeded = 0
        self.failed = 0
        self.errors: dict[str, int] = {}
        """Why they failed, by the error's class."""
        self.seconds = 0.0
        """Summed duration of finished calls."""
        self._idle: asyncio.Event | None = None

    def leave(self, ok: bool, seconds: float) -> None:
        """Count one call out; whoever entered it must call this once."""
        self.count -= 1
        self.seconds += seconds
        if ok:
            self.succeeded += 1
        else:
            self.failed += 1
        if self.count == 0 and self._idle is not None:
            self._idle.set()

    def note(self, error: BaseException | None, context: CallContext) -> None:
        """Count why a call failed, which `leave` counts out; None for a stream that its reader left."""
        tally(self.errors, LEFT if error is None else telemetry.error_type(error, context))

    def book(self, context: CallContext) -> None:
        """Put into the ledger what a call spent that began here, or came from elsewhere, at its end."""
        spent = context.spent
        if spent is None or spent.ledger is None:
            return
        if not context.posted and any(h.instance == self._instance for h in context.hops[:-1]):
            return  # it is part of a call that is booked here
        self.spent.add(spent)
        self.ledger.add(spent.ledger)

    async def wait_idle(self) -> None:
        """Return when no call is in flight. The caller bounds the wait."""
        while self.count:
            if self._idle is None or self._idle.is_set():  # else somebody waits for it already
                self._idle = asyncio.Event()
            await self._idle.wait()


def parent_call() -> CallContext | None:
    """The call the current code belongs to, if any.

    Raises:
        RuntimeClosed: that call has ended; the task outlived it.
    """
    parent = _current.get()
    if parent is not None and parent.ended:
        raise RuntimeClosed(f"done with the call to {parent.agent!r} that this task belongs to")
    return parent


def check_timeout(timeout: float) -> float:
    """`timeout`, if it is a number of seconds a call can have.

    Raises:
        ConfigError: negative or not a number.
    """
    try:
        if 0 <= timeout < math.inf:
            return timeout
    except TypeError:  # a text, perhaps: what it may be is said below
        pass
    raise ConfigError(f"timeout={timeout!r}: a timeout is a finite number of seconds, not negative")


def check_agent(agent: object) -> None:
    """Refuse what a runtime cannot host, and say what would make an agent of it.

    Raises:
        ConfigError: it has no name or cannot be executed.
    """
    if isinstance(agent, type):
        raise ConfigError(f"the class {agent.__name__!r} is no agent; give an object of it")
    if hasattr(agent, "name") and hasattr(agent, "execute"):
        return
    if inspect.isfunction(agent):
        raise ConfigError(f"the function {agent.__name__!r} is no agent; decorate it with @agent")
    raise ConfigError(
        f"{agent!r} is no agent: give a function under @agent, or an object with name, role and execute"
    )


def check_budget(budget: object) -> None:
    """Refuse what is no budget.

    Raises:
        ConfigError: it is something else, such as a bare number.
    """
    if not isinstance(budget, Budget):
        raise ConfigError(
            f"budget={budget!r}: give a Budget, such as Budget(usd=0.10) or Budget(tokens=1000)"
        )


def guard_call(
    deadlines: Deadlines, context: CallContext, parent: CallContext | None
) -> Guard | None:
    """Arm the deadline of `context` on the current task, unless a guard of the same task covers it."""
    task = asyncio.current_task(deadlines.loop)
    assert task is not None
    context.task = task
    if parent is not None and parent.task is task and parent.guarded <= context.deadline:
        context.guarded = parent.guarded
        return None
    context.guarded = context.deadline
    return deadlines.arm(context.deadline, task)


def leave_guard(guard: Guard | None, target: str, exc: BaseException | None) -> AixgoError | None:
    """Disarm `guard` on the way out; the error to raise instead of `exc` if the guard is what ended the call."""
    if guard is None:
        return None
    guard.disarm()
    if guard.error is None or not guard.absorbed():
        return None
    if exc is not None and not isinstance(exc, asyncio.CancelledError):
        return None
    error = guard.error()
    error.agent = target  # it was let in: nobody may take it for a refusal and try elsewhere
    return DeadlineExceeded(target) if isinstance(error, DeadlineExceeded) else error


class CallStream:
    """A streamed reply as its caller holds it: every step under the call's deadline, counted once at the end.

    Opening happens on the first step or with `open`; whoever has one must `aclose` it.
    """

    def __init__(
        self,
        target: str,
        context: CallContext,
        parent: CallContext | None,
        deadlines: Deadlines,
        in_flight: InFlight,
        connect: Callable[[], Awaitable[ReplyStream]],
    ) -> None:
        self._target = target
        self._context = context
        self._parent = parent
        self._deadlines = deadlines
        self._in_flight = in_flight
        self._connect = connect
        self._inner: ReplyStream | None = None
        self._began = context.clock.monotonic()
        self._closed = False
        self._ok = False
        self._error: BaseException | None = None
        self.watched: telemetry.Call | None = None
        """What observers are told about this stream; set before it is opened, or never."""
        in_flight.count += 1

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended."""
        return None if self._inner is None else self._inner.final

    def __aiter__(self) -> CallStream:
        return self

    async def open(self) -> None:
        """Reach the target; errors of admission and delivery come from here."""
        await self._step(self._open)

    async def __anext__(self) -> StreamChunk:
        inner = self._inner
        if self._closed or inner is None:
            raise StopAsyncIteration
        try:
            chunk = await self._step(inner.__anext__)
            if self.watched is not None:
                self.watched.chunk()
            return chunk
        except StopAsyncIteration:
            self._ok = True
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop the producer and count the call out. Harmless when done."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._inner is not None:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._inner.aclose()
        except TimeoutError:
            log.warning("%r did not stop streaming within %g s", self._target, CLOSE_TIMEOUT)
        finally:
            if self._parent is not None:
                self._parent.absorb(self._context.spent)
            else:
                self._in_flight.book(self._context)
            if self._context.purse is not None:
                self._context.end_lending(self._parent)
            self._context.ended = True
            if self.watched is not None:
                self._tell(self.watched)
            if not self._ok:
                self._in_flight.note(self._error, self._context)
            self._in_flight.leave(self._ok, self._context.clock.monotonic() - self._began)

    def _tell(self, work: telemetry.Call) -> None:
        """Tell observers how the stream ended: whole, with an error, or left by its reader."""
        work.reply = self.final if self._ok else None
        work.error = self._error
        work.left = not self._ok and work.error is None
        telemetry.end(work)

    async def _open(self) -> None:
        if self.watched is None:
            self._inner = await self._connect()
            return
        entered = telemetry.enter(self.watched)
        try:
            self._inner = await self._connect()
        finally:
            telemetry.leave(entered)

    async def _step(self, work: Callable[[], Awaitable[T]]) -> T:
        guard = guard_call(self._deadlines, self._context, self._parent)
        try:
            result = await work()
        except BaseException as exc:
            error = leave_guard(guard, self._target, exc)
            if not isinstance(exc, StopAsyncIteration):
                self._error = error or exc
                await self.aclose()
            if error is not None:
                raise error from None
            if self._parent is None:
                tell_spent(exc, self._context)
            raise
        error = leave_guard(guard, self._target, None)
        if error is not None:
            self._error = error
            await self.aclose()
            raise error
        return result
