"""Distributed calls: everybody by turns, over callers, sizes, loops and event engines."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.contenders import (
    AUTOGEN,
    BIDI,
    RAW,
    STREAM,
    TCP,
    UNARY,
    Calls,
    Contender,
    existing,
    start,
)
from tests.benchmarks.harness import Pace, Ratio, Row, Table, by_turns, row_of, shown
from tests.benchmarks.processes import NO_EVENT_ENGINE, UVLOOP

CALLERS = (1, 16, 64, 256)
SIZES = {200: "200 B", 4 << 10: "4 KiB", 64 << 10: "64 KiB"}
SMALL = 200
EVERYBODY = (STREAM, UNARY, RAW, BIDI, TCP, AUTOGEN)

VARIANTS = {", uvloop": UVLOOP, ", no EE": NO_EVENT_ENGINE, ", both": UVLOOP | NO_EVENT_ENGINE}
VARIED = (STREAM, UNARY, RAW)
VARIED_AT = (1, 64)  # callers
NO_EE = ", no EE"

# callers, ours, theirs, goal, whether the ratio says how many times faster ours is
GOALS = (
    (1, STREAM, UNARY, "≥ 1.5×", True),
    (1, STREAM + NO_EE, UNARY + NO_EE, "≥ 2×", True),
    (64, STREAM, UNARY, "≥ 8×", True),
    (1, STREAM, AUTOGEN, "≥ 2.3×", True),
    (1, STREAM + NO_EE, AUTOGEN, "≥ 4×", True),
    (64, STREAM, AUTOGEN, "≥ 14×", True),
    (64, STREAM, TCP, "≥ 0.4×", True),
    (1, UNARY, RAW, "≤ 1.3×", False),
    (16, UNARY, RAW, "≤ 1.3×", False),
    (64, UNARY, RAW, "≤ 1.3×", False),
)


@dataclass(frozen=True)
class Cell:
    """What is asked of everybody at once."""

    callers: int
    size: int = SMALL
    target: str = "echo"


CELLS = (
    *(Cell(callers, size) for size in SIZES for callers in CALLERS),
    *(Cell(callers, target="jitter") for callers in CALLERS),
)

Taken = dict[Cell, dict[str, list[Calls]]]


def call_rows(pace: Pace) -> Iterator[Row | Table]:
    """The goals, everybody in every cell, and what each costs."""
    with ExitStack() as stack:
        here = [start(stack, name) for name in existing(EVERYBODY)]
        varied = [
            Contender(who + variant, other.client, other.servers)
            for who in VARIED
            for variant, env in VARIANTS.items()
            for other in (start(stack, who, env),)
        ]
        taken: Taken = {}
        for cell in CELLS:
            special = cell.callers in VARIED_AT and cell == Cell(cell.callers)
            taken[cell] = _measured(cell, [*here, *(varied if special else ())], pace)
    yield from _goals(taken)
    yield _matrix(taken)
    yield _costs(taken)


def _measured(cell: Cell, who: Sequence[Contender], pace: Pace) -> dict[str, list[Calls]]:
    def once(each: Contender, seconds: float) -> Calls:
        return each.calls(cell.callers, cell.size, seconds, target=cell.target)

    for each in who:
        once(each, pace.seconds / 4)  # warms, and is not counted
    columns = by_turns([partial(once, each, pace.seconds) for each in who], pace.rounds)
    return {each.name: column for each, column in zip(who, columns, strict=True)}


def _goals(taken: Taken) -> Iterator[Row]:
    for callers, ours, theirs, goal, faster in GOALS:
        by_name = taken[Cell(callers)]
        if ours in by_name and theirs in by_name:
            yield row_of(
                f"{ours}, {callers} caller{'s' * (callers > 1)}",
                _per_call(by_name[ours]),
                theirs,
                _per_call(by_name[theirs]),
                goal=goal,
                faster=faster,
            )


def _matrix(taken: Taken) -> Table:
    ours, *others = taken[CELLS[-1]]  # a cell without variants
    table = Table(
        f"{ours} and the others",
        ("callers", "payload", "agent", *others, f"{ours}, per call"),
        f"How many times faster *{ours}* is than each other one: a call's time there / here.",
    )
    for cell, by_name in taken.items():
        mine = _per_call(by_name[ours])
        ratios = (
            f"{Ratio.of(_per_call(by_name[name]), mine).median:.2f}×{_failures(by_name[name])}"
            for name in others
        )
        own = f"{shown(statistics.median(mine))}{_failures(by_name[ours])}"
        agent = "0–4 ms" if cell.target == "jitter" else "echo"
        table.add(str(cell.callers), SIZES[cell.size], agent, *ratios, own)
    return table


def _costs(taken: Taken) -> Table:
    table = Table(
        "Loops, event engines and CPU",
        (
            "who",
            *(
                f"{head}, {callers} caller{'s' * (callers > 1)}"
                for callers in VARIED_AT
                for head in (f"× {UNARY}", "CPU of client + server", "per call")
            ),
        ),
        f"200 B. × says how many times faster than plain *{UNARY}*; CPU is process time per call; *uvloop* on "
        "both sides; *no EE* is gRPC without its event engines "
        f"(`GRPC_EXPERIMENTS={NO_EVENT_ENGINE['GRPC_EXPERIMENTS']}`), also on both sides.",
    )
    for name in sorted(taken[Cell(1)], key=lambda name: EVERYBODY.index(name.partition(",")[0])):
        cells: list[str] = []
        for callers in VARIED_AT:
            own, base = taken[Cell(callers)][name], taken[Cell(callers)][UNARY]
            client = statistics.median(each.client_cpu for each in own)
            server = statistics.median(each.server_cpu for each in own)
            cells += (
                f"{Ratio.of(_per_call(base), _per_call(own)).median:.2f}×",
                f"{client * 1e6:.0f} + {server * 1e6:.0f} µs",
                shown(statistics.median(_per_call(own))),
            )
        table.add(name, *cells)
    return table


def _per_call(samples: Sequence[Calls]) -> list[float]:
    return [each.per_call for each in samples]


def _failures(samples: Sequence[Calls]) -> str:
    failed = sum(each.failed for each in samples)
    return f" ({failed:,} failed)" if failed else ""
