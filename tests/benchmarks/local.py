"""What one process costs: local calls, and starting."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.harness import Pace, Round, Row, compare
from tests.benchmarks.processes import Side, program, side

CALLS = 20_000  # of a round
SEARCHES = 20  # of one round


def local_rows(pace: Pace) -> Iterator[Row]:
    """A local call against the agent's own method, and against the nearest peer's in-process runtime."""
    rounds = pace.rounds * 2
    with side("local_call") as ours, side("bare_execute") as bare:
        row = compare(
            "local call",
            _round(ours, CALLS),
            "`await agent.execute(message)`",
            _round(bare, CALLS),
            goal="≤ 3 µs added",
            rounds=rounds,
            faster=False,
        )
        yield row.noting(f"{(row.ours - row.theirs) * 1e6:.2f} µs added")
        against, goal = "autogen-core's SingleThreadedAgentRuntime", "≥ 40×"
        python = peers.autogen()
        if python is None:
            yield Row(work="local call", against=against, goal=goal, note="could not be installed")
            return
        with side("autogen", "local", python=python) as theirs:
            yield compare(
                "local call",
                _round(ours, CALLS),
                against,
                _round(theirs, CALLS // 20),
                goal=goal,
                rounds=rounds,
                faster=True,
            )


def model_rows(pace: Pace) -> Iterator[Row]:
    """What a model call costs besides the model: metered as agents make it, and through the policies too."""
    rounds = pace.rounds * 2
    with (
        side("model_call", "bare") as bare,
        side("model_call", "metered") as metered,
        side("model_call", "policies") as policies,
    ):
        for work, ours, against, theirs in (
            ("model call, metered", metered, "`await provider.complete(request)`", bare),
            (
                "model call through all policies",
                policies,
                "`await provider.complete(request)`",
                bare,
            ),
            ("model call through all policies", policies, "model call, metered", metered),
        ):
            row = compare(
                work,
                _round(ours, CALLS),
                against,
                _round(theirs, CALLS),
                goal="–",
                rounds=rounds,
                faster=False,
            )
            yield row.noting(f"{(row.ours - row.theirs) * 1e6:.2f} µs added")


def _round(caller: Side, calls: int) -> Round:
    return lambda: caller.ask("count", callers=1, calls=calls)["seconds"] / calls


def search_rows(pace: Pace) -> Iterator[Row]:
    """What finding the nearest chunks costs besides the arithmetic."""
    with side("search", "store") as ours, side("search", "plain") as theirs:
        yield compare(
            "nearest 10 of 100,000 chunks",
            _round(ours, SEARCHES),
            "a plain NumPy scan",
            _round(theirs, SEARCHES),
            goal="≤ 2×",
            rounds=pace.rounds,
            faster=False,
        )


def import_rows(pace: Pace) -> Iterator[Row]:
    """What starting costs."""
    rounds = pace.rounds * 2
    command = Path(sys.executable).with_name("aixgo")
    importing = partial(program, sys.executable, "-c", "import aixgo")
    asyncio = partial(program, sys.executable, "-c", "import asyncio")
    base = '`python -c "import asyncio"`'
    for work, ours, goal in (
        ("`import aixgo`", importing, "≤ 1.5×"),
        ("`aixgo --help`", partial(program, command, "--help"), "≤ 3×"),
    ):
        yield compare(work, ours, base, asyncio, goal=goal, rounds=rounds, faster=False)
    for python, module, goal in (
        (peers.autogen(), "autogen_core", "≥ 3×"),
        (peers.langgraph(), "langgraph.graph", "≥ 10×"),
    ):
        if python is not None:
            other = partial(program, python, "-c", f"import {module}")
            yield compare(
                "`import aixgo`",
                importing,
                f"`import {module}`",
                other,
                goal=goal,
                rounds=rounds,
                faster=True,
            )
