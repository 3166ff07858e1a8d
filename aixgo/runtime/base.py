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
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self, cast

from aixgo.context import CallContext, Clock, SystemClock
from aixgo.contract import Agent, AgentDescription, Outcome, Outcomes
from aixgo.deadlines import Deadlines
from aixgo.errors import AgentNotFound, AixgoError, ConfigError, RuntimeClosed
from aixgo.ledger import Budget
from aixgo.message import Message, Payload, new_id
from aixgo.middleware import ReplyStream, Request, Response, compose
from aixgo.runtime.admission import Slots
from aixgo.runtime.callers import AgentCaller
from aixgo.runtime.calling import (
    CallStream,
    InFlight,
    check_timeout,
    guard_call,
    leave_guard,
    parent_call,
)
from aixgo.runtime.contexts import Contexts
from aixgo.runtime.hosting import HOST_CODES, DeadLetter, Hosted, Hosting, Wire
from aixgo.runtime.idempotency import OncePerKey
from aixgo.runtime.lifecycle import start_agents, stop_agents
from aixgo.runtime.mail import SEND_TIMEOUT, Mail
from aixgo.runtime.options import CallMiddleware, Health, Metrics, Route
from aixgo.runtime.registry import Registry
from aixgo.runtime.watchdog import LoopWatch

__all__ = ["Runtime"]

DEAD_LETTERS = 1_000  # kept, newest last


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
        self._start_timeout = check_timeout(start_timeout)
        self._stop_grace = check_timeout(stop_grace)
        self._deadlines = Deadlines(self.clock)
        self._in_flight = InFlight()
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
        self._registry = Registry(
            routes, self._hosting, lambda name, outputs: AgentCaller(self, name, outputs)
        )
        self._mail = Mail(self._registry, self._contexts, self.clock, mailbox_capacity)
        self._spawned = 0
        self._watch: LoopWatch | None = None
        self._chain = compose(middleware, self._deliver) if middleware else None
        for agent in agents:
            self._registry.add(agent)

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
            AgentNotReady: it failed to start, or was not ready in time; then it is not hosted.
            RuntimeClosed: the runtime has stopped.
        """
        await self._register(agent, name, outputs, depends_on)

    async def _register(
        self,
        agent: Agent,
        name: str | None = None,
        outputs: Iterable[str] = (),
        depends_on: Iterable[str] | None = None,
    ) -> list[Hosted]:
        if self._state == "stopped":
            raise RuntimeClosed(self._state)
        added = self._registry.add(agent, name, outputs, depends_on)
        if self._state != "not started":
            try:
                self._registry.check_orchestrations(item.name for item in added)
                names = {item.name for item in added}
                known = self._registry.elsewhere | (self._registry.hosted.keys() - names)
                await start_agents(added, self._start_timeout, known)
            except BaseException:
                self._forget(added)
                raise
        return added

    def _forget(self, added: Iterable[Hosted]) -> None:
        for hosted in added:
            if self._registry.hosted.get(hosted.name) is hosted:
                self._registry.remove(hosted.name)

    async def unregister(self, name: str) -> None:
        """Stop hosting an agent; calls in flight end, new ones fail.

        Raises:
            AgentNotFound: no agent of that name is hosted here.
        """
        hosted = self._registry.hosted.get(name)
        if hosted is None:
            raise AgentNotFound(name, self._registry.hosted)
        await self._unregister([hosted])

    async def _unregister(self, leaving: Sequence[Hosted]) -> None:
        for hosted in leaving:
            self._registry.remove(hosted.name)
        await stop_agents(leaving)

    def get_agent(self, name: str) -> Agent:
        """The agent of that name: the object hosted here.

        Raises:
            AgentNotFound: the runtime knows no such name.
        """
        hosted = self._registry.hosted.get(name)
        if hosted is None:
            raise AgentNotFound(name, self._registry.routes)
        return hosted.agent

    def list_agents(self) -> list[str]:
        """The names that can be called, hosted ones in registration order first."""
        return list(self._registry.routes)

    def describe(self, name: str) -> AgentDescription | None:
        """What is known of an agent; None for a peer that was not reached yet.

        Raises:
            AgentNotFound: the runtime knows no such name.
        """
        return self._registry.route(name).description()

    def spawn(self, agent: Agent) -> AbstractAsyncContextManager[str]:
        """Host `agent` for the length of the `async with`, under a name of its own."""
        return self._spawn(agent)

    @asynccontextmanager
    async def _spawn(self, agent: Agent) -> AsyncIterator[str]:
        self._spawned += 1
        name = f"{agent.name}~{self._spawned}"
        for member in (await self._register(agent, name))[1:]:
            member.brought_along = True
        try:
            yield name
        finally:
            await self._unregister(self._registry.leaving_with(name))

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
        context = self._contexts.make(
            target, parent, timeout, budget, session, idempotency_key, key
        )
        work: Awaitable[Message]
        if self._chain is None:
            work = self._registry.route(target).call(given, context)
        else:
            request = Request(target, given, context, streaming=False)
            work = cast("Awaitable[Message]", self._chain(request))
        return await self._counted(context, parent, work)

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
        context = self._contexts.make(
            target, parent, timeout, budget, session, idempotency_key, key
        )
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
        elif len(keys) != len(targets):
            raise ConfigError(f"{len(targets)} targets need as many keys, not {len(keys)}")

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

    # -- life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the agents level by level (`depends_on`); afterwards the runtime takes calls.

        Raises:
            ConfigError: a cycle or an unknown name in `depends_on` or among orchestrators; or an agent refused to
                start because it is configured wrongly.
            AgentNotReady: an agent failed to start, or was not ready in time; what had started is stopped.
            RuntimeClosed: the runtime was started before, or stopped meanwhile.
        """
        if self._state != "not started":
            raise RuntimeClosed(f"{self._state}; a runtime starts once")
        hosted = list(self._registry.hosted.values())
        self._registry.check_orchestrations(item.name for item in hosted)
        self._state = "starting"
        try:
            self._begin()
            await start_agents(hosted, self._start_timeout, self._registry.elsewhere)
            if self._state != "starting":  # stopped meanwhile
                raise RuntimeClosed(self._state)  # noqa: TRY301 - undone like any failure
        except BaseException:
            self._state = "stopped"
            await self._let_go()
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
            await self._let_go()

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
            "agents": {name: hosted.health for name, hosted in self._registry.hosted.items()},
        }

    def metrics(self) -> Metrics:
        """Counters since the start and gauges of this moment."""
        flight = self._in_flight
        done = flight.succeeded + flight.failed
        return {
            "agents": len(self._registry.routes),
            "calls_succeeded": flight.succeeded,
            "calls_failed": flight.failed,
            "calls_in_flight": flight.count,
            "calls_waiting": self._slots.waiting,
            "call_seconds_mean": flight.seconds / done if done else 0.0,
            "messages_sent": self._mail.sent,
            "messages_received": self._mail.received,
            "dead_letters": len(self.dead_letters),
            "mailboxes": self._mail.waiting(),
        }

    async def pending(self) -> int:
        """Messages waiting or being worked on, calls in flight, and agents that still produce."""
        return (
            sum(hosted.pending for hosted in self._registry.hosted.values()) + self._in_flight.count
        )

    # -- inside ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take what running needs, before any agent starts."""
        self._watch = LoopWatch(HOST_CODES)
        self._watch.start()

    async def _let_go(self) -> None:
        """Stop the agents and end, the latter also when the former is cut short."""
        try:
            await stop_agents(list(self._registry.hosted.values()))
        finally:
            await self._end()

    async def _end(self) -> None:
        """Let go of what `start` took."""
        if self._watch is not None:
            self._watch.stop()
        self._deadlines.close()
        await self._hosting.once.close()
        self._mail.close()

    async def _drained(self) -> None:
        while True:  # what one agent passes on another has to work on
            await self._in_flight.wait_idle()
            working = [item for item in self._registry.hosted.values() if item.working]
            if not working:
                return
            for hosted in working:
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
        try:
            reply = await work
            ok = True
        except BaseException as exc:
            error = leave_guard(guard, context.agent, exc)
            if error is not None:
                raise error from None
            raise
        finally:
            if parent is not None:
                parent.charge(context.spent)
            in_flight.leave(ok, self.clock.monotonic() - context.began)
        error = leave_guard(guard, context.agent, None)
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
