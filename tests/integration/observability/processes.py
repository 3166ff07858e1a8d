"""The traced processes of a test, started, spoken to and ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["TracedProcess"]

ROOT = Path(__file__).resolve().parents[3]
START = 30.0  # seconds a process may take until it serves, on a busy machine


class TracedProcess:
    """One process that serves some of the agents."""

    def __init__(
        self,
        service: str,
        agents: Sequence[str],
        *,
        peers: Mapping[str, str],
        transport: str,
        observability: Mapping[str, object],
    ) -> None:
        spec = {
            "service": service,
            "agents": list(agents),
            "peers": dict(peers),
            "transport": transport,
            "observability": dict(observability),
        }
        module = "tests.integration.observability.traced_server"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(spec)],
            cwd=ROOT,
            env={**os.environ, "GRPC_VERBOSITY": "NONE", "OTEL_BSP_SCHEDULE_DELAY": "20"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._address = ""

    @property
    def address(self) -> str:
        """Where it serves."""
        self._address = self._address or self.said()
        return self._address

    def said(self) -> str:
        """The next line it prints."""
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], START)[0], "it says nothing"
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it without a goodbye."""
        self._process.kill()
        self._process.wait(START)

    def end(self) -> None:
        """Let it deliver its spans and end."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(START)
