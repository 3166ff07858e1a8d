"""The engine: one runtime over routes, whether they lead to an agent here or to a peer.

A call descends: `call` (context, deadline, accounting) → middleware → `_deliver` (name → route) → the
route, which is a `Hosted` agent or a peer; nothing else asks which. `LocalRuntime` has only hosted
routes, `DistributedRuntime` adds peers and a server.

Below: contract, mailboxes. Above: config, cli.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, Self, TypedDict, cast

from aixgo.context import MAX_HOPS, CallContext, Clock, SystemClock, _current
from aixgo.contract import Agent, AgentDescription, Outcome, Outcomes
from aixgo.deadlines import Deadlines
from aixgo.errors import (
    AgentExists,
    AgentNotFound,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    RuntimeClosed,
)
from aixgo.ledger import Budget
from aixgo.mailboxes.base import Posted
from aixgo.mailboxes.memory import MemoryMailbox
from aixgo.message import Message, Payload, new_id
from aixgo.middleware import Middleware, ReplyStream, Request, Response, compose
from aixgo.names import check_name, slug
from aixgo.runtime.admission import Slots
from aixgo.runtime.binding import check_orchestration, objects_below
from aixgo.runtime.callers import AgentCaller
from aixgo.runtime.calling import (
    CallStream,
    InFlight,
    check_timeout,
    guard_call,
    leave_guard,
    parent_call,
)
from aixgo.runtime.hosting import HOST_CODES, DeadLetter, Hosted, Hosting, Wire
from aixgo.runtime.idempotency import OncePerKey
from aixgo.runtime.lifecycle import start_agents, stop_agents
from aixgo.runtime.watchdog import LoopWatch

__all__ = ["Health", "Metrics", "Route", "Runtime", "RuntimeOptions"]

DEFAULT_TIMEOUT = 60.0  # seconds a root call may take
LONG_TIMEOUT = 300.0  # seconds, when the target orchestrates, uses a model, or is not described yet
SEND_TIMEOUT = 5.0  # seconds a full mailbox is waited for
DEAD_LETTERS = 1_000  # kept, newest last

CallMiddleware = Middleware[Request, Response]


class Route(Protocol):
    """Where a name leads."""

    @property
    def is_quick(self) -> bool:
        """Whether the agent is known to neither orchestrate nor use a model."""
        ...

    async def call(self, message: Message, context: CallContext) -> Message: ...

    async def stream(self, message: Message, context: CallContext) -> ReplyStream: ...

    async def send(self, message: Message, context: CallContext) -> None: ...

    def description(self) -> AgentDescription | None:
        """What is known of the agent; None for a peer that was not asked yet."""
        ...


class RuntimeOptions(TypedDict, total=False):
    """The keywords every runtime takes."""

    max_in_flight: int
    """Calls executed at a time (20,000); more wait for their turn until their deadline."""
    mailbox_capacity: int
    """Messages one mailbox holds (100)."""
    middleware: Sequence[CallMiddleware]
    """Around every call made here, first outermost."""
    principal: str
    """Who calls made outside any call act for."""
    clock: Clock
    start_timeout: float
    """Seconds an agent may take to start and be ready (30)."""
    stop_grace: float
    """Seconds `stop` waits for calls in flight (25)."""


class Metrics(TypedDict):
    """Counters since the start, and gauges of this moment."""

    agents: int
    calls_succeeded: int
    calls_failed: int
    calls_in_flight: int
    calls_waiting: int
    call_seconds_mean: float
    messages_sent: int
    messages_received: int
    dead_letters: int
    mailboxes: dict[str, int]
    """Messages waiting, per mailbox that has any."""


class Health(TypedDict):
    """Whether the runtime takes calls, and what each agent's state is."""

    status: str
    """`serving`, `draining`, `stopped` or `not started`."""
    agents: dict[str, str]
    """`ready`, or why not."""


class Runtime:
    """Hosts agents and delivers messages to names. `Caller` is the part of it that agents see."""

    def __init__(
        self,
        *agents: Agent,
        max_in_flight: int = 20_000,
        mailbox_capacity: int = 100,
        middleware: Sequence[CallMiddleware] = (),
        principal: str = "",
        clock: Clock | None = None,
        start_timeout: float = 30.0,
        stop_grace: float = 25.0,
        codec: Wire | None = None,
    ) -> None:
        if max_in_flight < 1 or mailbox_capacity < 1:
            raise ConfigError("max_in_flight and mailbox_capacity are at least 1")
        self.instance = new_id()[-16:]
        self.clock: Clock = clock or SystemClock()
        self.dead_letters: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS)
        self._state = "not started"
        self._principal = principal
        self._start_timeout = check_timeout(start_timeout)
        self._stop_grace = check_timeout(stop_grace)
        self._deadlines = Deadlines(self.clock)
        self._in_flight = InFlight()
        self._slots = Slots(max_in_flight, self.instance)
        self._hosting = Hosting(
            instance=self.instance,
            clock=self.clock,
            slots=self._slots,
            once=OncePerKey(self.clock),
            mailbox_capacity=mailbox_capacity,
            dead_letters=self.dead_letters,
            wire=codec,
            take=self._context_of,
            run=self.run_hosted,
        )
        self._routes: dict[str, Route] = {}
        self._hosted: dict[str, Hosted] = {}
        self._slugs: dict[str, str] = {}
        self._exits: dict[str, MemoryMailbox] = {}
        self._sent = 0
        self._received = 0
        self._spawned = 0
        self._watch: LoopWatch | None = None
        self._chain = compose(middleware, self._deliver) if middleware else None
        for agent in agents:
            self._add(agent, None, (), None)

    # -- agents ---------------------------------------------------------------------------------------

    async def register(
        self,
        agent: Agent,
        name: str | None = None,
        outputs: Iterable[str] = (),
        depends_on: Iterable[str] | None = None,
    ) -> None:
        """Host `agent`, under another `name` if given, and what it orchestrates; start it if we run.

        `outputs` are where replies to sent messages go; one that names no agent is an exit, a mailbox
        read with `recv`.

        Raises:
            AgentExists: the name or its slug is taken by another agent.
            ConfigError: the name cannot be used, or an orchestration contains itself.
            LimitExceeded: an orchestrator reaches more agents than its `max_agents`.
        """
        added = self._add(agent, name, outputs, depends_on)
        if self._state == "running":
            try:
                self._check_orchestrations(added)
                await start_agents(added, self._start_timeout, self._known_elsewhere())
            except BaseException:
                for hosted in added:
                    self._forget(hosted)
                raise

    async def unregister(self, name: str) -> None:
        """Stop hosting an agent; calls in flight end, new ones fail.

        Raises:
            AgentNotFound: no agent of that name is hosted here.
        """
        hosted = self._hosted.get(name)
        if hosted is None:
            raise AgentNotFound(name, self._hosted)
        self._forget(hosted)
        await stop_agents([hosted])

    def get_agent(self, name: str) -> Agent:
        """The agent of that name: the object hosted here.

        Raises:
            AgentNotFound: the runtime knows no such name.
        """
        hosted = self._hosted.get(name)
        if hosted is None:
            raise AgentNotFound(name, self._routes)
        return hosted.agent

    def list_agents(self) -> list[str]:
        """The names that can be called, hosted ones in registration order first."""
        return list(self._routes)

    def describe(self, name: str) -> AgentDescription | None:
        """What is known of an agent; None for a peer that was not reached yet.

        Raises:
            AgentNotFound: the runtime knows no such name.
        """
        return self._route(name).description()

    def spawn(self, agent: Agent) -> AbstractAsyncContextManager[str]:
        """Host `agent` for the length of the `async with`, under a name of its own."""
        return self._spawn(agent)

    @asynccontextmanager
    async def _spawn(self, agent: Agent) -> AsyncIterator[str]:
        self._spawned += 1
        name = f"{agent.name}~{self._spawned}"
        await self.register(agent, name)
        try:
            yield name
        finally:
            with contextlib.suppress(AgentNotFound):  # the runtime stopped meanwhile
                await self.unregister(name)

    # -- calls ----------------------------------------------------------------------------------------

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
        source: str = "",
    ) -> Message:
        """The reply of `target`; see `Caller.call`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        context = self._context(target, parent, timeout, budget, session, idempotency_key, key)
        in_flight = self._in_flight
        guard = guard_call(self._deadlines, context, parent)
        in_flight.count += 1
        ok = False
        try:
            if self._chain is None:
                reply = await self._route(target).call(given, context)
            else:
                reply = cast(
                    "Message", await self._chain(Request(target, given, context, streaming=False))
                )
            ok = True
        except BaseException as exc:
            error = leave_guard(guard, target, exc)
            if error is not None:
                raise error from None
            raise
        finally:
            if parent is not None:
                parent.charge(context.spent)
            in_flight.leave(ok=ok, seconds=self.clock.monotonic() - context.began)
        error = leave_guard(guard, target, None)
        if error is not None:
            raise error
        return reply

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
        source: str = "",
    ) -> AsyncIterator[ReplyStream]:
        """The reply of `target` in pieces; see `Caller.stream`."""
        parent = parent_call()
        given = self._outgoing(message, parent, source)
        context = self._context(target, parent, timeout, budget, session, idempotency_key, key)
        request = Request(target, given, context, streaming=True)
        chain = self._chain or self._deliver

        async def connect() -> ReplyStream:
            return cast("ReplyStream", await chain(request))

        chunks = CallStream(target, context, parent, self._deadlines, self._in_flight, connect)
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
        source: str = "",
    ) -> Outcomes:
        """Call all targets at once; see `Caller.call_parallel`."""
        given = Message.of(message)
        parent = parent_call()
        if timeout is not None:
            check_timeout(timeout)
        if keys is None:
            keys = [
                parent.child_key(target) if parent is not None else target for target in targets
            ]

        async def one(target: str, key: str) -> Outcome:
            try:
                return Outcome(
                    target, await self.call(target, given, timeout=timeout, key=key, source=source)
                )
            except AixgoError as exc:
                return Outcome(target, error=exc)

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(one(target, key))
                for target, key in zip(targets, keys, strict=True)
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
        context = self._context(target, parent, timeout, None, None, "", "")
        context.deadline = (
            self.clock.monotonic() + timeout
        )  # accepting it is all that is waited for
        context.budget = budget
        route = self._routes.get(target)
        if route is not None:
            await route.send(given, context)
        else:
            await self._exit(target).put(Posted.of(given, context), timeout)
        self._sent += 1

    async def recv(self, name: str = "", *, timeout: float | None = None) -> Message:
        """Take the next message from a declared mailbox or an exit; see `Caller.recv`."""
        self._check_open(None)
        hosted = self._hosted.get(name)
        if hosted is not None and not hosted.reads_mailbox:
            raise ConfigError(
                f"agent {name!r} does not read its mailbox: declare it with @agent(mailbox=True)"
            )
        mailbox = hosted.mailbox if hosted is not None else self._exit(name)
        posted = await mailbox.get(timeout)
        self._received += 1
        current = _current.get()
        if hosted is not None and (current is None or current.ended or current.key == _RECEIVED):
            # What the agent does next, it does for this message: on its path, with a fresh deadline.
            taken = self._context_of(posted, name)
            taken.key = _RECEIVED
            _current.set(taken)
        return posted.message

    async def broadcast(
        self, message: Message | Payload, targets: Iterable[str] | None = None, *, source: str = ""
    ) -> Outcomes:
        """Put `message` into many mailboxes; see `Caller.broadcast`."""
        given = Message.of(message)
        parent = parent_call()
        own = parent.agent if parent is not None else source
        chosen = [name for name in (self._routes if targets is None else targets) if name != own]

        async def one(target: str) -> Outcome:
            try:
                await self.send(target, given, source=source)
            except AixgoError as exc:
                return Outcome(target, error=exc)
            return Outcome(target)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(target)) for target in chosen]
        return Outcomes(task.result() for task in tasks)

    # -- life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the agents level by level (`depends_on`); afterwards the runtime takes calls.

        Raises:
            ConfigError: a cycle or an unknown name in `depends_on` or among orchestrators; or an agent refused to
                start because it is configured wrongly.
            AgentNotReady: an agent failed to start, or was not ready in time; what had started is stopped.
            RuntimeClosed: the runtime was started before.
        """
        if self._state != "not started":
            raise RuntimeClosed(f"{self._state}; a runtime starts once")
        hosted = list(self._hosted.values())
        self._check_orchestrations(hosted)
        self._state = "starting"
        self._begin()
        try:
            await start_agents(hosted, self._start_timeout, self._known_elsewhere())
        except BaseException:
            self._state = "stopped"
            await self._end()
            raise
        self._state = "running"

    async def stop(self) -> None:
        """Refuse new calls, let those in flight and accepted messages finish, then stop the agents.

        What is not done after `stop_grace` seconds ends with `RuntimeClosed`. Stopping twice is fine.
        """
        if self._state in ("stopped", "not started"):
            self._state = "stopped"
            return
        self._state = "draining"
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stop_grace):
                    await self._drained()
        finally:
            self._state = "stopped"
            self._deadlines.fire_all(lambda: RuntimeClosed("stopped"))
            await stop_agents(list(self._hosted.values()))
            await self._end()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def health(self) -> Health:
        """Whether calls are taken, and each agent's state."""
        status = "serving" if self._state == "running" else self._state
        return {
            "status": status,
            "agents": {name: hosted.health for name, hosted in self._hosted.items()},
        }

    def metrics(self) -> Metrics:
        """Counters since the start and gauges of this moment."""
        flight = self._in_flight
        done = flight.succeeded + flight.failed
        boxes = {name: hosted.mailbox for name, hosted in self._hosted.items()} | self._exits
        return {
            "agents": len(self._routes),
            "calls_succeeded": flight.succeeded,
            "calls_failed": flight.failed,
            "calls_in_flight": flight.count,
            "calls_waiting": self._slots.waiting,
            "call_seconds_mean": flight.seconds / done if done else 0.0,
            "messages_sent": self._sent,
            "messages_received": self._received,
            "dead_letters": len(self.dead_letters),
            "mailboxes": {name: len(box) for name, box in boxes.items() if len(box)},
        }

    async def pending(self) -> int:
        """Messages waiting or being worked on, calls in flight, and agents that still produce."""
        return sum(hosted.pending for hosted in self._hosted.values()) + self._in_flight.count

    # -- inside ---------------------------------------------------------------------------------------

    def _add(
        self,
        agent: Agent,
        name: str | None,
        outputs: Iterable[str],
        depends_on: Iterable[str] | None,
    ) -> list[Hosted]:
        added: list[Hosted] = []
        try:
            added.append(
                self._host(agent, agent.name if name is None else name, outputs, depends_on)
            )
            for item in objects_below(agent):
                if not self._stands_for_peer(item.name) and not self._is_same(item.name, item):
                    added.append(self._host(item, item.name, (), None))  # noqa: PERF401 - undone if one fails
        except BaseException:
            for hosted in added:
                self._forget(hosted)
            raise
        return added

    def _host(
        self, agent: Agent, name: str, outputs: Iterable[str], depends_on: Iterable[str] | None
    ) -> Hosted:
        self._check_free(check_name(name))
        needed = getattr(agent, "depends_on", ()) if depends_on is None else depends_on
        hosted = Hosted(
            agent, name, self._hosting, outputs=tuple(outputs), depends_on=tuple(needed)
        )
        hosted.caller = AgentCaller(self, name, hosted.outputs)
        self._hosted[name] = self._routes[name] = hosted
        self._slugs[slug(name)] = name
        return hosted

    def _is_same(self, name: str, agent: Agent) -> bool:
        hosted = self._hosted.get(name)
        return hosted is not None and hosted.agent is agent

    def _check_free(self, name: str) -> None:
        taken = name if name in self._routes else self._slugs.get(slug(name))
        if taken is not None:
            raise AgentExists(name, taken)

    def _forget(self, hosted: Hosted) -> None:
        self._hosted.pop(hosted.name, None)
        self._routes.pop(hosted.name, None)
        self._slugs.pop(slug(hosted.name), None)

    def _check_orchestrations(self, added: Iterable[Hosted]) -> None:
        for hosted in added:
            check_orchestration(
                hosted.name,
                lambda name: found.agent if (found := self._hosted.get(name)) is not None else None,
            )

    def _stands_for_peer(self, name: str) -> bool:  # noqa: ARG002 - here nothing is elsewhere
        return False

    def _known_elsewhere(self) -> Iterable[str]:
        return [name for name in self._routes if name not in self._hosted]

    def _begin(self) -> None:
        """Take what running needs, before any agent starts."""
        self._watch = LoopWatch(HOST_CODES)
        self._watch.start()

    async def _end(self) -> None:
        """Let go of what `start` took."""
        if self._watch is not None:
            self._watch.stop()
        self._deadlines.close()
        await self._hosting.once.close()
        for mailbox in self._exits.values():
            mailbox.close()

    async def _drained(self) -> None:
        await self._in_flight.wait_idle()
        for hosted in tuple(self._hosted.values()):
            await hosted.drained()

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

    def _context(
        self,
        target: str,
        parent: CallContext | None,
        timeout: float | None,
        budget: Budget | None,
        session: str | None,
        idempotency_key: str,
        key: str,
    ) -> CallContext:
        now = self.clock.monotonic()
        if timeout is not None:
            check_timeout(timeout)
        if parent is None:
            limit = self.default_timeout(target) if timeout is None else timeout
            context = CallContext(
                target,
                deadline=now + limit,
                clock=self.clock,
                key=key or target,
                principal=self._principal,
                session=session or "",
                budget=budget,
                idempotency_key=idempotency_key,
            )
        else:
            parent.check_hops(target)
            context = CallContext(
                target,
                deadline=parent.deadline
                if timeout is None
                else min(parent.deadline, now + timeout),
                clock=self.clock,
                key=key or parent.child_key(target),
                hops=parent.hops,
                max_hops=parent.max_hops,
                budget=budget or parent.budget,
                session=parent.session if session is None else session,
                principal=parent.principal,
                tenant=parent.tenant,
                traceparent=parent.traceparent,
                baggage=parent.baggage,
                idempotency_key=idempotency_key,
            )
        context.began = now
        if context.deadline <= now:
            raise DeadlineExceeded(target)
        return context

    def _context_of(self, posted: Posted, name: str) -> CallContext:
        """The context a posted message is worked on in: its path, and a fresh deadline."""
        context = CallContext(
            name,
            deadline=self.clock.monotonic() + self.default_timeout(name),
            clock=self.clock,
            key=posted.key,
            hops=posted.hops,
            max_hops=posted.max_hops or MAX_HOPS,
            budget=posted.budget,
            session=posted.session,
            principal=posted.principal,
            tenant=posted.tenant,
            traceparent=posted.traceparent,
        )
        context.began = self.clock.monotonic()
        return context

    def default_timeout(self, target: str) -> float:
        """Seconds a call to `target` may take when nobody said otherwise."""
        route = self._routes.get(target)
        return DEFAULT_TIMEOUT if route is not None and route.is_quick else LONG_TIMEOUT

    def _route(self, target: str) -> Route:
        route = self._routes.get(target)
        if route is None:
            raise AgentNotFound(target, self._routes)
        return route

    async def _deliver(self, request: Request) -> Response:
        """The end of the middleware chain: whoever has the name."""
        route = self._route(request.target)
        if request.streaming:
            return await route.stream(request.message, request.context)
        return await route.call(request.message, request.context)

    async def run_hosted(self, hosted: Hosted, message: Message, context: CallContext) -> Message:
        """Execute a call that did not begin here (from a mailbox or a peer) within its deadline; count it."""
        guard = guard_call(self._deadlines, context, None)
        self._in_flight.count += 1
        ok = False
        try:
            reply = await hosted.call(message, context)
            ok = True
        except BaseException as exc:
            error = leave_guard(guard, hosted.name, exc)
            if error is not None:
                raise error from None
            raise
        finally:
            self._in_flight.leave(ok=ok, seconds=self.clock.monotonic() - context.began)
        error = leave_guard(guard, hosted.name, None)
        if error is not None:
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

    def hosted(self, name: str) -> Hosted | None:
        """The agent hosted here under that name, if there is one."""
        return self._hosted.get(name)

    def hosted_descriptions(self) -> list[AgentDescription]:
        """What peers are told, in registration order."""
        return [hosted.description() for hosted in self._hosted.values()]

    @property
    def state(self) -> str:
        """`not started`, `starting`, `running`, `draining` or `stopped`."""
        return self._state

    def _exit(self, name: str) -> MemoryMailbox:
        """The mailbox of an output that no agent has.

        Raises:
            AgentNotFound: nobody's outputs name it.
        """
        mailbox = self._exits.get(name)
        if mailbox is None:
            if name in self._routes or not any(
                name in hosted.outputs for hosted in self._hosted.values()
            ):
                raise AgentNotFound(name, self._routes)
            mailbox = self._exits[name] = MemoryMailbox(name, self._hosting.mailbox_capacity)
        return mailbox


_RECEIVED = "received"  # the key of contexts that `recv` makes
