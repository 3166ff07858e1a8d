"""The services of a deployment as plain processes of this machine: the very commands, at addresses that exist here."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from aixgo import Tls
from tests.e2e.commands import ROOT, environment
from tests.services import Service

PORT, HEALTH_PORT = 50051, 8081
PATIENCE = 25.0  # seconds that a start, or a stop, may take
CAN_MOUNT = (
    os.geteuid() == 0
    and shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
)
"""Whether a process can have a hosts file of its own."""


class Replica:
    """One process of a service, and where it listens."""

    def __init__(self, service: Service, address: str, health: str) -> None:
        self.service = service
        self.address = address
        self.health = health
        self.process: subprocess.Popen[str] | None = None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


class ServiceFleet:
    """The services that serve, none of them started; leaving ends them all.

    Where a process can have a hosts file of its own, each replica has an address and is found by its service's name
    from its start on, as in a cluster; else each has a port, and whoever looks for a name is told ports instead.

    Args:
        services: with the commands of a file.
        folder: for certificates, the hosts file and logs.
        variables: given to every process besides.
    """

    def __init__(
        self,
        services: Iterable[Service],
        folder: Path,
        *,
        by_name: bool = CAN_MOUNT,
        **variables: str,
    ) -> None:
        self._folder = folder
        self._certs = folder / "certs"
        self._hosts = folder / "hosts" if by_name else None
        self._variables = variables
        serving = [service for service in services if service.verb == "serve"]
        places = iter(_places(sum(service.replicas for service in serving), by_name=by_name))
        self.replicas = {
            service.name: [Replica(service, *next(places)) for _ in range(service.replicas)]
            for service in serving
        }
        if self._hosts is not None:
            self._hosts.write_text("127.0.0.1 localhost\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for _, replica in self._each():
            if replica.process is not None:
                replica.process.kill()
                replica.process.communicate()

    def start(self, *names: str) -> None:
        """Start all replicas of these services that do not run, and wait until they serve."""
        new = [replica for name in names for replica in self.replicas[name]]
        new = [r for r in new if r.process is None or r.process.poll() is not None]
        for replica in new:
            if self._hosts is not None and replica.process is None:
                with self._hosts.open("a") as hosts:
                    hosts.write(f"{replica.address.partition(':')[0]} {replica.service.name}\n")
            with (self._folder / f"{replica.service.name}.log").open("a") as errors:
                replica.process = subprocess.Popen(
                    self._command(replica),
                    cwd=ROOT,
                    env=environment(**replica.service.environment, **self._variables),
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
        for replica in new:
            assert replica.process is not None
            assert replica.process.stdout is not None
            guard = threading.Timer(PATIENCE, replica.process.kill)
            guard.start()
            line = replica.process.stdout.readline()
            guard.cancel()
            assert line.startswith("serving "), (replica.service.name, line, self._logs())

    def run(self, service: Service, given: str = "") -> str:
        """What a service that does not stay prints."""
        done = subprocess.run(
            self._in_namespace(self._local(service.command)),
            cwd=ROOT,
            env=environment(**service.environment, **self._variables),
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tls(self, name: str, asked: str) -> Tls:
        """The certificates of `name`, for calling `asked`."""
        own = self._certs / name
        return Tls(
            ca=str(self._certs / "ca.pem"), cert=f"{own}.pem", key=f"{own}.key", server_name=asked
        )

    def _each(self) -> Iterable[tuple[str, Replica]]:
        return ((name, replica) for name, found in self.replicas.items() for replica in found)

    def _logs(self) -> str:
        files = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')}" for file in files)

    def _command(self, replica: Replica) -> list[str]:
        """The command of a replica, with the addresses it has here."""
        own = {
            f"--address=0.0.0.0:{PORT}": f"--address={replica.address}",
            f"--health=:{HEALTH_PORT}": f"--health={replica.health}",
        }
        command = replica.service.command
        assert set(own) <= set(command), "else two replicas would listen at one address"
        return self._in_namespace(self._local([own.get(part, part) for part in command]))

    def _local(self, command: Sequence[str]) -> list[str]:
        """A command with the folder its certificates have here, and ports for names that mean nothing here."""
        parts = [part.replace("/certs", str(self._certs)) for part in command]
        if self._hosts is None:
            parts = [new for part in parts for new in self._with_ports(part)]
        return [sys.executable, "-m", *parts]

    def _with_ports(self, part: str) -> list[str]:
        if part == f"--peer=dns:///{{agent}}:{PORT}":
            return [f"--peer={name}={replica.address}" for name, replica in self._each()]
        for name, replicas in self.replicas.items():
            part = part.replace(f"dns:///{name}:{PORT}", replicas[0].address)
        return [part]

    def _in_namespace(self, command: list[str]) -> list[str]:
        if self._hosts is None:
            return command
        own_hosts = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "-m", "sh", "-c", own_hosts, str(self._hosts), *command]


def _places(count: int, *, by_name: bool) -> list[tuple[str, str]]:
    """For each process where it listens, and where it answers health checks."""
    if by_name:
        network = f"127.{random.randint(64, 250)}.{random.randint(0, 250)}"  # which nobody else has
        hosts = [f"{network}.{number}" for number in range(1, count + 1)]
        return [(f"{host}:{PORT}", f"{host}:{HEALTH_PORT}") for host in hosts]
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * count)]
    ports = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return list(zip(ports[:count], ports[count:], strict=True))
