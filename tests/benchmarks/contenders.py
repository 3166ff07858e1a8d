"""Who takes part in distributed calls: a server and a client, each in a process of its own."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tests.benchmarks import peers
from tests.benchmarks.processes import Side, side

STREAM, UNARY = "aixgo stream", "aixgo unary"
RAW, BIDI, TCP = "raw grpc.aio", "raw grpc.aio stream", "raw TCP"
AUTOGEN = "autogen-core gRPC"

OURS = {name: name.removeprefix("aixgo ") for name in (STREAM, UNARY)}  # → the transport


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What a round of calls gave; times and CPU in seconds per call."""

    calls: int
    failed: int
    big_calls: int
    per_call: float
    p50: float
    p99: float
    client_cpu: float
    server_cpu: float


@dataclass(frozen=True)
class Contender:
    """A client that calls its servers."""

    name: str
    client: Side
    servers: tuple[Side, ...]

    @property
    def server(self) -> Side:
        return self.servers[-1]

    def calls(self, callers: int, size: int, seconds: float, **more: object) -> Calls:
        """One round; see ``tests.benchmarks.side.calls``.

        Raises:
            RuntimeError: no call succeeded.
        """
        client, server = self.client.cpu, self._server_cpu()
        figures = self.client.ask("calls", callers=callers, size=size, seconds=seconds, **more)
        client, server = self.client.cpu - client, self._server_cpu() - server
        calls = int(figures["calls"])
        if not calls:
            raise RuntimeError(f"{self.name}: all {figures['failed']:.0f} calls failed")
        return Calls(
            calls=calls,
            failed=int(figures["failed"]),
            big_calls=int(figures["big_calls"]),
            per_call=figures["seconds"] / calls,
            p50=figures["p50"],
            p99=figures["p99"],
            client_cpu=client / calls,
            server_cpu=server / calls,
        )

    def _server_cpu(self) -> float:
        return sum(server.cpu for server in self.servers)


def existing(names: Iterable[str]) -> list[str]:
    """Those that can take part: a library may not be there to install."""
    return [name for name in names if name != AUTOGEN or peers.autogen() is not None]


def start(
    stack: ExitStack, name: str, env: Mapping[str, str] | None = None, agents: int = 0
) -> Contender:
    """Start the processes of a contender, which end with the stack; ``agents`` adds echoes to aixgo's."""
    servers: tuple[Side, ...]
    if name in OURS:
        server = stack.enter_context(side("serve_echo", str(agents), env=env))
        client = side("remote_call", server.ready, OURS[name], str(agents), env=env)
        servers = (server,)
    elif name == TCP:
        server = stack.enter_context(side("raw_tcp", "server", env=env))
        client = side("raw_tcp", server.ready, env=env)
        servers = (server,)
    elif name == AUTOGEN:
        python = peers.autogen()
        assert python is not None, "who is not there does not start"
        host = stack.enter_context(side("autogen", "host", python=python, env=env))
        worker = stack.enter_context(side("autogen", "worker", host.ready, python=python, env=env))
        client = side("autogen", "grpc", host.ready, python=python, env=env)
        servers = (host, worker)
    else:
        server = stack.enter_context(side("raw_grpc", "server", env=env))
        method = "bidi" if name == BIDI else "unary"
        client = side("raw_grpc", method, server.ready, env=env)
        servers = (server,)
    return Contender(name, stack.enter_context(client), servers)
