"""What a pattern adds to the calls of its agents, and how langgraph does the same graph."""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from tests.benchmarks import peers
from tests.benchmarks.harness import Pace, Ratio, Round, Table, by_turns, shown
from tests.benchmarks.processes import Side, side
from tests.benchmarks.sides.graphs import AGENTS, CALLS, CHUNKS

PER_ROUND = 3_000  # agents' calls of a round
PER_GRAPH = 300  # of a round of langgraph, and one run at least
WAYS = ("pattern", "calls", "plain")

TITLES = {
    "parallel": f"`Parallel` of {AGENTS}",
    "sequential": f"`Sequential` of {AGENTS}",
    "mapreduce": f"`MapReduce` of {CHUNKS:,} chunks",
}


def pattern_table(pace: Pace) -> Iterator[Table]:
    """Every pattern against plain awaits, against the same calls, and against langgraph."""
    table = Table(
        "Patterns",
        (
            "pattern",
            "its agents' `execute` alone",
            "added per agent's call",
            "the same `runtime.call`s",
            "faster than langgraph",
            "per agent's call",
        ),
        "Agents that echo 200 B. Alone: awaited by `asyncio.gather`, for `Sequential` in a loop, and put together by "
        "hand; *the same calls* likewise, through a `LocalRuntime`. Both compare times, the pattern's / theirs. "
        "`MapReduce` has 10 chunks at work at a time, gather all. *langgraph*: a fan and a join, a chain, and a "
        "`Send` for each chunk, of nodes that do the same; compiled once, no checkpointer, `ainvoke`; how many times "
        "longer it takes.",
    )
    python = peers.langgraph()
    for name, title in TITLES.items():
        with ExitStack() as stack:
            sides = [stack.enter_context(side("patterns", way, name)) for way in WAYS]
            rounds = [round_of(each, name, PER_ROUND) for each in sides]
            if python is not None:
                graph = side("langgraph", name, python=python, env={"LANGSMITH_TRACING": "false"})
                rounds.append(round_of(stack.enter_context(graph), name, PER_GRAPH))
            for warm in rounds:
                warm()
            ours, calls, plain, *theirs = by_turns(rounds, pace.rounds * 2)
        table.add(
            title,
            str(Ratio.of(ours, plain)),
            shown(median(ours) - median(plain)),
            str(Ratio.of(ours, calls)),
            str(Ratio.of(theirs[0], ours)) if theirs else "could not be installed",
            shown(median(ours)),
        )
    yield table


def round_of(each: Side, name: str, calls: int) -> Round:
    """Seconds for each agent's call, over as many runs as make that many calls."""
    runs = max(1, calls // CALLS[name])
    return lambda: each.ask("count", callers=1, calls=runs)["seconds"] / (runs * CALLS[name])
