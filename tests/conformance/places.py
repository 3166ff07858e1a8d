"""The worlds the suite runs in: where agents live, behind which kind of address, over which transport.

A `Place` names one combination; opening it gives a `World` with a runtime to call from. Tests ask for a
world and cannot tell which one they got.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aixgo import DistributedRuntime, LocalRuntime
from aixgo.runtime.base import Runtime
from aixgo.security.auth import Token
from tests.conformance.agents import LEFT, RIGHT
from tests.conformance.servers import ServerProcess, names
from tests.pki import pki

__all__ = [
    "ADDRESSES",
    "COVERING",
    "DISTRIBUTED",
    "EVERYWHERE",
    "IN_PROCESS",
    "TRANSPORTS",
    "Fleet",
    "Place",
    "World",
    "listening",
    "open_world",
]

ADDRESSES = ("tcp", "unix")
TRANSPORTS = ("unary", "stream")
SECURED = "tls"
"""The address kind that is TCP with mutual TLS and a token."""
TOKEN = Token("the-token-of-the-conformance-suite")


@dataclass(frozen=True)
class Place:
    """One combination: a kind of world, an address kind, a transport."""

    kind: str
    address: str = ""
    transport: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.kind, self.address, self.transport)))


_pairs = list(itertools.product(ADDRESSES, TRANSPORTS))

DISTRIBUTED = [Place(kind, *pair) for kind in ("two-servers", "processes") for pair in _pairs]
"""Every place where the agents are not in the caller's runtime."""

EVERYWHERE = [
    Place("local"),
    Place("local-wire"),
    *(Place("self", address, TRANSPORTS[0]) for address in ADDRESSES),
    *DISTRIBUTED,
    Place("two-servers", SECURED, "stream"),
]
"""The full matrix."""

COVERING = [
    Place("local"),
    Place("self", "unix", TRANSPORTS[0]),
    Place("two-servers", "tcp", TRANSPORTS[-1]),
    Place("processes", "unix", TRANSPORTS[0]),
]
"""A list in which every kind, address kind and transport occurs, for what does not depend on pairs."""

IN_PROCESS = [place for place in COVERING if place.kind != "processes"]
"""Where agents can be given as objects of the test."""


@dataclass
class World:
    """An open place: `rt` to call from, and the runtimes behind it that live in this process."""

    place: Place
    rt: Runtime
    hosts: list[Runtime] = field(default_factory=list)


class Fleet:
    """The server processes of a test run, one pair for each address kind and transport."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        self._folder = folder
        self._sockets = sockets
        self._pairs: dict[Place, tuple[ServerProcess, ServerProcess]] = {}
        self._doomed: list[ServerProcess] = []
        self._spared: dict[tuple[str, Place], list[ServerProcess]] = {}
        self._count = 0

    def pair(self, place: Place) -> tuple[ServerProcess, ServerProcess]:
        """The two processes of `place`, started when they are first asked for."""
        if place not in self._pairs:
            self._pairs[place] = self.new_pair(place)
        return self._pairs[place]

    def new_pair(
        self, place: Place, options: Mapping[str, object] | None = None
    ) -> tuple[ServerProcess, ServerProcess]:
        """Two processes that serve both sides and know each other."""
        left, right = (self.new(side, place, options=options) for side in ("LEFT", "RIGHT"))
        left.connect(dict.fromkeys(names(RIGHT), right.address))
        right.connect(dict.fromkeys(names(LEFT), left.address))
        return left, right

    def new(
        self,
        side: str,
        place: Place,
        *,
        address: str = "",
        options: Mapping[str, object] | None = None,
    ) -> ServerProcess:
        """One process that serves `side`."""
        self._count += 1
        return ServerProcess(
            side,
            address or listening(place, self._sockets, f"p{self._count}"),
            place.transport,
            log=self._folder / f"{place}-{side.lower()}-{self._count}.log",
            options=options,
        )

    def doomed(self, side: str, place: Place, *, address: str = "") -> ServerProcess:
        """A process that one test may kill, freeze or end; one that another test has spared, if there is any."""
        spared = [] if address else self._spared.get((side, place), [])
        while spared:
            server = spared.pop()
            if server.alive:
                return server
        server = self.new(side, place, address=address)
        self._doomed.append(server)
        return server

    def spare(self, side: str, place: Place, server: ServerProcess) -> None:
        """Let another test have a doomed process, unless it has met its end."""
        if server.alive:
            self._spared.setdefault((side, place), []).append(server)

    def end(self) -> None:
        for server in self._doomed:
            server.end()
        for server in itertools.chain.from_iterable(self._pairs.values()):
            server.end()


def listening(place: Place, sockets: Path, name: str) -> str:
    """An address of the place's kind to listen at."""
    return f"unix:{sockets / name}" if place.address == "unix" else "127.0.0.1:0"


@asynccontextmanager
async def open_world(
    place: Place,
    fleet: Fleet,
    sockets: Path,
    *,
    hosts: Mapping[str, Any] | None = None,
    caller: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """The world of `place`; `hosts` and `caller` are options of the runtimes on either end.

    Where one runtime is both, it gets both.
    """
    at_hosts = {"stop_grace": 5.0, **(hosts or {})}
    at_caller = {"stop_grace": 5.0, **(caller or {})}
    both = {**at_hosts, **at_caller}
    agents = (*LEFT, *RIGHT)
    wired: dict[str, Any] = {"transport": place.transport}
    if place.address == SECURED:
        wired |= {"tls": pki().tls("writer"), "token": TOKEN}
    async with AsyncExitStack() as stack:
        if place.kind in ("local", "local-wire"):
            rt: Runtime = LocalRuntime(*agents, check_wire=place.kind == "local-wire", **both)
            known = [rt]
        elif place.kind == "self":
            address = listening(place, sockets, "self")
            rt = DistributedRuntime(*agents, address=address, **wired, **both)
            known = [rt]
        elif place.kind == "two-servers":
            left = DistributedRuntime(
                *LEFT, address=listening(place, sockets, "left"), **wired, **at_hosts
            )
            await stack.enter_async_context(left)
            right = DistributedRuntime(
                *RIGHT,
                address=listening(place, sockets, "right"),
                peers=dict.fromkeys(names(LEFT), left.address),
                **wired,
                **at_hosts,
            )
            await stack.enter_async_context(right)
            for name in names(RIGHT):
                await left.connect(name, right.address)
            rt = _outside(left.address, right.address, **wired, **at_caller)
            known = [left, right]
        else:
            if hosts:
                pair = fleet.new_pair(place, hosts)
                for server in pair:
                    stack.enter_context(server)
            else:
                pair = fleet.pair(place)
            rt = _outside(pair[0].address, pair[1].address, **wired, **at_caller)
            known = []
        yield World(place, await stack.enter_async_context(rt), known)


def _outside(left: str, right: str, **options: Any) -> DistributedRuntime:
    """A runtime that hosts nothing and knows both sides."""
    peers = dict.fromkeys(names(LEFT), left) | dict.fromkeys(names(RIGHT), right)
    return DistributedRuntime(peers=peers, **options)
