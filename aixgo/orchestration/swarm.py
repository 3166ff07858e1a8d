"""Swarm: agents that pass a task on to each other, until one of them answers it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError, nearest
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
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
    ends_run,
    list_of,
    slot_name,
)

__all__ = ["PATTERN", "Swarm"]

SHOWN = 60  # characters of an unknown name that an error repeats
MARKER = re.compile(r"[ \t]*HANDOFF:(.*)")
SIGNS = " \t`*\"'."  # that models put around a name


class Swarm(Orchestrator):
    """Agents of which each may hand the task over to another; whoever does not has answered it.

    An agent hands over with metadata `handoff_to`, with `handoff_to` of its JSON object, or with a first or last line
    `HANDOFF: name` in its text. `entry`, by default the first agent, gets the message itself; the next one an object
    of the `task`, the `history` (who said what) and the `context` (type `handoff`). What an agent gives as an object
    in metadata `context` goes into the context for all after it. Without `shared_state` the next agent gets the
    reply of the one before. `transfers` says for an agent to whom it may hand over; others may to all. A handoff to
    anybody else, or to itself, is an `AgentRefused`. After `max_handoffs`, or `limits.max_iterations` if they are
    fewer, the last reply is the result.
    """

    pattern = "swarm"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "entry": Key("slot", "the agent that begins; by default the first"),
        "max_handoffs": Key("integer", "handoffs at most", minimum=0, default=10),
        "shared_state": Key(
            "boolean", "agents get the task, what was said, and the context", default=True
        ),
        "transfers": Key(
            "slots map", "agent → those it may hand over to; also `transfers` of the agent"
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "handoffs": Fact("times it was handed over"),
        "path": Fact("the agents that had it"),
        "answered_by": Fact("the last of them"),
        "context": Fact("what the agents put into the context"),
        "ended_by": Fact(
            "`answer`, `max_handoffs`, or `failures` of a later agent under `continue`"
        ),
        "stopped_by": Fact("the last two of these"),
        "handoff_to": Fact("empty: a swarm around it asks nobody else", seen=False, stays=True),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        entry: Slot | None = None,
        max_handoffs: int = 10,
        shared_state: bool = True,
        transfers: Mapping[str, Sequence[Slot]] | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"swarm {name!r}"
        agents = list_of(agents, where)
        members = agents if entry is None else [*agents, entry]
        super().__init__(
            name,
            members,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._names = list(dict.fromkeys(slot_name(slot, where) for slot in members))
        if not self._names:
            raise ConfigError(f"{where} needs at least one agent")
        check_given(
            self.config_keys,
            where,
            max_handoffs=max_handoffs,
            shared_state=shared_state,
            transfers=transfers,
        )
        self.max_handoffs = min(max_handoffs, self.limits.max_iterations)
        self.shared_state = shared_state
        self._entry = self._names[0] if entry is None else slot_name(entry, where)
        self._transfers = {
            self._member(giver, f"{where}: transfers"): [
                self._member(slot_name(slot, where), f"{where}: transfers of {giver!r}")
                for slot in takers
            ]
            for giver, takers in (transfers or {}).items()
        }

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        settings = cls.settings(config, f"swarm {name!r}")
        return cls(name, agents, limits=limits, **cast("dict[str, bool]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """Who may hand over to whom."""
        yield Edge(START, self._entry)
        for name in self._names:
            for taker in self._transfers.get(name, self._names):
                if taker != name and self.max_handoffs:
                    yield Edge(name, taker, "hands over", maybe=True)
        for name in self._names:
            yield Edge(name, END, "answers", maybe=True)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have the task passed on until it is answered."""
        agent, request = self._entry, message
        context: dict[str, JSONValue] = {}
        history: list[JSONValue] = []
        path: list[JSONValue] = []
        reply, ended_by = message, ""
        while not ended_by:
            try:
                reply = await caller.call(agent, request)
            except AixgoError as exc:
                if not path or not self._goes_on_after(exc):
                    raise
                ended_by = "failures"
                break
            path.append(agent)
            target, reply = self._handoff(agent, reply)
            added = reply.metadata.get("context")
            if isinstance(added, dict):
                context |= added
            history.append({"agent": agent, "says": json_payload(reply)})
            if not target:
                ended_by = "answer"
            elif len(path) > self.max_handoffs:
                ended_by = "max_handoffs"
            else:
                agent, request = target, self._passed_on(message, reply, history, context)
        return self.result(
            reply,
            handoff_to="",
            handoffs=len(path) - 1,
            path=path,
            answered_by=path[-1],
            ended_by=ended_by,
            stopped_by=None if ended_by == "answer" else ended_by,
            context=context,
        )

    def _passed_on(
        self,
        task: Message,
        reply: Message,
        history: list[JSONValue],
        context: dict[str, JSONValue],
    ) -> Message:
        """What the next agent gets."""
        if not self.shared_state:
            return reply
        whole: dict[str, JSONValue] = {
            "task": json_payload(task),
            "history": history,
            "context": context,
        }
        return Message(whole, type="handoff")

    def _handoff(self, agent: str, reply: Message) -> tuple[str, Message]:
        """To whom `agent` hands over, if to anybody, and its reply without the marker."""
        payload = reply.payload
        stated = stated_in(reply)
        for place in (reply.metadata, stated if isinstance(stated, dict) else {}):
            if (named := place.get("handoff_to")) not in (None, ""):
                return self._target(agent, named), reply
        if isinstance(payload, str):
            lines = payload.strip().splitlines()
            for at in dict.fromkeys((0, len(lines) - 1)) if lines else ():
                if found := MARKER.fullmatch(lines[at]):
                    rest = "\n".join(lines[:at] + lines[at + 1 :]).strip()
                    said = Message(rest, type=reply.type, metadata=reply.metadata)
                    return self._target(agent, found[1].strip(), marked=True), said
        return "", reply

    def _target(self, agent: str, named: JSONValue, *, marked: bool = False) -> str:
        """The agent that is meant; around a name that was `marked` in a text there may be signs.

        Raises:
            AgentRefused: there is none, or `agent` may not hand over to it.
        """
        allowed = self._transfers.get(agent, self._names)
        allowed = [name for name in allowed if name != agent]
        if isinstance(named, str):
            if (found := meant(named, allowed)) is not None:
                return found
            if marked:
                bare = {name.strip(SIGNS): name for name in reversed(allowed)}
                named = named.strip(SIGNS)
                if (found := meant(named, bare)) is not None:
                    return bare[found]
        shown = repr(named[:SHOWN] if isinstance(named, str) else named)[: SHOWN + 2]
        choice = f"it may to: {', '.join(allowed)}" if allowed else "it may to nobody"
        raise AgentRefused(f"swarm {self.name!r}: {agent!r} may not hand over to {shown}; {choice}")

    def _member(self, name: str, where: str) -> str:
        if name not in self._names:
            near = nearest(name, self._names)
            hint = f"did you mean {near!r}?" if near else f"it has: {', '.join(self._names)}"
            raise ConfigError(f"{where}: it has no agent {name!r}; {hint}")
        return name

    def _goes_on_after(self, error: AixgoError) -> bool:
        """Whether the last reply suffices although the next agent failed."""
        strategy = self.error_strategy
        goes_on = strategy is not None and strategy.goes_on
        return goes_on and not ends_run(error, CallContext.current())


PATTERN = Swarm
