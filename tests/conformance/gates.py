"""Gates: how a test and an agent meet, whether the agent runs in this process or in another.

An agent comes to a gate with `pass_gate` and waits there; the test, which owns the `Gates`, sees it
arrive, opens it, and learns how the wait ended. A gate is a connection to a unix socket of the test, so
the same agent code works on both sides of a process boundary and nobody ever sleeps.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = [
    "Arrival",
    "Gates",
    "count_line",
    "open_gates",
    "pass_gate",
    "pass_gate_blocking",
    "tell",
    "write_line",
]

HANG = 10.0  # seconds after which a test that waits here has failed


async def pass_gate(path: str, name: str, note: object = None) -> str:
    """Arrive at the gate `name` and wait until the test opens it; gives what the test said."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_arriving(name, note))
        said = await reader.readline()
        writer.write(b"passed\n")
        return said.decode().strip()
    except BaseException:  # however the wait is ended, the test is to know
        writer.write(b"stopped\n")
        raise
    finally:
        writer.close()


async def tell(path: str, name: str, note: object = None) -> None:
    """Arrive at the gate `name` and go on at once."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(_arriving(name, note) + b"passed\n")
    writer.close()


def pass_gate_blocking(path: str, name: str) -> str:
    """`pass_gate` for synchronous code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(_arriving(name, None))
        with connection.makefile("r") as lines:
            return lines.readline().strip()


def write_line(path: str, line: str) -> None:
    """Leave a line in a file of the test: an effect that can be counted, whoever had it."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def count_line(path: str, line: str) -> int:
    """Leave a line; how many there are now."""
    write_line(path, line)
    return len(Path(path).read_text().splitlines())


def _arriving(name: str, note: object) -> bytes:
    return json.dumps([name, note]).encode() + b"\n"


class Arrival(asyncio.Protocol):
    """An agent at a gate, as the test sees it."""

    def __init__(self, gates: Gates) -> None:
        self.name = ""
        self.note: object = None
        self._gates = gates
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._end = ""
        self._ended = asyncio.Event()

    def open(self, text: str = "") -> None:
        """Let the agent go on."""
        assert self._transport is not None
        self._transport.write(text.encode() + b"\n")

    async def ended(self) -> str:
        """How the wait ended: `passed`, `stopped` (cancelled or closed), or `lost` with its process."""
        async with asyncio.timeout(HANG):
            await self._ended.wait()
        return self._end or "lost"

    @property
    def waiting(self) -> bool:
        return not self._ended.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._gates.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if not self.name:
                self.name, self.note = json.loads(line)
                self._gates.arrived(self)
            else:
                self._end = line.decode()

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._gates.connections.discard(self._transport)
        self._ended.set()


class Gates:
    """The gates of one test."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.connections: set[asyncio.Transport] = set()
        self._arrivals: defaultdict[str, asyncio.Queue[Arrival]] = defaultdict(asyncio.Queue)

    async def arrival(self, name: str) -> Arrival:
        """The next agent that comes to the gate `name`."""
        async with asyncio.timeout(HANG):
            return await self._arrivals[name].get()

    def count(self, name: str) -> int:
        """How many came to the gate `name` that no `arrival` has returned yet."""
        return self._arrivals[name].qsize()

    def arrived(self, arrival: Arrival) -> None:
        self._arrivals[arrival.name].put_nowait(arrival)


@asynccontextmanager
async def open_gates(folder: Path) -> AsyncIterator[Gates]:
    """Gates at a socket in `folder`; those still closed at the end are given up."""
    gates = Gates(str(folder / "gates"))
    server = await asyncio.get_running_loop().create_unix_server(lambda: Arrival(gates), gates.path)
    try:
        yield gates
    finally:
        server.close()
        for connection in tuple(gates.connections):
            connection.close()
        await server.wait_closed()
