"""The engine: agents hosted here, their life, and the delivery of messages to them and to peers.

`LocalRuntime` is this as it stands; `DistributedRuntime` adds peers and a server. Below: delivery, lifecycle.
Above: config, cli.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

from aixgo.context import Clock
from aixgo.contract import Agent, AgentDescription
from aixgo.errors import AgentNotFound, RuntimeClosed
from aixgo.ledger import Ledger
from aixgo.measures import runtimes
from aixgo.rpc.traffic import Traffic
from aixgo.runtime.callers import AgentCaller
from aixgo.runtime.calling import (
    check_timeout,
)
from aixgo.runtime.delivery import Delivery
from aixgo.runtime.hosting import HOST_CODES, Hosted, Wire
from aixgo.runtime.lifecycle import first_holding, start_agents, stop_agents
from aixgo.runtime.options import CallMiddleware, Health, Metrics
from aixgo.runtime.watchdog import LoopWatch

__all__ = ["Runtime"]


class Runtime(Delivery):
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
        super().__init__(
            caller_for=lambda name, outputs: AgentCaller(self, name, outputs),
            max_in_flight=max_in_flight,
            mailbox_capacity=mailbox_capacity,
            middleware=middleware,
            principal=principal,
            clock=clock,
            codec=codec,
        )
        self._start_timeout = check_timeout(start_timeout)
        self._stop_grace = check_timeout(stop_grace)
        self._spawned = 0
        self._watch: LoopWatch | None = None
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

    @property
    def ledger(self) -> Ledger:
        """What calls cost that were made here, came from peers, or worked on sent messages; callees elsewhere included.

        It grows as they end. The 10,000 lines that were added to last are told apart.
        """
        return self._in_flight.ledger

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
            "call_seconds": flight.seconds,
            "call_seconds_mean": flight.seconds / done if done else 0.0,
            "errors": dict(flight.errors),
            "messages_sent": self._mail.sent,
            "messages_received": self._mail.received,
            "messages_refused": self._hosting.refused + self._mail.refused,
            "dead_letters": len(self.dead_letters),
            "dead_letters_total": self._hosting.buried,
            "spent": flight.spent.as_row(),
            "mailboxes": self._mail.waiting(),
            "wire": Traffic().metrics(),
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
        runtimes.add(self)

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
        runtimes.end(self)

    async def _drained(self) -> None:
        while True:  # what one agent passes on another has to work on
            await self._in_flight.wait_idle()
            every = list(self._registry.hosted.values())
            working = [item for item in every if item.working]
            for hosted in working:
                await hosted.drained()
            if not working:
                holding = first_holding(every)
                if holding is None:
                    return
                await holding.hand_on()  # nobody is left who could add to it
