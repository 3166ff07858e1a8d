"""DistributedRuntime: agents hosted here and peers elsewhere, called alike; and `serve`.

It is the engine plus two things: routes that lead to peers, and, with an address, a server that shows
the hosted agents to others. Below: base, peers, serving, rpc. Above: users, config, cli.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Unpack

from aixgo.contract import Agent, AgentDescription
from aixgo.errors import AgentNotFound, ConfigError, RuntimeClosed
from aixgo.message import Message
from aixgo.names import check_name
from aixgo.rpc.addresses import clash, parse_address
from aixgo.rpc.base import Link
from aixgo.rpc.credentials import Credentials
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.transports import check_transport, open_link
from aixgo.runtime.base import Runtime
from aixgo.runtime.hosting import Hosted
from aixgo.runtime.options import Health, Metrics, RuntimeOptions
from aixgo.runtime.peers import Peer, RemoteAgent
from aixgo.runtime.replicas import Replicas
from aixgo.runtime.serving import RuntimeHost
from aixgo.security.auth import Token
from aixgo.security.tls import Tls

__all__ = ["DistributedRuntime", "serve", "stop_signal"]

Addresses = str | Sequence[str]

SERVER_GRACE = 1.0  # seconds for replies to leave once the runtime has drained
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class DistributedRuntime(Runtime):
    """Runs agents here and calls agents elsewhere, through one interface.

    Args:
        agents: hosted here. An agent object given to a pattern under a peer's name stands for the name.
        peers: name → address or list of addresses (`host:port`, `unix:/path`, `dns:///name:port`).
        address: where to serve the hosted agents; empty serves nobody.
        transport: how calls travel: `stream` carries them all over one RPC per peer, in frames; `unary` makes
            each an RPC of its own. The semantics are the same.
        tls: certificates, for the server and for peers, over TCP.
        token: what callers have to send to the server, and what peers are sent.
        insecure: allow plaintext to and from other machines.
        external_tls: plaintext, because something in front of us encrypts, such as a service mesh.
        wire: keepalive, connect timeout and concurrency of connections.
        health_address: where to answer health checks besides, in plaintext and nothing else, for probes that
            cannot do TLS; with port 0 the one that was bound is `health_address`.
        options: see `RuntimeOptions`.

    Raises:
        ConfigError: an address does not parse, plaintext would leave the machine, or a certificate, key or token
            cannot be used.
    """

    def __init__(
        self,
        *agents: Agent,
        peers: Mapping[str, Addresses] | None = None,
        address: str = "",
        transport: str = "stream",
        tls: Tls | None = None,
        token: Token | None = None,
        insecure: bool = False,
        external_tls: bool = False,
        wire: WireSettings | None = None,
        health_address: str = "",
        **options: Unpack[RuntimeOptions],
    ) -> None:
        self._settings = wire or WireSettings()
        self._credentials = Credentials(
            tls=tls, token=token, insecure=insecure, external_tls=external_tls
        )
        self._transport = check_transport(transport)
        self._peer_addresses: dict[str, tuple[str, ...]] = {}
        self._peers: dict[str, Peer] = {}
        self._server: Server | None = None
        self._listen = address
        self.address = ""
        """Where the server listens, with the port it got; empty while there is none."""
        self.health_address = health_address
        """Where health checks are answered besides."""
        if health_address and not address:
            raise ConfigError("health_address needs an address: without one nothing is served")
        if address:
            self._credentials.check_server(parse_address(address), "serving at")
            if health_address and clash(parse_address(address), parse_address(health_address)):
                raise ConfigError(
                    f"health_address {health_address!r}: the agents are served there; give it another port"
                )
        if not isinstance(peers or {}, Mapping):
            raise ConfigError(f"peers={peers!r}: give a mapping of name → address or addresses")
        for name, addresses in (peers or {}).items():
            self._peer_addresses[check_name(name, "a peer's name")] = self._checked(addresses)
        super().__init__(**options)
        self._replicas = Replicas(self._open_link, self.clock, checks_names=tls is not None)
        for name in self._peer_addresses:
            self._registry.reserve(name)
        for agent in agents:
            self._registry.add(agent)

    # -- peers ----------------------------------------------------------------------------------------

    async def connect(self, name: str, addresses: Addresses) -> AgentDescription:
        """Make `name` callable at `addresses`, and reach it now.

        Raises:
            AgentExists: the name or its slug is taken here.
            Unavailable, IncompatiblePeer: no address answers, or not in our version.
            AgentNotFound: the peer at the address does not host the agent.
            RuntimeClosed: this runtime has stopped.
        """
        if self.state in ("draining", "stopped"):
            raise RuntimeClosed(self.state)
        checked = self._checked(addresses)
        self._registry.reserve(check_name(name, "a peer's name"))
        self._peer_addresses[name] = checked
        peer = self._open_peer(name)
        try:
            description = await peer.connect()
        except BaseException:
            await self.disconnect(name)
            raise
        if description is None:
            await self.disconnect(name)
            raise AgentNotFound(name)
        return description

    async def disconnect(self, name: str) -> None:
        """Forget a peer; calls in flight to it finish.

        Raises:
            AgentNotFound: there is no such peer.
        """
        if name not in self._peer_addresses:
            raise AgentNotFound(name, self._peer_addresses)
        del self._peer_addresses[name]
        self._registry.remove(name)
        peer = self._peers.pop(name, None)
        if peer is not None:
            await peer.aclose()

    async def _register(
        self,
        agent: Agent,
        name: str | None = None,
        outputs: Iterable[str] = (),
        depends_on: Iterable[str] | None = None,
    ) -> list[Hosted]:
        added = await super()._register(agent, name, outputs, depends_on)
        if self._server is not None:
            for hosted in tuple(self._registry.hosted.values()):
                await self._server.set_health(hosted.name, serving=hosted.ready)
        return added

    async def _unregister(self, leaving: Sequence[Hosted]) -> None:
        await super()._unregister(leaving)
        if self._server is not None:
            for hosted in leaving:
                await self._server.set_health(hosted.name, serving=False)

    def get_agent(self, name: str) -> Agent:
        """The agent object hosted here, or a stand-in that calls the peer."""
        if name in self._registry.hosted or name not in self._peer_addresses:
            return super().get_agent(name)
        described = self._peers[name].description() if name in self._peers else None
        return RemoteAgent(
            name, described.role if described is not None else "remote", self._call_remote
        )

    async def health(self) -> Health:
        """Whether calls are taken, each hosted agent's state, and each peer's, asked now."""
        health = await super().health()
        states = await asyncio.gather(*(peer.health() for peer in self._peers.values()))
        health["agents"].update(zip(self._peers, states, strict=True))
        return health

    def metrics(self) -> Metrics:
        """Counters since the start and gauges of this moment; those of the wire over all peers."""
        metrics = super().metrics()
        parts = [*self._replicas.traffic(), *([self._server.traffic] if self._server else [])]
        for part in parts:
            for name, value in part.metrics().items():
                metrics["wire"][name] += value  # type: ignore[literal-required]  # its own names
        return metrics

    async def pending(self) -> int:
        """Work waiting or going on here and at every peer that answers."""
        count = await super().pending()
        for peer in self._peers.values():
            await peer.health()
            described = peer.description()
            count += described.pending if described is not None else 0
        return count

    # -- life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the agents, then serve; peers are reached when they are first called."""
        await super().start()
        if self._listen:
            server = Server(
                RuntimeHost(self),
                self._listen,
                credentials=self._credentials,
                settings=self._settings,
                health_address=self.health_address,
            )
            try:
                address = await server.start()
            except BaseException:
                await self.stop()
                raise
            if self.state != "running":  # stopped meanwhile
                await server.stop(grace=0)
                raise RuntimeClosed(self.state)
            self._server, self.address = server, address
            self.health_address = server.health_address

    def _begin(self) -> None:
        super()._begin()
        for name in self._peer_addresses:
            self._open_peer(name)

    async def _drained(self) -> None:
        if self._server is not None:
            for name in ("", *self._registry.hosted):  # so that balancers look elsewhere
                await self._server.set_health(name, serving=False)
            self._server.drain()
        await super()._drained()

    async def _end(self) -> None:
        try:
            if self._server is not None:
                await self._server.stop(grace=SERVER_GRACE)
        finally:
            for peer in self._peers.values():
                await peer.aclose()
            await self._replicas.aclose()
            await super()._end()

    # -- inside ---------------------------------------------------------------------------------------

    def _checked(self, addresses: Addresses) -> tuple[str, ...]:
        listed = (addresses,) if isinstance(addresses, str) else tuple(addresses)
        if not listed:
            raise ConfigError("a peer needs at least one address")
        for address in listed:
            self._credentials.check(parse_address(address), "calling")
        return listed

    def _open_peer(self, name: str) -> Peer:
        peer = Peer(name, self._peer_addresses[name], self._replicas, self.clock)
        self._peers[name] = self._registry.routes[name] = peer
        return peer

    def _open_link(self, address: str, name: str) -> Link:
        return open_link(
            self._transport,
            address,
            clock=self.clock,
            settings=self._settings,
            credentials=self._credentials,
            name=name,
        )

    async def _call_remote(self, name: str, message: Message) -> Message:
        return await self.call(name, message)


async def serve(
    *agents: Agent,
    address: str,
    peers: Mapping[str, Addresses] | None = None,
    ready: Callable[[DistributedRuntime], None] | None = None,
    transport: str = "stream",
    tls: Tls | None = None,
    token: Token | None = None,
    insecure: bool = False,
    external_tls: bool = False,
    wire: WireSettings | None = None,
    health_address: str = "",
    **options: Unpack[RuntimeOptions],
) -> None:
    """Serve `agents` at `address` until SIGTERM or SIGINT, then drain.

    The first signal drains: new calls are refused, those in flight finish. The second one ends at once.

    Args:
        agents: hosted in this process.
        address: `host:port` (port 0 picks one) or `unix:/path`.
        peers: agents elsewhere that ours may call.
        ready: called once calls are taken; `runtime.address` says where.
        transport, tls, token, insecure, external_tls, wire, health_address, options: as for `DistributedRuntime`.

    Raises:
        ConfigError: the address does not parse or is in use, plaintext would leave the machine, or a certificate,
            key or token cannot be used.
        AgentNotReady: an agent did not start.
    """
    runtime = DistributedRuntime(
        *agents,
        peers=peers,
        address=address,
        transport=transport,
        tls=tls,
        token=token,
        insecure=insecure,
        external_tls=external_tls,
        wire=wire,
        health_address=health_address,
        **options,
    )
    async with stop_signal() as stopped, runtime:
        if ready is not None:
            ready(runtime)
        await stopped.wait()


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; the second cancels the current task, a third kills."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if not stopped.is_set():
            stopped.set()
            return
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        task.cancel()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stopped
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
