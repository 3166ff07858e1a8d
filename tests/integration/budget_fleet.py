"""Three processes that spend, and what they were billed."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path

__all__ = ["Child", "Fleet"]

ROOT = Path(__file__).resolve().parents[2]
START = 30.0  # seconds a process may take until it serves, on a busy machine


class Child:
    """A process that spends."""

    def __init__(self, name: str, tally: Path, transport: str, peers: dict[str, str]) -> None:
        spec = {"name": name, "tally": str(tally), "transport": transport, "peers": peers}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.budget_server", json.dumps(spec)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self.said()

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
        """Close its standard input and wait for it."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(START)


class Fleet:
    """Three processes; `a` calls `c` when told to."""

    def __init__(self, tally: Path, transport: str) -> None:
        self.transport = transport
        self._tally = tally
        self.c = Child("c", tally, transport, {})
        self.b = Child("b", tally, transport, {})
        self.a = Child("a", tally, transport, {"c": self.c.address})

    @property
    def peers(self) -> dict[str, str]:
        """Where they are."""
        peers = {"a": self.a.address, "b": self.b.address, "c": self.c.address}
        return {**peers, "chat": self.c.address}

    @property
    def billed(self) -> tuple[int, int]:
        """Tokens and model calls that were asked for, by whoever would bill them."""
        rows = [line.split() for line in self._tally.read_text().splitlines()]
        return sum(int(tokens) for tokens, _ in rows), sum(int(calls) for _, calls in rows)

    def replace_b(self) -> None:
        """A new process in the place of `b`, which was killed."""
        self.b.end()
        self.b = Child("b", self._tally, self.transport, {})

    def end(self) -> None:
        for child in (self.a, self.b, self.c):
            child.end()
