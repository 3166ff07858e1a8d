"""The frame of the pattern suite: a `Case` says who is in a team and what has to come of it; a `Stage` runs it.

Every module beside this one that is named after a pattern holds `CASES`. Agents are rules, payload to payload, so
that they can stand anywhere: the stage hosts them with the pattern, on a second server, or in a process of their own.
Names of agents and teams are unique over all tables, since one process serves them all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TypeAlias

from aixgo import Agent, CallContext, DistributedRuntime, LocalRuntime, Message, Usage
from aixgo.errors import AgentRefused
from aixgo.loading import kinds
from aixgo.message import JSONValue
from aixgo.middleware import CallNext, Request, Response
from aixgo.orchestration import Orchestrator
from aixgo.runtime.base import Runtime

__all__ = [
    "IN_PROCESS",
    "LEGS",
    "Actor",
    "Call",
    "Case",
    "Rule",
    "Stage",
    "all_agents",
    "open_stage",
    "refuses",
    "tables",
]

Rule: TypeAlias = Callable[[JSONValue], "JSONValue | Message"]
Call: TypeAlias = tuple[str, JSONValue]
"""Who was called, and with what payload."""

IN_PROCESS = ("local", "local-wire", "two-servers-stream", "two-servers-unary")
LEGS = (*IN_PROCESS, "processes-stream")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One team of a pattern, one input, and what has to come of it."""

    name: str
    """The team's name; `build` gives it to the pattern."""
    build: Callable[[], Orchestrator]
    """The pattern in Python, its slots held by names."""
    config: str
    """The same team in YAML: an `orchestration:` entry as a flow mapping."""
    agents: Mapping[str, Rule]
    given: JSONValue
    gives: JSONValue
    calls: Sequence[Call]
    """Every call the team makes, in any order where calls are made at once; those of teams within it too."""
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    """Some of the result's metadata."""
    flips: Mapping[str, tuple[Rule, JSONValue]] = field(default_factory=dict)
    """Agent → what it says instead, and what the team then gives."""
    survives: Mapping[str, JSONValue] = field(default_factory=dict)
    """Agent → what the team gives when it refuses. The refusal of any other that is called fails the run."""

    @property
    def called(self) -> list[str]:
        """The agents that are called, once each, in the order of `calls`."""
        return list(dict.fromkeys(name for name, _ in self.calls if name in self.agents))

    @property
    def cost(self) -> int:
        """Model calls of the whole team: one for each call of an agent."""
        return sum(name in self.agents for name, _ in self.calls)


def tables() -> dict[str, Sequence[Case]]:
    """The cases of every pattern there is."""
    return {
        kind: import_module(f"tests.conformance.patterns.{kind}").CASES
        for kind in kinds("orchestration")
    }


def all_agents() -> dict[str, Rule]:
    """The agents of every case by name; a name stands for one rule."""
    found: dict[str, Rule] = {}
    for cases in tables().values():
        for case in cases:
            for name, rule in case.agents.items():
                assert found.setdefault(name, rule) is rule, f"two agents are called {name!r}"
    return found


def refuses(_: JSONValue) -> JSONValue:
    """A rule that refuses."""
    raise AgentRefused("no")


class Actor:
    """An agent that follows its rule and costs one model call.

    With `steps` its n-th answer lets the loop turn as often as that says; with `hangs` it never answers, and notes
    in `begun` and `ended` that it was asked and stopped.
    """

    role = "actor"

    def __init__(
        self, name: str, rule: Rule, *, steps: Callable[[], int] = lambda: 0, hangs: bool = False
    ) -> None:
        self.name = name
        self.rule = rule
        self._steps = steps
        self._hangs = hangs
        self.begun = asyncio.Semaphore(0)
        self.open = 0

    async def execute(self, message: Message) -> Message:
        context = CallContext.current()
        if context.purse is not None:  # as a provider asks before it spends
            await context.purse.reserve((0, 0, 1), self.name)
        context.charge(Usage(calls=1))
        if self._hangs:
            self.open += 1
            self.begun.release()
            try:
                await asyncio.Event().wait()
            finally:
                self.open -= 1
        for _ in range(self._steps()):
            await asyncio.sleep(0)
        return Message.of(self.rule(message.payload))  # type: ignore[arg-type]  # rules answer to text and JSON


@dataclass
class Stage:
    """A team that can be called: `rt` to call it from, and what it asked its agents."""

    rt: Runtime
    calls: list[Call] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """What was asked of whom, as JSON → the key of the call."""

    async def watch(self, call_next: CallNext[Request, Response], request: Request) -> Response:
        """Middleware of the runtime that hosts the team: notes the calls of its agents."""
        if request.context.hops:  # not the call of the team itself
            call = (request.target, request.message.payload)
            self.calls.append(call)  # type: ignore[arg-type]  # no case sends bytes
            asked = json.dumps(call, sort_keys=True)
            while asked in self.keys:
                asked += "+"
            self.keys[asked] = request.context.key
        return await call_next(request)


@asynccontextmanager
async def open_stage(
    leg: str, teams: Sequence[Agent], agents: Sequence[Agent], address: str = ""
) -> AsyncIterator[Stage]:
    """`teams` and `agents` as `leg` places them; on the legs of processes the agents are at `address`."""
    stage = Stage(LocalRuntime())
    watched = [stage.watch]
    kind, transport = leg.rpartition("-")[::2]
    async with AsyncExitStack() as stack:
        if leg in ("local", "local-wire"):
            stage.rt = LocalRuntime(
                *agents, *teams, middleware=watched, check_wire=leg == "local-wire"
            )
        elif kind == "two-servers":
            there = DistributedRuntime(
                *agents, address="127.0.0.1:0", transport=transport, stop_grace=5.0
            )
            await stack.enter_async_context(there)
            here = DistributedRuntime(
                *teams,
                address="127.0.0.1:0",
                transport=transport,
                middleware=watched,
                stop_grace=5.0,
                peers={agent.name: there.address for agent in agents},
            )
            await stack.enter_async_context(here)
            peers = {team.name: here.address for team in teams}
            stage.rt = DistributedRuntime(peers=peers, transport=transport)
        else:
            stage.rt = DistributedRuntime(
                *teams,
                transport=transport,
                middleware=watched,
                peers={agent.name: address for agent in agents},
            )
        await stack.enter_async_context(stage.rt)
        yield stage
