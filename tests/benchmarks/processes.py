"""The processes that take part, and what the kernel says they cost. Linux only."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 60.0  # seconds a process may take to start, or to answer, on a busy machine

# Without gRPC's own event engine, which costs more than the poller it replaces (what the CLI's switch does).
NO_EVENT_ENGINE = {"GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener"}
UVLOOP = {"BENCH_UVLOOP": "1"}


@dataclass(frozen=True)
class Side:
    """A running module of ``tests.benchmarks.sides``, which said ``ready``."""

    process: "subprocess.Popen[str]"
    ready: str
    """What it said when it was: a server its address."""

    def ask(self, do: str, **arguments: object) -> dict[str, float]:
        """Have it do something, and wait for the figures.

        Raises:
            RuntimeError: it ended instead.
            TimeoutError: it did not answer within a minute.
        """
        assert self.process.stdin is not None
        print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
        figures: dict[str, float] = json.loads(_said(self.process))
        return figures

    @property
    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used so far."""
        # The kernel's clock id of another process: its pid inverted, and 2 for "scheduled time".
        return time.clock_gettime((~self.process.pid << 3) | 2)

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    @property
    def peak_memory(self) -> int:
        """The most resident bytes since ``reset_peak``."""
        return self._status("VmHWM")

    def reset_peak(self) -> None:
        self._proc("clear_refs").write_text("5")

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list(self._proc("fd").iterdir()))

    @property
    def threads(self) -> int:
        return len(list(self._proc("task").iterdir()))

    def _status(self, name: str) -> int:
        for line in self._proc("status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self.process.pid}") / name


@contextmanager
def side(
    name: str,
    *arguments: str,
    python: str | Path = sys.executable,
    env: Mapping[str, str] | None = None,
) -> Iterator[Side]:
    """Start a side and wait until it is ready; it ends with the block."""
    process = subprocess.Popen(
        [str(python), "-m", f"tests.benchmarks.sides.{name}", *arguments],
        cwd=ROOT,
        env=_environment(env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Side(process, _said(process))
        finally:
            process.terminate()
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _said(process: "subprocess.Popen[str]") -> str:
    """The line it prints next, which is all it prints until it is asked again."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], PATIENCE)[0]:
        raise TimeoutError(f"{process.args!r} says nothing")
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{process.args!r} ended; its error is above")
    return line


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours with the same event engine for every side, and unmeasured by coverage, which slows Python alone."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    return {"GRPC_EXPERIMENTS": "", **inherited, **extra}


def program(*command: str | Path) -> float:
    """Run a program to its end: the seconds it took."""
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
