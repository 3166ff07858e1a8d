"""A floor under the speed of the multiplexed transport.

The floor is a ratio to our own unary transport, and half of what is aimed at. Times mean nothing here: a shared
machine is two to three times slower from one minute to the next, and another machine is another one altogether.
Unary is always there, pays for the same runtime around the transport, and meets the same mood in the same round.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

import pytest

from tests.benchmarks.contenders import STREAM, UNARY, Contender, start
from tests.benchmarks.observed import collectors, local_round

pytestmark = pytest.mark.slow

SECONDS = 0.12  # of a round of one side
ROUNDS = 10  # at most, and one before that warms
ENOUGH = 2  # rounds that reach the floor: one may owe it to a hiccup of unary, two do not


PAIRED = 7  # rounds, at least, whose median a bound holds for
MORE = 5  # times as many rounds a busy machine may need


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Contender, Contender]]:
    with ExitStack() as stack:
        yield start(stack, STREAM), start(stack, UNARY)


@pytest.mark.parametrize(("callers", "floor"), [(1, 1.0), (64, 4.0)])
def test_the_stream_is_faster_than_unary_by_half_of_the_goal(
    sides: tuple[Contender, Contender], callers: int, floor: float
) -> None:
    ratios: list[float] = []
    for _ in range(1 + ROUNDS):
        stream, unary = (each.calls(callers, 200, SECONDS).per_call for each in sides)
        ratios.append(unary / stream)
        if sum(ratio >= floor for ratio in ratios[1:]) >= ENOUGH:
            return
    pytest.fail(f"the stream is {sorted(ratios[1:])} times as fast as unary, not {floor}")


@pytest.mark.timeout(120)
def test_a_dead_or_slow_collector_slows_no_call_by_a_hundredth() -> None:
    with collectors(local_round) as (fine, bad):
        for run in (fine, *bad.values()):
            run()  # warms, and is not counted
        ratios: dict[str, list[float]] = {name: [] for name in bad}
        for _ in range(PAIRED * MORE):
            good = fine()
            for name, run in bad.items():
                ratios[name].append(run() / good)
            medians = {name: median(found) for name, found in ratios.items()}
            if len(ratios["dead collector"]) >= PAIRED and max(medians.values()) <= 1.01:
                return
    pytest.fail(f"a traced call takes so many times what it takes with a good collector: {medians}")
