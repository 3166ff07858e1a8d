"""Supervisor: for each round one of several agents is picked, until an answer stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._facts import said_of_answer
from aixgo.orchestration._named import meant
from aixgo.orchestration._payloads import json_payload, stated_in
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
    Step,
    ends_run,
    list_of,
    slot_name,
)

__all__ = ["PATTERN", "Routing", "Supervisor"]

Routing: TypeAlias = Literal["best_match", "round_robin", "manual"]

ROUNDS = 10  # when nobody says how many
SHOWN = 60  # characters of a text that an error repeats


@dataclass(slots=True, frozen=True)
class _Pick:
    """Who is asked, with what; nobody when the run has its answer."""

    agent: str
    request: Message
    sure: bool = True
    """Whether it was named, and not taken because nobody was."""
    goes_on: bool = False
    """Whether another round follows whatever the agent says."""


class Supervisor(Orchestrator):
    """Agents of which one is asked each round; its reply is the answer unless it says that it is not.

    `best_match` has the `manager` name the agent: in its metadata or JSON object as `agent` or `category`, or as its
    whole text, exactly or ignoring case; the first agent is asked when it names nobody. `round_robin` asks them in
    their order, beginning with the first in each run. `manual` asks the one that the text begins with, as
    `@name the rest`, which gets the rest; the first without an `@`. The first round's manager and agent get the
    message itself, later ones an object of the `task` and the `history` (type `supervise`).

    A further round is made when the reply, or the manager's choice of its agent, says `done: false` in its metadata or
    JSON object. A manager that says `done: true` ends the run with its `answer`, or else the last reply. After
    `max_rounds` (below 1 means 10), or `limits.max_iterations` if they are fewer, the last reply is the result.
    """

    pattern = "supervisor"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "manager": Key("slot", "the agent that picks, for best_match"),
        "model": Key("text", "the model that picks where there is no manager"),
        "max_rounds": Key("integer", "rounds at most; below 1 means 10", default=ROUNDS),
        "routing_strategy": Key(
            "text", "how it picks", choices=get_args(Routing), default="best_match"
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "rounds": Fact("times an agent was asked"),
        "path": Fact("the agents asked"),
        "routed_to": Fact("the last of them"),
        "used_fallback": Fact("whether one was asked because the manager named nobody"),
        "ended_by": Fact(
            "`answer`, `manager`, `max_rounds`, or `failures` of a later round under `continue`"
        ),
        "stopped_by": Fact("the last two of these"),
        "done": Fact(
            "true if its answer says it is not: a supervisor around it does not ask again",
            seen=False,
            stays=True,
        ),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        manager: Slot | None = None,
        routing_strategy: Routing = "best_match",
        max_rounds: int = ROUNDS,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"supervisor {name!r}"
        agents = list_of(agents, where)
        members = agents if manager is None else [*agents, manager]
        super().__init__(
            name, members, description=description, limits=limits, error_strategy=error_strategy
        )
        check_given(
            self.config_keys, where, max_rounds=max_rounds, routing_strategy=routing_strategy
        )
        self._names = list(dict.fromkeys(slot_name(slot, where) for slot in agents))
        self._manager = "" if manager is None else slot_name(manager, where)
        if not self._names:
            raise ConfigError(f"{where} needs at least one agent")
        if self._manager in self._names:
            raise ConfigError(f"{where}: its manager {self._manager!r} is one of its agents too")
        if self._manager and routing_strategy != "best_match":
            raise ConfigError(f"{where}: a manager picks by best_match, not by {routing_strategy}")
        picks = routing_strategy == "best_match" and len(self._names) > 1
        if picks and not self._manager:
            raise ConfigError(f"{where}: best_match needs a manager that picks one of its agents")
        if self.limits.max_iterations < 1:
            raise ConfigError(f"{where}: limits.max_iterations is 0; it must be at least 1")
        self.routing_strategy = routing_strategy
        self.max_rounds = min(max_rounds if max_rounds >= 1 else ROUNDS, self.limits.max_iterations)

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; who reads the file makes a manager of `model`."""
        settings = cls.settings(config, f"supervisor {name!r}")
        settings.pop("model", None)
        return cls(name, agents, limits=limits, **cast("dict[str, Any]", settings))

    def edges(self) -> Iterable[Edge]:
        """Who picks, and between whom."""
        picked = Step(self.routing_strategy, "choice")
        if self._manager:
            yield Edge(START, self._manager)
            yield Edge(self._manager, picked)
        else:
            yield Edge(START, picked)
        done = Step("done?", "choice")
        for name in self._names:
            yield Edge(picked, name, maybe=len(self._names) > 1)
            yield Edge(name, done)
        if self.max_rounds > 1:
            again = f"no, {self.max_rounds} rounds at most"
            yield Edge(done, self._manager or picked, again, maybe=True)
        yield Edge(done, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have one agent after the other asked until an answer stands."""
        history: list[JSONValue] = []
        path: list[JSONValue] = []
        reply, ended_by, used_fallback = message, "", False
        while not ended_by:
            try:
                pick = await self._pick(message, history, reply, caller)
                if not pick.agent:
                    reply, ended_by = pick.request, "manager" if self._manager else "answer"
                    break
                reply = await caller.call(pick.agent, pick.request)
            except AixgoError as exc:
                if not path or not self._goes_on_after(exc):
                    raise
                ended_by = "failures"
                break
            used_fallback = used_fallback or not pick.sure
            path.append(pick.agent)
            history.append({"agent": pick.agent, "says": json_payload(reply)})
            done = _stated(reply, "done")
            if done is not False and (done is True or not pick.goes_on):
                ended_by = "answer"
            elif len(path) >= self.max_rounds:
                ended_by = "max_rounds"
        return self.result(
            reply,
            done=True if _stated(reply, "done") is False else None,
            rounds=len(path),
            path=path,
            routed_to=path[-1] if path else "",
            used_fallback=used_fallback,
            ended_by=ended_by,
            stopped_by=None if ended_by in ("answer", "manager") else ended_by,
        )

    async def _pick(
        self, task: Message, history: Sequence[JSONValue], reply: Message, caller: Caller
    ) -> _Pick:
        """Who is next."""
        request = task
        if history:
            whole: dict[str, JSONValue] = {"task": json_payload(task), "history": [*history]}
            request = Message(whole, type="supervise")
        if self.routing_strategy == "round_robin":
            return _Pick(self._names[len(history) % len(self._names)], request)
        if self.routing_strategy == "manual":
            return self._addressed(reply) if history else self._addressed(task, first=True)
        if not self._manager:
            return _Pick(self._names[0], request)
        return await self._managed(request, reply, caller)

    async def _managed(self, request: Message, last: Message, caller: Caller) -> _Pick:
        """Whom the manager names."""
        try:
            choice = await caller.call(self._manager, request)
        except AixgoError as exc:
            if not self._goes_on_after(exc):
                raise
            return _Pick(self._names[0], request, sure=False)
        done = _stated(choice, "done")
        if done is True:
            if (answer := _stated(choice, "answer")) is not None:
                return _Pick("", Message(answer))
            return _Pick("", last if last is not request else choice)  # before the first agent
        named = _stated(choice, "agent")
        named = named if isinstance(named, str) else _stated(choice, "category")
        found = meant(named if isinstance(named, str) else choice.text, self._names)
        return _Pick(found or self._names[0], request, bool(found), done is False)

    def _addressed(self, message: Message, *, first: bool = False) -> _Pick:
        """Whom a text that begins with `@name` is for, and the rest of it.

        Raises:
            AgentRefused: nobody is called so.
        """
        text = message.text.lstrip()
        if not text.startswith("@"):
            return _Pick(self._names[0] if first else "", message)
        for name in sorted(self._names, key=len, reverse=True):
            head, rest = text[1 : len(name) + 1], text[len(name) + 1 :]
            if head.casefold() == name.casefold() and (not rest or rest[0] in " \t\r\n:,"):
                rest = rest.lstrip(" \t\r\n:,")
                return _Pick(name, Message(rest, type=message.type, metadata=message.metadata))
        shown = text.split()[0][:SHOWN]
        raise AgentRefused(
            f"supervisor {self.name!r} has no agent {shown}; it has: {', '.join(self._names)}"
        )

    def _goes_on_after(self, error: AixgoError) -> bool:
        """Whether the run may go on although an agent failed."""
        strategy = self.error_strategy
        goes_on = strategy is not None and strategy.goes_on
        return goes_on and not ends_run(error, CallContext.current())


def _stated(reply: Message, name: str) -> JSONValue:
    """What `reply` states under `name`: in its metadata, else in its JSON object."""
    found = said_of_answer(reply).get(name)
    if found is None and isinstance(payload := stated_in(reply), dict):
        found = payload.get(name)
    return found


PATTERN = Supervisor
