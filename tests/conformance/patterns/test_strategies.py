"""Error strategies, for every pattern: an agent is asked again, or its failure ends the run, whichever part it has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
import yaml

from aixgo import Message
from aixgo.errors import AgentRefused, ProviderUnavailable
from aixgo.loading import load
from aixgo.message import JSONValue
from aixgo.orchestration import Limits, Orchestrator
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Actor, Case, Rule, open_stage, refuses, tables

ALREADY = ("error_strategy", "on_error", "fail_fast", "max_replans", "scorer")
"""Keys that say what a failure does; the scorer of the cases fails by itself."""


def with_strategy(case: Case, **strategy: JSONValue) -> Orchestrator | None:
    """The team of a case under a strategy, as its file states it; none if it says itself what a failure does."""
    entry = yaml.safe_load(case.config)
    config: dict[str, Any] = entry.get("config", {})
    if any(key in config for key in ALREADY) or "'pattern':" in str(config):
        return None
    made = load("orchestration", entry["pattern"]).PATTERN.from_config(
        case.name, cast("Sequence[str]", entry.get("agents", [])), {**config, **strategy}, Limits()
    )
    assert isinstance(made, Orchestrator)
    return made


EACH = [
    pytest.param(case, agent, id=f"{case.name}-{agent}")
    for cases in tables().values()
    for case in cases
    if with_strategy(case, error_strategy="retry") is not None
    for agent in case.called
    if case.agents[agent] is not refuses
]


def fails_at_first(rule: Rule) -> Rule:
    """The rule of an agent whose first call meets a vendor that is down."""
    calls = iter([True])

    def answer(payload: JSONValue) -> JSONValue | Message:
        if next(calls, False):
            raise ProviderUnavailable("down", provider="acme")
        return rule(payload)

    return answer


@pytest.mark.parametrize(("case", "agent"), EACH)
async def test_an_agent_that_fails_once_is_asked_again(case: Case, agent: str) -> None:
    team = with_strategy(case, error_strategy="retry", retry_delay=0)
    assert team is not None
    rules = {**case.agents, agent: fails_at_first(case.agents[agent])}
    actors = [Actor(name, rule) for name, rule in rules.items()]
    async with open_stage("local", [team], actors) as stage, asyncio.timeout(HANG):
        reply = await stage.rt.call(case.name, case.given)
    assert reply.payload == case.gives
    assert reply.metadata["retries"] == 1
    assert reply.usage.calls == case.cost + 1


@pytest.mark.parametrize(("case", "agent"), EACH)
async def test_the_first_failure_ends_a_run_that_fails_fast(case: Case, agent: str) -> None:
    team = with_strategy(case, error_strategy="fail_fast")
    assert team is not None
    actors = [Actor(name, rule) for name, rule in {**case.agents, agent: refuses}.items()]
    async with open_stage("local", [team], actors) as stage, asyncio.timeout(HANG):
        with pytest.raises(AgentRefused, match=r"^no$"):
            await stage.rt.call(case.name, case.given)


@pytest.mark.parametrize(("case", "agent"), EACH)
async def test_a_run_that_goes_on_without_an_agent_says_who_is_missing(
    case: Case, agent: str
) -> None:
    team = with_strategy(case, error_strategy="continue")
    assert team is not None
    actors = [Actor(name, rule) for name, rule in {**case.agents, agent: refuses}.items()]
    async with open_stage("local", [team], actors) as stage, asyncio.timeout(HANG):
        try:
            told = (await stage.rt.call(case.name, case.given)).metadata["missing"]
        except AgentRefused as exc:
            told = exc.partial
    assert agent in str(told)
