"""`make bench`: measures every part and writes docs/benchmarks.md, the one page.

`--quick` measures briefly and `--only calls --only fan` a part; both only print.
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version

from tests.benchmarks.calls import call_rows
from tests.benchmarks.harness import Pace, Row, Table
from tests.benchmarks.load import chunk_rows, fan_rows, flood_table, idle_table, tail_rows
from tests.benchmarks.local import import_rows, local_rows, model_rows, search_rows
from tests.benchmarks.observed import observed_rows
from tests.benchmarks.patterns import pattern_table
from tests.benchmarks.processes import ROOT
from tests.benchmarks.secured import secured_rows
from tests.benchmarks.starting import serve_rows
from tests.benchmarks.vendors import vendor_rows

PAGE = ROOT / "docs" / "benchmarks.md"

FULL = Pace(rounds=7, seconds=0.25)
QUICK = Pace(rounds=3, seconds=0.1)

PARTS: dict[str, Callable[[Pace], Iterable[Row | Table]]] = {
    "local": local_rows,
    "models": model_rows,
    "search": search_rows,
    "patterns": pattern_table,
    "calls": call_rows,
    "chunks": chunk_rows,
    "tail": tail_rows,
    "secured": secured_rows,
    "observed": observed_rows,
    "fan": fan_rows,
    "vendors": vendor_rows,
    "imports": import_rows,
    "serve": serve_rows,
    "flood": flood_table,
    "idle": idle_table,
}

HEADER = """\
# Benchmarks

Written by `make bench`. Every figure is from one run on one machine, and only the ratios travel. All sides of a
row take turns in that run, each in a process of its own; a ratio is the median of the rounds, with the middle
half of them in brackets. ≤ compares times, ours / theirs; ≥ says how many times faster aixgo is, theirs / ours.

{machine}

| work | compared with | ratio | goal | aixgo | other |
|---|---|---|---|---|---|
"""

LEGEND = """
- *local call*: what the runtime adds to the agent's own time, tracing off; an echo of a short text.
- *model call*: a model of this process that answers at once. *metered*: as agents ask it, with what it used priced
  and charged. *all policies*: those of [resilience](resilience.md) around it, none of which has anything to do.
- *nearest chunks*: `MemoryStore.search` over vectors of 256 numbers, with NumPy; the scan is one product and a
  partial sort.
- *aixgo stream*, *aixgo unary*: `DistributedRuntime` with that transport, and `serve` in another process; an echo
  of 200 B. Times are per call; with more callers the calls overlap. *no EE*: see the last tables.
- *raw grpc.aio*: a bare client and server that exchange the same protobuf message, one RPC per call; *stream*: one
  message per call over one RPC. *raw TCP*: the same messages behind their lengths on asyncio's sockets, answered
  as they are read, with no limits, deadlines or errors. *autogen-core gRPC*: its host, a worker that serves and
  one that calls.
- *TLS*, *mutual TLS*: the same calls over connections that stand, against the same in plaintext on the same transport.
- *traced*: every call is a span at its caller and one at its agent, exported to a collector beside; what does not fit
  into the queue is dropped, so a caller that does nothing but call sees the most it can cost. *sampled out*:
  `sampling=0`. *metrics on*: recorded, and exported every second. *dead*: nobody listens; *slow*: 4 s for each answer.
- *token chunk*: the time for each chunk of a streamed reply. *first chunk*: from the call until it is there.
- *vendor's token*: from a local server that speaks a vendor's API, each token an event, through the vendor's SDK in a
  serving agent, a second serving agent that hands it on, and to the caller: four processes with the server.
- *import* and `--help`: whole processes, from start to exit. *first answer*: from the command until one client, which
  was there before, has its answer; `aixgo serve` reads and checks the agent's folder on the way.
"""


def main() -> None:
    """Measure, then write the page; a part that fails stops the run before anything is written."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure briefly, and only print")
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="measure this part, and only print"
    )
    given = parser.parse_args()
    pace = QUICK if given.quick else FULL
    shape = machine()
    results: list[Row | Table] = []
    for name in given.only or PARTS:
        for each in PARTS[name](pace):
            print(each.markdown(), flush=True)
            results.append(each)
    if given.quick or given.only:
        return
    rows = [each.markdown() for each in results if isinstance(each, Row)]
    tables = [each.markdown() for each in results if isinstance(each, Table)]
    first = HEADER.format(machine=shape) + "\n".join(rows) + "\n" + LEGEND
    PAGE.write_text("\n".join((first, *tables)))
    print(f"Wrote {PAGE.relative_to(ROOT)}")


def machine() -> str:
    """The shape of the machine, how busy it is now, and the versions that took part."""
    names = ("aixgo", "grpcio", "protobuf", "uvloop")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    busy = f"load average {os.getloadavg()[0]:.1f} before"
    shape = (
        f"{len(os.sched_getaffinity(0))} cores, {busy}, {platform.system()} {platform.machine()}"
    )
    experiments = os.environ.get("GRPC_EXPERIMENTS") or "unset"
    return (
        f"{shape}, {platform.python_implementation()} {platform.python_version()}, {libraries}, "
        f"autogen-core 0.7.5 with grpcio 1.70.0, langgraph 1.2.22, GRPC_EXPERIMENTS {experiments} unless said."
    )


if __name__ == "__main__":
    main()
