"""The searches of a PlannerAgent over a model whose scores are drawn by a seed: the best is found, and found again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from statistics import fmean
from typing import Any

import pytest

from aixgo.agents import PlannerAgent
from tests.unit.agents.test_planner_agent import asked
from tests.unit.agents.test_planning_strategies import searched

DEPTH = 3


class Judge:
    """Scores lines of thought by a seed, and remembers what it said."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.said: dict[str, float] = {}

    def __call__(self, shown: str) -> float:
        line = "".join(re.findall(r"\b[ABC]\b", shown))
        score = round(Random(f"{self._seed} {line or shown}").uniform(0, 10), 2)
        self.said[line] = score
        return score

    def values(self) -> Iterator[tuple[str, float]]:
        """Each whole line that was scored, with the mean of its scores."""
        for line in self.said:
            if len(line) == DEPTH:
                yield line, fmean(self.said[part] for part in accumulate(line)) / 10


async def planned(strategy: str, judge: Judge, **settings: Any) -> dict[str, Any]:
    planner = PlannerAgent(
        "p",
        planning_strategy=strategy,
        reasoning_depth=DEPTH,
        provider=searched(judge),
        **settings,
    )
    payload, _ = await asked(planner)
    return payload


@pytest.mark.parametrize("seed", range(8))
async def test_a_tree_that_may_go_back_takes_the_best_line_of_all_it_scored(seed: int) -> None:
    judge = Judge(seed)
    plan = await planned("tree_of_thought", judge, enable_backtracking=True)
    values = dict(judge.values())
    taken = "".join(plan["reasoning"])
    assert values[taken] == max(values.values())
    assert plan["score"] == pytest.approx(values[taken], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
async def test_a_monte_carlo_search_takes_the_best_plan_of_all_it_scored(seed: int) -> None:
    judge = Judge(seed)
    plan = await planned("monte_carlo", judge)
    assert plan["score"] == pytest.approx(max(judge.said.values()) / 10, abs=1e-4)


@pytest.mark.parametrize("strategy", ["tree_of_thought", "monte_carlo"])
async def test_the_same_scores_make_the_same_plan(strategy: str) -> None:
    found = [await planned(strategy, Judge(1), include_alternatives=True) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert found[0] != await planned(strategy, Judge(2), include_alternatives=True)
