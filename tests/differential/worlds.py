"""The same agents behind each runtime under comparison, kept open for all programs of a test.

A `World` has two runtimes to call from, which are one where everything is local. Its clock stands still
until a program lets a deadline pass, so that no outcome depends on how fast the machine is. After each
program `at_rest` returns only if nothing is left of it. Below: actors. Above: the interpreter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aixgo import Agent, DistributedRuntime, LocalRuntime
from aixgo.rpc.transports import TRANSPORTS
from aixgo.runtime.base import Runtime
from aixgo.testing import FakeClock
from tests.conformance.servers import names
from tests.differential.actors import (
    EXITS,
    HANG,
    MAIL,
    QUIET,
    SPEAKING,
    Actor,
    left,
    on_stage,
    right,
)

__all__ = ["LEGS", "World", "open_world"]

LEGS = ("local", *TRANSPORTS)
"""The runtimes that are compared: the local one, and a distributed one for each transport."""

SERVER_WAITS = "AioServer._request_call"  # gRPC's own task, made anew after every request

SIDES = (left, right)


class JumpingClock(FakeClock):
    """A clock that goes from one moment to the next with nothing between, for whoever looks at it."""

    async def advance(self, seconds: float) -> None:
        self._elapsed += seconds
        await super().advance(0)


@dataclass
class World:
    """One leg of the comparison."""

    leg: str
    clock: JumpingClock
    callers: tuple[Runtime, Runtime]
    hosts: tuple[Runtime, ...]
    _before: set[asyncio.Task[object]] = field(default_factory=set)

    def home(self, agent: str) -> str:
        """The instance that hosts `agent`."""
        return next((host.instance for host in self.hosts if host.hosted(agent)), "")

    def begin(self) -> None:
        """Note what is there before a program runs."""
        self._before = asyncio.all_tasks()

    async def at_rest(self) -> None:
        """Return once no call is in flight and no task is left of what began since `begin`."""
        try:
            async with asyncio.timeout(HANG):
                while self._busy():
                    await self.clock.advance(0)
        except TimeoutError:
            raise AssertionError(f"{self.leg} does not come to rest: {self._busy()}") from None

    def _busy(self) -> list[str]:
        """What is still going on."""
        found: list[str] = []
        for runtime in {*self.callers, *self.hosts}:
            metrics = runtime.metrics()
            left = (metrics["calls_in_flight"], metrics["calls_waiting"], metrics["mailboxes"])
            if any(left):
                found.append(f"calls in flight, calls waiting, mail: {left}")
            found += [f"{each.name} works" for each in _hosted(runtime) if each.working]
            if isinstance(runtime, DistributedRuntime) and (count := _outstanding(runtime)):
                found.append(f"{count} calls are outstanding on links")
        tasks = asyncio.all_tasks() - self._before - {asyncio.current_task()}
        return found + [str(task) for task in tasks if SERVER_WAITS not in str(task)]


def _hosted(runtime: Runtime) -> Sequence[object]:
    return list(runtime._registry.hosted.values())


def _outstanding(runtime: DistributedRuntime) -> int:
    """Work of the runtime's links, not counting the open reads of exits."""
    inboxes = [peer._inbox for peer in runtime._peers.values() if peer._inbox is not None]
    links = (replica.link for replica in runtime._replicas._by_address.values())
    return sum(link.outstanding for link in links) - sum(len(each._readers) for each in inboxes)


@asynccontextmanager
async def open_world(leg: str, sockets: Path) -> AsyncIterator[World]:
    """The world of `leg`, with whatever stays open for good opened already."""
    clock = JumpingClock()
    async with AsyncExitStack() as stack:
        if leg == "local":
            local = LocalRuntime(*left(), *right(), clock=clock, principal="tester", stop_grace=5.0)
            await stack.enter_async_context(local)
            world = World(leg, clock, (local, local), (local,))
        else:
            hosts = [
                await stack.enter_async_context(_host(leg, sockets, side, clock))
                for side in range(len(SIDES))
            ]
            peers: dict[str, str] = {}
            for number, (side, host) in enumerate(zip(SIDES, hosts, strict=True)):
                known = dict.fromkeys(names(side()), host.address)
                for other in hosts:
                    if other is not host:
                        for name in known:
                            await other.connect(name, host.address)
                peers |= known | dict.fromkeys((MAIL[number], EXITS[number]), host.address)
            callers = [
                await stack.enter_async_context(_caller(leg, peers, clock)) for _ in range(2)
            ]
            world = World(leg, clock, (callers[0], callers[1]), tuple(hosts))
        await _warm_up(world)
        yield world


def _host(leg: str, sockets: Path, side: int, clock: JumpingClock) -> DistributedRuntime:
    return DistributedRuntime(
        *SIDES[side](),
        address=f"unix:{sockets / f'{leg}{side}'}",
        transport=leg,
        clock=clock,
        principal="tester",
        stop_grace=5.0,
    )


def _caller(leg: str, peers: dict[str, str], clock: JumpingClock) -> DistributedRuntime:
    return DistributedRuntime(
        peers=peers, transport=leg, clock=clock, principal="tester", stop_grace=5.0
    )


async def _warm_up(world: World) -> None:
    """Host what is mailed to, reach every peer, and begin to read every exit."""
    with on_stage():
        for side, (mail, exit) in enumerate(zip(MAIL, EXITS, strict=True)):
            host = world.hosts[side % len(world.hosts)]
            agent: Agent = Actor(mail)
            await host.register(agent, outputs=[exit])
            await world.callers[0].send(mail, "warm")
            async with asyncio.timeout(HANG):
                await world.callers[0].recv(exit)
        for caller in world.callers:
            for name in (*SPEAKING, *QUIET):
                await caller.call(name, "warm")
