"""Three processes that spend, and what they were billed."""

from __future__ import annotations

import json
import os
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
            bufsize=0,
        )
        self._heard = b""
        self._address = ""

    @property
    def address(self) -> str:
        """Where it serves; waits for it to come up."""
        self._address = self._address or self.said()
        return self._address

    def said(self) -> str:
        """The next line it prints."""
        while b"\n" not in self._heard:
            assert self._hears(START), "it says nothing"
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def forget(self) -> None:
        """Leave unread what it has printed."""
        while self._hears(0):
            pass
        self._heard = b""

    def _hears(self, seconds: float) -> bool:
        output = self._process.stdout
        assert output is not None
        if not select.select([output], [], [], seconds)[0]:
            return False
        heard = os.read(output.fileno(), 4096)
        self._heard += heard
        return bool(heard)

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

    def forget(self) -> None:
        """Nothing was billed or said yet."""
        self._tally.write_text("")
        for child in (self.a, self.b, self.c):
            assert child.address
            child.forget()

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
