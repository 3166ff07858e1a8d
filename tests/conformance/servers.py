"""Server processes, as a test owns them: started, spoken to, killed, frozen, always ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aixgo import Agent

__all__ = ["ServerProcess", "names"]

START = 30.0  # seconds a process may take until it serves, on a busy machine
ROOT = Path(__file__).resolve().parents[2]


def names(side: Sequence[Agent]) -> list[str]:
    return [agent.name for agent in side]


class ServerProcess:
    """One process that serves a side of the agents at `address`."""

    def __init__(
        self,
        side: str,
        address: str,
        transport: str,
        *,
        log: Path,
        options: Mapping[str, object] | None = None,
    ) -> None:
        spec: dict[str, object] = {"side": side, "address": address, "transport": transport}
        self._log = log
        spec["options"] = {"stop_grace": 5.0, **(options or {})}
        with log.open("a") as logged:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.conformance.agents_server", json.dumps(spec)],
                cwd=ROOT,
                env={**os.environ, "GRPC_VERBOSITY": "NONE"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=logged,
                text=True,
            )
        self._address = ""

    @property
    def address(self) -> str:
        """Where it serves; waits for it to come up."""
        if not self._address:
            self._address = self._said()
        return self._address

    def connect(self, peers: Mapping[str, str]) -> None:
        """Make `peers` known to it."""
        assert self.address
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(peers) + "\n")
        self._process.stdin.flush()
        assert self._said() == "connected"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without a goodbye."""
        self._process.kill()
        self._process.wait(START)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for its end; gives the exit code."""
        return self._process.wait(START)

    def end(self) -> int:
        """Wait for its end, asking for it by closing its standard input; gives the exit code."""
        self._process.send_signal(signal.SIGCONT)
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                return self._process.wait(START)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end()

    def _said(self) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], START)[0]:
            raise TimeoutError(f"the server process says nothing:\n{self.log}")
        line = self._process.stdout.readline().strip()
        assert line, f"the server process ended:\n{self.log}"
        return line
