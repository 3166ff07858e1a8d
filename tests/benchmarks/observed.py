"""What being seen costs a call: traces and metrics against none; dead and slow collectors against a good one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

from tests.benchmarks.contenders import STREAM, start
from tests.benchmarks.harness import Pace, Round, Row, by_turns, row_of
from tests.benchmarks.processes import side

LOCAL_SECONDS = (
    0.15  # of a local round: short ones meet the same mood, and these fill batches of spans
)
WAYS = {
    "tracing off": "off",
    "sampled out": "sampled out",
    "traced": "traced",
    "metrics on": "metrics",
}
NOBODY = "http://127.0.0.1:1"  # where no collector is
SECONDS = 1.5  # of a distributed round, so that what waits for a batch leaves within it
GOOD = "/good"  # ends the URL of a collector that takes all, so that what waits can be exported between rounds
SLOW = 4.0  # seconds for one answer, which the exporter waits for

RoundOf: TypeAlias = Callable[[str, str], AbstractContextManager[Round]]
"""Makes a round from a way to be seen and a collector."""


def observed_rows(pace: Pace) -> Iterator[Row]:
    """Local and distributed calls: each way against nothing set up, then both bad collectors against a good one."""
    with ExitStack() as stack:
        good = stack.enter_context(side("collector", "0")).ready + GOOD
        for work, rounds_of in WORKS.items():
            with ExitStack() as here:
                bare = here.enter_context(rounds_of("", ""))
                ways = [here.enter_context(rounds_of(way, good)) for way in WAYS.values()]
                yield from _rows(work, "no tracing", bare, dict(zip(WAYS, ways, strict=True)), pace)
    for work, rounds_of in WORKS.items():
        with collectors(rounds_of) as (fine, bad):
            yield from _rows(work, "a good collector", fine, bad, pace, goal="≤ 1.01×")


@contextmanager
def local_round(way: str, collector: str) -> Iterator[Round]:
    """Calls within a process, and how long one takes."""
    with side("local_call", env=_told(way, collector)) as caller:

        def once() -> float:
            taken = caller.ask("calls", callers=1, size=5, seconds=LOCAL_SECONDS)
            if way and collector.endswith(GOOD):
                caller.ask("settle")
            return taken["seconds"] / taken["calls"]

        yield once


@contextmanager
def remote_round(way: str, collector: str) -> Iterator[Round]:
    """Calls from one process to another, both seen, and how long one takes."""
    with ExitStack() as stack:
        both = start(stack, STREAM, _told(way, collector))

        def once() -> float:
            taken = both.calls(1, 200, SECONDS).per_call
            if way and collector.endswith(GOOD):
                both.client.ask("settle")
            return taken

        yield once


LOCAL = "local call"
WORKS: Mapping[str, RoundOf] = {LOCAL: local_round, "distributed call": remote_round}


def _told(way: str, collector: str) -> dict[str, str]:
    return {"BENCH_OBSERVED": way, "BENCH_COLLECTOR": collector}


@contextmanager
def collectors(rounds_of: RoundOf) -> Iterator[tuple[Round, dict[str, Round]]]:
    """A traced side whose collector takes what comes, and two whose collectors do not."""
    with ExitStack() as stack:
        good = stack.enter_context(side("collector", "0")).ready + GOOD
        slow = stack.enter_context(side("collector", str(SLOW))).ready
        fine, late, dead = (
            stack.enter_context(rounds_of("traced", each)) for each in (good, slow, NOBODY)
        )
        yield fine, {"dead collector": dead, "slow collector": late}


def _rows(
    work: str, against: str, bare: Round, ways: dict[str, Round], pace: Pace, goal: str = "–"
) -> Iterator[Row]:
    runs = [bare, *ways.values()]
    for run in runs:
        run()  # warms, and is not counted
    taken = by_turns(runs, pace.rounds * (4 if work == LOCAL else 1))
    for way, times in zip(ways, taken[1:], strict=True):
        row = row_of(f"{work}, {way}", times, against, taken[0], goal=goal, faster=False)
        added = (row.ours - row.theirs) * 1e6
        yield row.noting(f"{added:.1f} µs added") if goal == "–" else row
