"""Hierarchical: a manager parts a task among teams, they work at once, and it makes one answer of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self, TypedDict, cast

from aixgo.context import CallContext
from aixgo.contract import Agent, Caller, Outcome
from aixgo.errors import AgentRefused, AixgoError, ConfigError, nearest
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload, read_json
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Slot,
    ends_run,
    slot_name,
)
from aixgo.orchestration.parallel import Parallel
from aixgo.purse import Share

__all__ = ["PATTERN", "Crew", "Hierarchical"]

SHOWN = 60  # characters of an unknown team that an error repeats


class Crew(TypedDict, total=False):
    """A team of workers: at once all of them, or those to whom its manager gives a part."""

    manager: Slot
    workers: Sequence[Slot]


class Hierarchical(Orchestrator):
    """A manager that is asked twice: who does what, and what comes of it.

    It gets `{"task", "teams"}` (type `plan`), and answers with `team_assignments` in its metadata or JSON object: team
    → the team's task. Without any, its reply is the result: it needs nobody. The teams named get their tasks at
    once, and the manager gets `{"task", "results"}` (type `synthesis`), and `missing` (team → class and text) if
    some failed; its reply is the result. The run fails when all teams do. A team is an agent, an orchestrator, a list
    of workers, or a `Crew`: workers without a manager all get the team's task, as in `Parallel`; with one, the team is
    a hierarchy itself, whose teams are the workers by their names. Such teams are called `NAME.TEAM`. Under the error
    strategies "retry" and "fail_fast" the first failed team fails the run.
    """

    pattern = "hierarchical"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "manager": Key("slot", "the agent that plans, and makes one answer", required=True),
        "teams": Key(
            "groups",
            "team → an agent, or its `manager` and `workers`; by default each of `agents` is one",
            fields={
                "manager": Key("slot", "the agent that parts the team's task among its workers"),
                "workers": Key("slots", "the agents that work", required=True),
            },
        ),
        "timeout": Key("duration", "time for each team", minimum=0),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "teams": Fact("the teams that were asked, in the order given to the pattern"),
        "success_count": Fact("those that answered"),
        "errors": Fact("team that failed → class and text"),
        "team_assignments": Fact("empty: a hierarchy around it has nothing to hand on", stays=True),
    }

    def __init__(
        self,
        name: str,
        manager: Slot,
        teams: Mapping[str, Slot | Sequence[Slot] | Crew],
        *,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"hierarchical {name!r}"
        if not isinstance(teams, Mapping):
            raise ConfigError(f"{where}: teams is a mapping of name → agent, workers or Crew")
        if not teams:
            raise ConfigError(f"{where} needs at least one team")
        check_given(self.config_keys, where, timeout=timeout)
        inner = replace(Limits() if limits is None else limits, budget=None)
        slots = {team: _slot(f"{name}.{team}", made, inner) for team, made in teams.items()}
        super().__init__(
            name,
            [manager, *slots.values()],
            description=description,
            limits=limits,
            error_strategy=error_strategy,
        )
        self.timeout = timeout
        self._manager = slot_name(manager, where)
        self._teams = {team: slot_name(slot, where) for team, slot in slots.items()}
        if self._manager in self._teams.values():
            raise ConfigError(f"{where}: its manager {self._manager!r} is one of its teams too")

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; without `teams` each of `agents` but the manager is a team of its own name."""
        where = f"hierarchical {name!r}"
        settings = cls.settings(config, where)
        manager = cast("Slot", settings.pop("manager"))
        teams = cast("Mapping[str, Slot] | None", settings.pop("teams", None))
        if teams is None:
            named = {slot_name(slot, where): slot for slot in agents}
            named.pop(slot_name(manager, where), None)
            teams = named
        return cls(name, manager, teams, limits=limits, **cast("dict[str, Any]", settings))

    def edges(self) -> Iterable[Edge]:
        """Tasks to teams, and what they did back to the manager."""
        yield Edge(START, self._manager)
        for team, slot in self._teams.items():
            yield Edge(self._manager, slot, f"task of {team}", maybe=True)
            yield Edge(slot, self._manager, "result")
        yield Edge(self._manager, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Plan, delegate, synthesise."""
        task = json_payload(message)
        question: dict[str, JSONValue] = {"task": task, "teams": [*self._teams]}
        plan = await caller.call(self._manager, Message(question, type="plan"))
        assigned = self._assignments(plan)
        if not assigned:
            return self.result(plan, teams=[], success_count=0, team_assignments={})
        outcomes = await self._delegated(assigned, caller)
        results: dict[str, JSONValue] = {}
        errors: dict[str, JSONValue] = {}
        for team, outcome in zip(assigned, outcomes, strict=True):
            if outcome.reply is not None:
                results[team] = json_payload(outcome.reply)
            elif outcome.error is not None:
                errors[team] = described(outcome.error)
        if not results:
            causes = "; ".join(f"{o.target}: {type(o.error).__name__}" for o in outcomes)
            text = f"all {len(outcomes)} teams of {self.name!r} failed: {causes}"
            raise AgentRefused(text) from outcomes[0].error
        whole: dict[str, JSONValue] = {"task": task, "results": results}
        if errors:
            whole["missing"] = errors
        answer = await caller.call(self._manager, Message(whole, type="synthesis"))
        return self.result(
            answer,
            teams=[*assigned],
            success_count=len(results),
            errors=errors or None,
            team_assignments={},
        )

    async def _delegated(
        self, assigned: Mapping[str, JSONValue], caller: Caller
    ) -> Sequence[Outcome]:
        """What came of every task, in the order of the teams."""
        context = CallContext.current()
        strategy = self.error_strategy
        goes_on = strategy is None or strategy.goes_on

        async def one(team: str, task: JSONValue, key: str, share: Share) -> Outcome:
            target = self._teams[team]
            message = Message(task, type="team_task", metadata={"team": team})
            try:
                reply = await caller.call(
                    target, message, timeout=self.timeout, key=key, share=share
                )
            except AixgoError as exc:
                if not goes_on or ends_run(exc, context):
                    raise
                return Outcome(target, error=exc)
            return Outcome(target, reply)

        keys = [context.child_key(self._teams[team]) for team in assigned]  # before any task runs
        work = zip(assigned.items(), keys, context.shares(len(keys)), strict=True)
        return await all_or_first_failure([partial(one, *item, key, s) for item, key, s in work])

    def _assignments(self, plan: Message) -> dict[str, JSONValue]:
        """Who does what, in the order of the teams.

        Raises:
            AgentRefused: a team is unknown, or it is no mapping.
        """
        given = plan.metadata.get("team_assignments")
        if given in (None, {}):  # a hierarchy that plans has nothing more to hand on itself
            given = _object(plan).get("team_assignments")
        if given is None:
            return {}
        where = f"hierarchical {self.name!r}: the plan of {self._manager!r}"
        if not isinstance(given, dict):
            raise AgentRefused(f"{where}: team_assignments is no object of team → task")
        for team in given:
            if team not in self._teams:
                near = nearest(team, self._teams)
                hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(self._teams)}"
                raise AgentRefused(f"{where}: there is no team {team[:SHOWN]!r}; {hint}")
        return {team: given[team] for team in self._teams if team in given}


def _slot(name: str, team: Slot | Sequence[Slot] | Crew, limits: Limits) -> Slot:
    """The agent that a team is called by; several workers get an orchestrator."""
    where = f"team {name!r}"
    if isinstance(team, str | Agent):
        return team
    if isinstance(team, Mapping):
        crew = cast("Mapping[str, object]", team)
        if unknown := sorted(set(crew) - {"manager", "workers"}):
            raise ConfigError(
                f"{where}: there is no key {unknown[0]!r}; there are: manager, workers"
            )
        manager, workers = team.get("manager"), team.get("workers", ())
    else:
        manager, workers = None, team
    if not isinstance(workers, (list, tuple)) or not workers:
        raise ConfigError(f"{where} needs a list of workers")
    if manager is not None:
        return Hierarchical(
            name, manager, {slot_name(slot, where): slot for slot in workers}, limits=limits
        )
    return Parallel(name, workers, limits=limits) if len(workers) > 1 else workers[0]


def _object(reply: Message) -> Mapping[str, JSONValue]:
    """The JSON object of a reply, also one inside the text of a model."""
    payload = reply.payload
    if isinstance(payload, dict):
        return payload
    if isinstance(payload, str):
        try:
            found = read_json(payload[payload.index("{") : payload.rindex("}") + 1])
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
    return {}


PATTERN = Hierarchical
