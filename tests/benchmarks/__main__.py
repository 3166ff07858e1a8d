"""`make bench`: measures every row and writes docs/benchmarks.md, the one table."""

import os
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.harness import ROOT, Row, compare, program, server, side

PAGE = ROOT / "docs" / "benchmarks.md"

ROUNDS = 15  # of each comparison; a round of calls takes a few tenths of a second

HEADER = """\
# Benchmarks

Written by `make bench`. Every figure is from one run on one machine, and only the ratios travel. The
two sides of a row take turns in that run, each in a process of its own; a ratio is the median of the
rounds, with the middle half of them in brackets. ≤ compares times, ours / theirs; ≥ says how many
times faster aixgo is, theirs / ours.

{machine}

| work | compared with | aixgo | other | ratio | goal |
|---|---|---|---|---|---|
"""

LEGEND = """
- *local call*: what the runtime adds to the agent's own time, tracing off; an echo of a short text.
- *unary call*: `DistributedRuntime(transport="unary")` and `serve` in another process, against a bare
  grpc.aio client and server that exchange the same protobuf message. Times are per call; with more
  callers the calls overlap.
- *import* and `--help`: whole processes, from start to exit.
"""


def main() -> None:
    """Measure all rows, then write the page; a row that fails stops the run before anything is written."""
    rows = [row.markdown() for row in (*local_rows(), *unary_rows(), *import_rows())]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(HEADER.format(machine=machine()) + "\n".join(rows) + "\n" + LEGEND)
    print(f"Wrote {PAGE.relative_to(ROOT)}")


def local_rows() -> Iterator[Row]:
    """A local call against the agent's own method, and against the nearest peer's in-process runtime."""
    with side("local_call") as ours, side("bare_execute") as bare:
        calls = 20_000
        row = compare(
            "local call",
            ours.round(1, calls),
            "`await agent.execute(message)`",
            bare.round(1, calls),
            goal="≤ 3 µs added",
            rounds=ROUNDS,
            faster=False,
        )
        yield row.noting(f"{(row.ours - row.theirs) * 1e6:.2f} µs added")
        against, goal = "autogen-core's SingleThreadedAgentRuntime", "≥ 40×"
        python = peers.autogen()
        if python is None:
            yield Row(work="local call", against=against, goal=goal, note="could not be installed")
            return
        with side("autogen_local", python=python) as theirs:
            yield compare(
                "local call",
                ours.round(1, calls),
                against,
                theirs.round(1, calls // 20),
                goal=goal,
                rounds=ROUNDS,
                faster=True,
            )


def unary_rows() -> Iterator[Row]:
    """A unary distributed call against raw grpc.aio, server in another process."""
    with ExitStack() as stack:
        our_address, raw_address = free_address(), free_address()
        stack.enter_context(server("serve_echo", our_address))
        stack.enter_context(server("raw_grpc", "server", raw_address))
        ours = stack.enter_context(side("remote_call", our_address, "unary"))
        raw = stack.enter_context(side("raw_grpc", raw_address))
        for callers, calls in ((1, 400), (16, 1600), (64, 1920)):
            yield compare(
                f"unary call, {callers} caller{'s' * (callers > 1)}",
                ours.round(callers, calls),
                "raw grpc.aio",
                raw.round(callers, calls),
                goal="≤ 1.3×",
                rounds=ROUNDS,
                faster=False,
            )


def import_rows() -> Iterator[Row]:
    """What starting costs."""
    command = Path(sys.executable).with_name("aixgo")
    importing = program(sys.executable, "-c", "import aixgo")
    asyncio = program(sys.executable, "-c", "import asyncio")
    base = '`python -c "import asyncio"`'
    for work, ours, goal in (
        ("`import aixgo`", importing, "≤ 1.5×"),
        ("`aixgo --help`", program(command, "--help"), "≤ 3×"),
    ):
        yield compare(work, ours, base, asyncio, goal=goal, rounds=ROUNDS, faster=False)
    python = peers.autogen()
    if python is not None:
        autogen = program(python, "-c", "import autogen_core")
        yield compare(
            "`import aixgo`",
            importing,
            "`import autogen_core`",
            autogen,
            goal="≥ 3×",
            rounds=ROUNDS,
            faster=True,
        )


def free_address() -> str:
    """A loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def machine() -> str:
    """The shape of the machine and the versions that took part."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aixgo", "grpcio", "protobuf"))
    shape = f"{len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}"
    experiments = os.environ.get("GRPC_EXPERIMENTS") or "unset"
    return (
        f"{shape}, {platform.python_implementation()} {platform.python_version()}, {libraries}, "
        f"autogen-core 0.7.5, GRPC_EXPERIMENTS {experiments}."
    )


if __name__ == "__main__":
    main()
