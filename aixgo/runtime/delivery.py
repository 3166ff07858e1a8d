"""Messages to names: the part of a runtime that `Caller` describes.

A call descends: `call` (context, deadline, accounting) → middleware → `_deliver` (name → route) → the
route, which is a `Hosted` agent or a peer; nothing else asks which. What comes from a mailbox or from a peer
enters below the middleware, at `run_hosted` and `stream_hosted`.

Below: registry, mail, calling. Above: base, which gives it a life.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from aixgo import telemetry
from aixgo.context import CallContext, Clock, SystemClock
from aixgo.contract import AgentDescription, Caller, Outcome, Outcomes
from aixgo.deadlines import Deadlines
from aixgo.errors import AixgoError, ConfigError, RuntimeClosed
from aixgo.ledger import Budget
from aixgo.message import Message, Payload, new_id
from aixgo.middleware import ReplyStream, Request, Response, compose
from aixgo.purse import STREAM_SHARE, Purse, Share, check_share
from aixgo.runtime.admission import Slots
from aixgo.runtime.calling import (
    CallStream,
    InFlight,
    check_timeout,
    guard_call,
    leave_guard,
    parent_call,
)
from aixgo.runtime.contexts import Contexts
from aixgo.runtime.hosting import DeadLetter, Hosted, Hosting, Wire
from aixgo.runtime.idempotency import OncePerKey
from aixgo.runtime.lending import tell_spent
from aixgo.runtime.mail import SEND_TIMEOUT, Mail
from aixgo.runtime.options import CallMiddleware, Route
from aixgo.runtime.registry import Registry

__all__ = ["Delivery"]

DEAD_LETTERS = 1_000  # kept, newest last


class Delivery:
    """Delivers to routes, and knows whether it may."""

    def __init__(
        self,
        *,
        caller_for: Callable[[str, tuple[str, ...]], Caller],
        max_in_flight: int = 20_000,
        mailbox_capacity: int = 100,
        middleware: Sequence[CallMiddleware] = (),
        principal: str = "",
        clock: Clock | None = None,
        codec: Wire | None = None,
    ) -> None:
        if max_in_flight < 1 or mailbox_capacity < 1:
            raise ConfigError("max_in_flight and mailbox_capacity are at least 1")
        if not isinstance(middleware, Sequence):
            raise ConfigError(f"middleware={middleware!r}: give a list, the first outermost")
        self.instance = new_id()[-16:]
        self.clock: Clock = clock or SystemClock()
        self.dead_letters: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS)
        self._state = "not started"
        self._deadlines = Deadlines(self.clock)
        self._in_flight = InFlight(self.instance)
        self._slots = Slots(max_in_flight, self.instance)
        routes: dict[str, Route] = {}
        self._contexts = Contexts(self.clock, principal, routes)
        self._hosting = Hosting(
            instance=self.instance,
            clock=self.clock,
            slots=self._slots,
            once=OncePerKey(self.clock),
            mailbox_capacity=mailbox_capacity,
            dead_letters=self.dead_letters,
            wire=codec,
            take=self._contexts.of_posted,
            taken=self._contexts.taken,
            run=self.run_hosted,
        )
        self._registry = Registry(routes, self._hosting, caller_for)
        self._mail = Mail(self._registry, self._contexts, self.clock, mailbox_capacity)
        self._chain = compose(middleware, self._deliver) if middleware else None

    async def call(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = 1,
        source: str = "",
    ) -> Message:
        """The reply of `target`; see `Caller.call`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        context = self._contexts.make(
            target, parent, timeout, budget, session, idempotency_key, key
        )
        if telemetry.on:
            return await self._observed(given, context, parent, share, budget)
        work: Awaitable[Message]
        if parent is not None and parent.purse is not None:
            work = self._lent(parent.purse, check_share(share), budget, given, context)
        elif self._chain is None:
            work = self._registry.route(target).call(given, context)
        else:
            request = Request(target, given, context, streaming=False)
            work = cast("Awaitable[Message]", self._chain(request))
        return await self._counted(context, parent, work)

    async def _observed(
        self,
        message: Message,
        context: CallContext,
        parent: CallContext | None,
        share: Share,
        budget: Budget | None,
    ) -> Message:
        """The reply of a call that somebody watches: also what it fails with on its way is seen."""

        async def counted() -> Message:
            work: Awaitable[Message]
            if parent is not None and parent.purse is not None:
                work = self._lent(parent.purse, check_share(share), budget, message, context)
            elif self._chain is None:
                work = self._registry.route(context.agent).call(message, context)
            else:
                request = Request(context.agent, message, context, streaming=False)
                work = cast("Awaitable[Message]", self._chain(request))
            return await self._counted(context, parent, work)

        call = telemetry.Call(context.agent, message, context)
        return await telemetry.observe(call, counted())

    async def _lent(
        self,
        purse: Purse,
        share: Share,
        budget: Budget | None,
        message: Message,
        context: CallContext,
    ) -> Message:
        """The reply of a call within a budget, once it has its share."""
        context.purse = await purse.lend(share, budget)
        request = Request(context.agent, message, context, streaming=False)
        return cast("Message", await (self._chain or self._deliver)(request))

    @asynccontextmanager
    async def stream(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = STREAM_SHARE,
        source: str = "",
    ) -> AsyncIterator[ReplyStream]:
        """The reply of `target` in pieces; see `Caller.stream`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        context = self._contexts.make(
            target, parent, timeout, budget, session, idempotency_key, key
        )
        request = Request(target, given, context, streaming=True)
        chain = self._chain or self._deliver

        async def connect() -> ReplyStream:
            if parent is not None and parent.purse is not None:
                context.purse = await parent.purse.lend(check_share(share), budget)
            return cast("ReplyStream", await chain(request))

        chunks = CallStream(target, context, parent, self._deadlines, self._in_flight, connect)
        if telemetry.on:
            chunks.watched = telemetry.begin(telemetry.Call(target, given, context, streaming=True))
        try:
            await chunks.open()
            yield chunks
        finally:
            await chunks.aclose()

    async def call_parallel(
        self,
        targets: Sequence[str],
        message: Message | Payload,
        *,
        timeout: float | None = None,
        keys: Sequence[str] | None = None,
        after: int = 0,
        source: str = "",
    ) -> Outcomes:
        """Call all targets at once; see `Caller.call_parallel`."""
        if isinstance(targets, str):
            raise ConfigError(f"targets={targets!r}: give a list of names, such as [{targets!r}]")
        given = Message.of(message)
        parent = parent_call()
        if timeout is not None:
            check_timeout(timeout)
        if keys is None:
            keys = [
                parent.child_key(target) if parent is not None else target for target in targets
            ]
        elif len(keys) != len(targets):
            raise ConfigError(f"{len(targets)} targets need as many keys, not {len(keys)}")

        async def one(target: str, key: str, share: Share) -> Outcome:
            try:
                reply = await self.call(
                    target, given, timeout=timeout, key=key, share=share, source=source
                )
                return Outcome(target, reply)
            except AixgoError as exc:
                return Outcome(target, error=exc)

        shares: Sequence[Share] = (
            [1] * len(targets) if parent is None else parent.shares(len(targets), after)
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(one(target, key, share))
                for target, key, share in zip(targets, keys, shares, strict=True)
            ]
        return Outcomes(task.result() for task in tasks)

    # -- mail -----------------------------------------------------------------------------------------

    async def send(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float = SEND_TIMEOUT,
        budget: Budget | None = None,
        source: str = "",
    ) -> None:
        """Put `message` into the mailbox of `target`; see `Caller.send`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        await self._mail.send(target, given, parent, timeout, budget)

    async def recv(self, name: str = "", *, timeout: float | None = None) -> Message:
        """Take the next message from a declared mailbox or an exit; see `Caller.recv`."""
        self._check_open(None)
        return await self._mail.recv(name, timeout)

    async def broadcast(
        self, message: Message | Payload, targets: Iterable[str] | None = None, *, source: str = ""
    ) -> Outcomes:
        """Put `message` into many mailboxes; see `Caller.broadcast`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        return await self._mail.broadcast(targets, given.source, given, parent)

    # -- inside ---------------------------------------------------------------------------------------

    def _check_open(self, parent: CallContext | None) -> None:
        if self._state == "running":
            return
        if self._state == "starting":  # agents may call those of earlier levels while they start
            return
        if self._state == "draining" and parent is not None:
            return  # part of a call that was let in
        raise RuntimeClosed(self._state)

    def _outgoing(
        self, message: Message | Payload, parent: CallContext | None, source: str
    ) -> Message:
        """The message as it leaves: our own handle, naming its source."""
        self._check_open(parent)
        sender = parent.agent if parent is not None else source
        if isinstance(message, Message):
            return message.delivered(sender)
        given = Message(message)
        given.source = sender
        return given

    async def _deliver(self, request: Request) -> Response:
        """The end of the middleware chain: whoever has the name."""
        route = self._registry.route(request.target)
        if request.streaming:
            return await route.stream(request.message, request.context)
        return await route.call(request.message, request.context)

    async def run_hosted(self, hosted: Hosted, message: Message, context: CallContext) -> Message:
        """Execute a call that did not begin here (from a mailbox or a peer)."""
        return await self._counted(context, None, hosted.call(message, context))

    async def _counted(
        self, context: CallContext, parent: CallContext | None, work: Awaitable[Message]
    ) -> Message:
        """The reply `work` gives within the deadline; what it spent and took is counted either way."""
        in_flight = self._in_flight
        guard = guard_call(self._deadlines, context, parent)
        in_flight.count += 1
        ok = False
        error: AixgoError | None = None
        try:
            reply = await work
            error = leave_guard(guard, context.agent, None)
            ok = error is None
        except BaseException as exc:
            error = leave_guard(guard, context.agent, exc)
            in_flight.note(error or exc, context)
            if error is not None:
                raise error from None
            if parent is None:
                tell_spent(exc, context)
            raise
        finally:
            if parent is not None:
                parent.absorb(context.spent)
            elif context.spent is not None:
                in_flight.book(context)
            if context.purse is not None:
                context.end_lending(parent)
            in_flight.leave(ok, self.clock.monotonic() - context.began)
        if error is not None:
            in_flight.note(error, context)
            raise error
        return reply

    async def stream_hosted(
        self, hosted: Hosted, message: Message, context: CallContext
    ) -> ReplyStream:
        """Open a streamed call that did not begin here; whoever gets the stream closes it."""
        chunks = CallStream(
            hosted.name,
            context,
            None,
            self._deadlines,
            self._in_flight,
            lambda: hosted.stream(message, context),
        )
        await chunks.open()
        return chunks

    def default_timeout(self, target: str) -> float:
        """Seconds a call to `target` may take when nobody said otherwise."""
        return self._contexts.default_timeout(target)

    def hosted(self, name: str) -> Hosted | None:
        """The agent hosted here under that name, if there is one."""
        return self._registry.hosted.get(name)

    def hosted_descriptions(self) -> list[AgentDescription]:
        """What peers are told, in registration order."""
        return [hosted.description() for hosted in self._registry.hosted.values()]

    @property
    def state(self) -> str:
        """`not started`, `starting`, `running`, `draining` or `stopped`."""
        return self._state
