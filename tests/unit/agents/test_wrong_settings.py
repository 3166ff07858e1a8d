"""Every key of every agent refuses what it cannot take, in code and in a file, and says which key it is."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from aixgo.agents import (
    AggregatorAgent,
    Category,
    ClassifierAgent,
    Guided,
    PlannerAgent,
    ProducerAgent,
    ReActAgent,
)
from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.loading import kinds, load
from tests.unit.wrong_values import refused

NEEDS: Mapping[str, dict[str, Any]] = {
    "classifier": {"categories": ["a"]},
    "producer": {"interval": 1.0},
    "retriever": {"documents": ["."]},
}
"""What an agent of a role cannot do without."""

LOOSE = ("text", "list", "duration")
"""Kinds of which code may give what a file cannot: other objects, and durations as text."""


def cases(*, code: bool) -> Iterator[object]:
    for role in kinds("agents"):
        agent = load("agents", role).AGENT
        keys: Mapping[str, Key] = agent.config_keys
        for name, key in keys.items():
            if code and (
                key.kind in LOOSE or name not in inspect.signature(agent.__init__).parameters
            ):
                continue
            for value in refused(key, code=code):
                yield pytest.param(role, name, value, id=f"{role}-{name}-{value}")


@pytest.mark.parametrize(("role", "name", "value"), list(cases(code=True)))
def test_a_wrong_value_is_refused_in_code(role: str, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        load("agents", role).AGENT("me", **{**NEEDS.get(role, {}), name: value})


@pytest.mark.parametrize(("role", "name", "value"), list(cases(code=False)))
def test_a_wrong_value_is_refused_in_a_file(role: str, name: str, value: object) -> None:
    needs = {"categories": [{"name": "a"}]} if role == "classifier" else NEEDS.get(role, {})
    with pytest.raises(ConfigError, match=name):
        load("agents", role).AGENT.from_config("me", {**needs, name: value})


def test_what_is_no_category_and_no_plan_is_told_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"categories\[1\] is a dict; give Category\(…\)"):
        ClassifierAgent("c", [Category("a"), {"name": "b"}])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match=r"example_plans\[0\] is a str; give ExamplePlan"):
        PlannerAgent("p", example_plans=["first"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Guided(max_iterations=True), "Guided: max_iterations must be a whole number"),
        (lambda: Guided(verification_prompt=5), "Guided: verification_prompt must be text"),
        (lambda: ReActAgent("r", guided=True), r"agent 'r': guided=True: give Guided\(…\)"),
        (lambda: AggregatorAgent("a", inputs="bc"), "aggregator 'a': give a list of inputs"),
        (lambda: ProducerAgent("p", events=5), "producer 'p': events must be an async generator"),
        (lambda: ProducerAgent("p", interval=math.inf), "producer 'p': interval is inf"),
    ],
)
def test_a_value_that_only_code_can_give_is_refused_too(
    make: Callable[[], object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        make()
