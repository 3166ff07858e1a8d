"""Patterns with an error strategy, and agents on both sides that do in them as a task says.

A task holds for each agent what it does, attempt by attempt: "busy" fails in a way that may pass, "refuse" in one
that stays, "over" says a budget is, "break" raises what is no error of ours, "wait" stands at a gate, and "refuse
late" stands there first; after the last it answers. Attempts are counted by lines of a file, so that they count
wherever they are made.
"""

from __future__ import annotations

from pathlib import Path

from aixgo import Agent, AgentRefused, CallContext, Usage, agent
from aixgo.errors import BudgetExceeded, ProviderUnavailable
from aixgo.message import JSONValue
from aixgo.orchestration import ErrorStrategy, Parallel, Router, Sequential
from tests.conformance.gates import pass_gate, write_line

__all__ = ["LEFT_TEAMS", "RIGHT_TEAMS"]

Task = dict[str, JSONValue]


def attempts(path: str, name: str) -> int:
    """Note that `name` was asked; how often it was by now."""
    write_line(path, name)
    return Path(path).read_text().splitlines().count(name)


async def acts(task: Task, context: CallContext) -> Task:
    """Spend, do as told, and answer with the task and with who has had it."""
    context.charge(Usage(tokens_prompt=1, calls=1))
    name, left = context.agent, context.budget
    tries = attempts(str(task["file"]), name)
    told = task.get(name)
    what = told[tries - 1] if isinstance(told, list) and tries <= len(told) else ""
    if what in ("wait", "refuse late"):
        await pass_gate(str(task["gates"]), name)
    if what == "busy":
        raise ProviderUnavailable("secret", provider="acme", code="busy")
    if what in ("refuse", "refuse late"):
        raise AgentRefused("no")
    if what == "over":
        raise BudgetExceeded("money", 3, name)
    if what == "break":
        raise RuntimeError("secret")
    trail = task.get("trail")
    mine: JSONValue = [name, tries, None if left is None else left.calls]
    return {**task, "trail": [*(trail if isinstance(trail, list) else []), mine]}


STUBBORN = ErrorStrategy("retry", 2, 0, fallbacks={"two": ["spare"]})

LEFT_TEAMS: tuple[Agent, ...] = (
    agent(name="one")(acts),
    Sequential("row", ["one", "two"], error_strategy=STUBBORN),
    Parallel("fan", ["one", "two"], error_strategy="continue"),
    Sequential("shelter", ["rush", "spare"], error_strategy="continue"),
    Sequential("nest", ["one", "rush"], error_strategy=ErrorStrategy("retry", 1, 0)),
)
RIGHT_TEAMS: tuple[Agent, ...] = (
    agent(name="two")(acts),
    agent(name="spare")(acts),
    Parallel("rush", ["one", "two"], error_strategy="fail_fast"),
    Router("pick", "one", {"second": "two"}, error_strategy=STUBBORN),
)
