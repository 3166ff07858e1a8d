"""Two things are compared by turns in one run, A B A B, and the ratio of each round counts.

A shared machine changes its mind from minute to minute; both sides of one round meet the same mood.
The ratio shown is the median over the rounds, with the middle half beside it.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

ROOT = Path(__file__).resolve().parents[2]

# A server takes a moment to start: ask again soon, and not after gRPC's usual second.
RECONNECT = [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50)]

Round = Callable[[], float]  # seconds for one call, or one run


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; ``note`` is a remark, or says why there are no figures."""

    work: str
    against: str
    goal: str
    ours: float = 0.0  # seconds, median
    theirs: float = 0.0  # seconds, median
    ratio: float = 0.0
    spread: tuple[float, float] = (0.0, 0.0)
    note: str = ""

    def noting(self, note: str) -> "Row":
        """The same row with a remark beside its ratio."""
        return replace(self, note=note)

    def markdown(self) -> str:
        if not self.ratio:
            return f"| {self.work} | {self.against} | – | – | {self.note} | {self.goal} |"
        low, high = self.spread
        figures = f"{self.ratio:.2f}× ({low:.2f}–{high:.2f})"
        if self.note:
            figures = f"{self.note}, {figures}"
        return (
            f"| {self.work} | {self.against} | {shown(self.ours)} | {shown(self.theirs)} "
            f"| {figures} | {self.goal} |"
        )


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def compare(
    work: str, ours: Round, against: str, theirs: Round, *, goal: str, rounds: int, faster: bool
) -> Row:
    """Measure both by turns. The ratio is time ours / theirs, or theirs / ours when ``faster``."""
    ours(), theirs()  # a first round warms caches and connections, and is not counted
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    ratios = [b / a if faster else a / b for a, b in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    row = Row(
        work=work,
        against=against,
        goal=goal,
        ours=statistics.median(a for a, _ in pairs),
        theirs=statistics.median(b for _, b in pairs),
        ratio=ratio,
        spread=(low, high),
    )
    print(row.markdown(), flush=True)
    return row


def program(*command: str | Path) -> Round:
    """A round that runs a program to its end."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


@dataclass(frozen=True)
class Side:
    """A running process of ``tests.benchmarks.sides`` that measures when told to."""

    process: "subprocess.Popen[str]"

    def round(self, callers: int, calls: int) -> Round:
        """A round of ``calls`` calls by ``callers`` tasks at once: seconds per call."""
        return lambda: self._ask(f"{callers} {calls}") / calls

    def _ask(self, line: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextmanager
def side(name: str, *arguments: str, python: str | Path = sys.executable) -> Iterator[Side]:
    """Start a side and wait until it is warm."""
    with _process(name, *arguments, python=python) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name} did not start; its error is above")
        yield Side(process)


@contextmanager
def server(name: str, *arguments: str) -> Iterator[None]:
    """Start a side that serves the address in its last argument, and wait until it does."""
    with _process(name, *arguments, python=sys.executable):
        with grpc.insecure_channel(arguments[-1], options=RECONNECT) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
        yield


@contextmanager
def _process(name: str, *arguments: str, python: str | Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [str(python), "-m", f"tests.benchmarks.sides.{name}", *arguments],
        cwd=ROOT,
        # The same event engine on every side; `serve` would otherwise choose a faster one for itself.
        env={"GRPC_EXPERIMENTS": "", **os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)
