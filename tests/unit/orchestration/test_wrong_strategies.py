"""An error strategy that cannot be is refused when the pattern is made, in words that say what to do."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from aixgo import LocalRuntime
from aixgo.errors import AgentNotFound, ConfigError, ProviderUnavailable
from aixgo.orchestration import ErrorStrategy, Limits, Parallel, Router, Sequential
from tests.unit.orchestration.failing import Fails, down, failure

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no such strategy": (lambda: ErrorStrategy("retri"), "no 'retri'; did you mean 'retry'"),  # type: ignore[arg-type]
    "nothing near": (
        lambda: Sequential("p", ["a"], error_strategy="panic"),  # type: ignore[arg-type]
        "no 'panic'; there are: continue, fail_fast, retry",
    ),
    "negative retries": (lambda: ErrorStrategy("retry", -1), "max_retries is -1"),
    "half a retry": (lambda: ErrorStrategy("retry", 1.5), "max_retries is 1.5"),  # type: ignore[arg-type]
    "negative delay": (lambda: ErrorStrategy("retry", retry_delay=-1), "retry_delay is -1"),
    "endless delay": (lambda: ErrorStrategy("retry", retry_delay=math.inf), "retry_delay is inf"),
    "no successes": (lambda: ErrorStrategy("continue", min_successes=0), "min_successes is 0"),
    "more than the team": (
        lambda: Sequential("p", ["a"], error_strategy=ErrorStrategy("continue", min_successes=2)),
        "sequential 'p': min_successes is 2 of 1 agents",
    ),
    "more than the fan": (
        lambda: Parallel(
            "p", ["a"], aggregator="b", error_strategy=ErrorStrategy("continue", min_successes=2)
        ),
        "parallel 'p': min_successes is 2 of 1 agents",
    ),
    "two numbers": (
        lambda: Parallel(
            "p",
            ["a", "b"],
            min_successes=1,
            error_strategy=ErrorStrategy("continue", min_successes=2),
        ),
        "min_successes is 1, and 2 in its error_strategy",
    ),
    "fail_fast asks nobody twice": (
        lambda: ErrorStrategy("fail_fast", 1),
        "max_retries does not go with 'fail_fast'",
    ),
    "nor others": (
        lambda: ErrorStrategy("fail_fast", fallbacks={"a": ["b"]}),
        "fallbacks does not go with 'fail_fast'",
    ),
    "retry needs all": (
        lambda: ErrorStrategy("retry", min_successes=1),
        "min_successes does not go with 'retry'",
    ),
    "for a stranger": (
        lambda: Sequential(
            "p", ["writer"], error_strategy=ErrorStrategy("retry", fallbacks={"writr": ["b"]})
        ),
        "sequential 'p': fallbacks: it has no agent 'writr'; did you mean 'writer'",
    ),
    "for itself": (
        lambda: Router(
            "p", "k", {"x": "a"}, error_strategy=ErrorStrategy("retry", fallbacks={"a": ["a"]})
        ),
        "router 'p': fallbacks: 'a' cannot stand in for itself",
    ),
    "nobody": (
        lambda: ErrorStrategy("retry", fallbacks={"a": []}),
        "fallbacks of 'a' must be a list",
    ),
    "a text": (
        lambda: ErrorStrategy("retry", fallbacks={"a": "b"}),
        "fallbacks of 'a' must be a list",
    ),
    "no agent": (
        lambda: Sequential("p", ["a"], error_strategy=ErrorStrategy("retry", fallbacks={"a": [7]})),  # type: ignore[list-item]
        "fallbacks of 'a' needs an agent or the name of one, not int",
    ),
    "both of a sequence": (
        lambda: Sequential("p", ["a"], on_error="stop", error_strategy="retry"),
        "sequential 'p': error_strategy and on_error both",
    ),
    "both of a fan": (
        lambda: Parallel("p", ["a"], on_error="drop", fail_fast=True, error_strategy="retry"),
        "parallel 'p': error_strategy and on_error and fail_fast both",
    ),
    "settings of none": (
        lambda: Sequential.from_config("p", ["a"], {"max_retries": 1}, Limits()),
        "sequential 'p': max_retries needs an error_strategy: continue or fail_fast or retry",
    ),
    "settings of another": (
        lambda: Router.from_config(
            "p",
            ["a"],
            {"classifier": "k", "error_strategy": "fail_fast", "max_retries": 1},
            Limits(),
        ),
        "router 'p': error_strategy: max_retries does not go with",
    ),
    "negative in a file": (
        lambda: Parallel.from_config(
            "p", ["a"], {"error_strategy": "retry", "max_retries": -1}, Limits()
        ),
        "max_retries is -1; it must be at least 0",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused(case: str) -> None:
    make, text = WRONG[case]
    with pytest.raises(ConfigError) as refused:
        make()
    assert text in str(refused.value)


async def test_a_stand_in_nobody_knows_leaves_the_first_error_and_is_named_in_its_notes() -> None:
    strategy = ErrorStrategy("retry", 0, fallbacks={"fails": ["nobody"]})
    flow = Sequential("p", [Fails("fails", [down()])], error_strategy=strategy)
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x")
    assert isinstance(error, ProviderUnavailable)
    assert not isinstance(error, AgentNotFound)


def test_stand_ins_are_members_and_no_part_of_the_count() -> None:
    strategy = ErrorStrategy("retry", fallbacks={"a": ["b", Fails("c")]})
    flow = Sequential("p", ["a"], error_strategy=strategy)
    assert [m if isinstance(m, str) else m.name for m in flow.members] == ["a", "b", "c"]
    assert flow.agent_count == 1
