"""A ceiling over what patterns add to their calls, and a table that says what it could not measure.

Each side checks what it gets when it starts. The ceiling is twice what is aimed at, as in `test_speed`.
"""

from contextlib import ExitStack

import pytest

from tests.benchmarks import patterns, peers
from tests.benchmarks.harness import Pace
from tests.benchmarks.processes import side
from tests.benchmarks.sides.graphs import CALLS

pytestmark = pytest.mark.slow

AIM = 2.0  # times what the same calls take
ROUNDS = 10  # at most, and one before that warms
ENOUGH = 2  # rounds below the ceiling: one may owe it to a hiccup of the calls, two do not


@pytest.mark.parametrize("name", CALLS)
def test_a_pattern_takes_at_most_twice_as_long_as_aimed_at(name: str) -> None:
    ratios: list[float] = []
    with ExitStack() as stack:
        pattern, calls = (
            patterns.round_of(stack.enter_context(side("patterns", way, name)), name, 1_000)
            for way in ("pattern", "calls")
        )
        for _ in range(1 + ROUNDS):
            ratios.append(pattern() / calls())
            if sum(ratio <= 2 * AIM for ratio in ratios[1:]) >= ENOUGH:
                return
    pytest.fail(f"a {name} takes {sorted(ratios[1:])} times what its calls take")


def test_the_table_says_that_langgraph_could_not_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "langgraph", lambda: None)
    monkeypatch.setattr(patterns, "PER_ROUND", 1)
    monkeypatch.setattr(patterns, "TITLES", {"sequential": "`Sequential`"})
    (table,) = patterns.pattern_table(Pace(rounds=1))
    (line,) = table.lines
    assert line[0] == "`Sequential`"
    assert line[4] == "could not be installed"
    assert len(line) == len(table.head)
