"""The services of a deployment as plain processes of this machine: the very commands, at addresses that exist here."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from aixgo import Tls
from tests.e2e.commands import ROOT, environment
from tests.services import Service

PORT = "50051"
EVERYBODY = f"dns:///{{agent}}:{PORT}"
STOP_TIMEOUT = 10.0  # seconds
CAN_MOUNT = (
    os.geteuid() == 0
    and shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
)
"""Whether a process can have a hosts file of its own."""


class Replica:
    """One process of a service."""

    def __init__(self, service: Service, address: str, health: str) -> None:
        self.service = service
        self.address = address
        self.health = health
        self.process: asyncio.subprocess.Process | None = None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code."""
        assert self.process is not None
        async with asyncio.timeout(STOP_TIMEOUT):
            return await self.process.wait()


class ServiceFleet:
    """The services that serve, not started yet; leaving ends them all.

    Args:
        services: with the commands of a file.
        folder: for certificates, the hosts file and logs.
        by_name: give each replica an address and find it by name, as a cluster does; else by ports of 127.0.0.1.
        variables: given to every process besides.
    """

    def __init__(
        self, services: Iterable[Service], folder: Path, *, by_name: bool, **variables: str
    ) -> None:
        self.certs = folder / "certs"
        self._folder = folder
        self._variables = variables
        self._hosts = folder / "hosts" if by_name else None
        serving = [service for service in services if service.verb == "serve"]
        self.replicas = {
            service.name: [Replica(service, "", "") for _ in range(service.replicas)]
            for service in serving
        }
        every = [replica for replicas in self.replicas.values() for replica in replicas]
        if by_name:
            network = f"127.{random.randint(64, 250)}.{random.randint(0, 250)}"
            for number, replica in enumerate(every, 1):
                replica.address = f"{network}.{number}:{PORT}"
                replica.health = f"{network}.{number}:8081"
        else:
            ports = iter(_free_ports(2 * len(every)))
            for replica in every:
                replica.address = f"127.0.0.1:{next(ports)}"
                replica.health = f"127.0.0.1:{next(ports)}"

    async def __aenter__(self) -> Self:
        if self._hosts is not None:
            self._hosts.write_text(
                "127.0.0.1 localhost\n"
                + "".join(
                    f"{replica.address.partition(':')[0]} {name}\n"
                    for name, replicas in self.replicas.items()
                    for replica in replicas
                )
            )
        return self

    async def __aexit__(self, *exc: object) -> None:
        for replicas in self.replicas.values():
            for replica in replicas:
                if replica.process is not None and replica.process.returncode is None:
                    replica.process.kill()
                    await replica.process.wait()

    def tls(self, name: str, asked: str) -> Tls:
        """The certificates of one of the fleet, for calling another one."""
        own = self.certs / name
        return Tls(
            ca=str(self.certs / "ca.pem"), cert=f"{own}.pem", key=f"{own}.key", server_name=asked
        )

    async def start(self, *names: str) -> None:
        """Start all replicas of these services at once and wait until they serve."""
        chosen = [replica for name in names for replica in self.replicas[name]]
        for number, replica in enumerate(chosen):
            log = self._folder / f"{replica.service.name}-{number}.log"
            with log.open("wb") as errors:
                replica.process = await asyncio.create_subprocess_exec(
                    *self._command(replica),
                    cwd=ROOT,
                    env=environment(**replica.service.environment, **self._variables),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                )
        for replica in chosen:
            assert replica.process is not None
            assert replica.process.stdout is not None
            line = (await replica.process.stdout.readline()).decode()
            assert line.startswith("serving "), (replica.service.name, line, self.logs())

    async def stop(self) -> set[int]:
        """Have all of them drain at once; their exit codes."""
        running = [replica for replicas in self.replicas.values() for replica in replicas]
        for replica in running:
            replica.send(signal.SIGTERM)
        return set(await asyncio.gather(*(replica.ended() for replica in running)))

    def logs(self) -> str:
        """What the processes wrote to standard error."""
        files = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')}" for file in files)

    async def run(self, service: Service, given: bytes = b"") -> tuple[str, str, int]:
        """What a service that does not stay prints, its errors, and its exit code."""
        process = await asyncio.create_subprocess_exec(
            *self._in_namespace(self._local(service.command)),
            cwd=ROOT,
            env=environment(**service.environment, **self._variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await process.communicate(given)
        except BaseException:
            process.kill()
            raise
        assert process.returncode is not None
        return out.decode(), errors.decode(), process.returncode

    def _command(self, replica: Replica) -> list[str]:
        """The command of a replica, with the addresses it has here."""
        own = {
            f"--address=0.0.0.0:{PORT}": f"--address={replica.address}",
            "--health=:8081": f"--health={replica.health}",
        }
        command = replica.service.command
        assert set(own) <= set(command), "else two replicas would listen at one address"
        return self._in_namespace(self._local([own.get(part, part) for part in command]))

    def _local(self, command: Sequence[str]) -> list[str]:
        """A command with the folder of the certificates, and the names if they do not resolve here."""
        found = [
            sys.executable,
            "-m",
            *(part.replace("/certs", str(self.certs)) for part in command),
        ]
        if self._hosts is None:
            found = [new for part in found for new in self._without_names(part)]
        return found

    def _without_names(self, part: str) -> list[str]:
        if part == f"--peer={EVERYBODY}":
            return [
                f"--peer={name}={replica.address}"
                for name, replicas in self.replicas.items()
                for replica in replicas
            ]
        for name, replicas in self.replicas.items():
            part = part.replace(f"dns:///{name}:{PORT}", replicas[0].address)
        return [part]

    def _in_namespace(self, command: list[str]) -> list[str]:
        if self._hosts is None:
            return command
        own_hosts = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "-m", "sh", "-c", own_hosts, str(self._hosts), *command]


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@asynccontextmanager
async def certified(
    services: Iterable[Service], folder: Path, certs: Service, *, by_name: bool, **variables: str
) -> AsyncIterator[ServiceFleet]:
    """A fleet whose certificates `certs` has made."""
    async with ServiceFleet(services, folder, by_name=by_name, **variables) as fleet:
        _, errors, code = await fleet.run(certs)
        assert code == 0, errors
        yield fleet
