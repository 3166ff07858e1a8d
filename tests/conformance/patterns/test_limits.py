"""Limits and budgets, for every pattern: refused before they are passed, and never spent beyond."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from aixgo import Budget, CallContext, LocalRuntime, Message, Usage
from aixgo.errors import AgentRefused, AixgoError, BudgetExceeded, HopLimit, LimitExceeded
from aixgo.orchestration import Limits
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Actor, Case, open_stage, tables
from tests.unit.orchestration.teams import TEAMS

CASES = [case for cases in tables().values() for case in cases]
SHORT = [
    pytest.param(case, calls, id=f"{case.name}-{calls}-of-{case.cost}")
    for case in CASES
    for calls in range(case.cost)
]

every_pattern = pytest.mark.parametrize("kind", TEAMS)


@pytest.mark.parametrize(("case", "calls"), SHORT)
async def test_a_budget_that_is_too_small_is_never_passed_and_the_result_says_what_is_missing(
    case: Case, calls: int
) -> None:
    actors = [Actor(name, rule) for name, rule in case.agents.items()]
    async with open_stage("local", [case.build()], actors) as stage, asyncio.timeout(HANG):
        try:
            reply = await stage.rt.call(case.name, case.given, budget=Budget(calls=calls))
            told = str(reply.metadata.get("degraded"))
        except (AgentRefused, BudgetExceeded) as exc:
            told = str(exc)
        assert "budget" in told or "BudgetExceeded" in told or told == "True"
        assert stage.rt.ledger.total.calls <= calls


async def ended(kind: str, limits: Limits) -> AixgoError:
    """How a run under `limits` ends that calls everybody."""
    team = TEAMS[kind]("t", limits=limits)
    actors = [Spends(name) for name in "ab"]
    with pytest.raises(AixgoError) as found:
        async with asyncio.timeout(HANG), LocalRuntime(team, *actors) as rt:
            await rt.call("t", "rain\nand rain")
    return found.value


class Spends:
    """Spends ten tokens, and answers in a way that makes every pattern ask on."""

    role = "spends"

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0

    async def execute(self, message: Message) -> Message:
        self.asked += 1
        CallContext.current().charge(Usage(tokens_prompt=10))
        return Message("x", metadata={"score": 0.1, "handoff_to": "b" if self.name == "a" else "a"})


@every_pattern
async def test_a_team_of_more_agents_than_it_may_have_is_refused(kind: str) -> None:
    error = await ended(kind, Limits(max_agents=1))
    assert isinstance(error, LimitExceeded)
    assert "max_agents of 1 exceeded at 't'" in str(error)


@every_pattern
async def test_a_team_that_may_not_call_anybody_is_refused(kind: str) -> None:
    error = await ended(kind, Limits(max_depth=0))
    assert isinstance(error, HopLimit)


@every_pattern
async def test_a_team_calls_nobody_any_more_once_its_tokens_are_used(kind: str) -> None:
    team = TEAMS[kind]("t", limits=Limits(max_tokens=9))
    actors = [Spends(name) for name in "ab"]
    async with asyncio.timeout(HANG), LocalRuntime(team, *actors) as rt:
        with contextlib.suppress(LimitExceeded, AgentRefused):
            await rt.call("t", "rain\nand rain")
        asked = [actor.asked for actor in actors]
        assert max(asked) == 1
        assert rt.ledger.total.tokens_total == 10 * sum(asked)
