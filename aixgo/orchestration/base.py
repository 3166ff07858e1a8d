"""The contract of a pattern: `Orchestrator` and its `Limits`.

A pattern writes `run(message, caller) -> Message`; this base derives `execute` and `stream` from it. It
reaches agents by name through the caller it is given and takes time, randomness and ids from the
`CallContext`, never from elsewhere, so that a recorded run can be run again.

Below: contract, context. Beside: runtimes, which know an orchestrator only by its attributes.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias, cast

from aixgo import telemetry
from aixgo.context import CallContext
from aixgo.contract import Agent, Caller
from aixgo.errors import ConfigError, NotBound
from aixgo.keys import Key, read_keys
from aixgo.ledger import Budget
from aixgo.message import JSONValue, Message, StreamChunk
from aixgo.names import check_name
from aixgo.orchestration._caller import PatternCaller

__all__ = ["LIMIT_KEYS", "Limits", "Orchestrator", "Slot", "slot_name"]

Slot: TypeAlias = Agent | str
"""A place for an agent in a pattern: the name of one, an agent, or another orchestrator."""

CHUNKS_WAITING = 64  # chunks of all inner calls together that may wait for the consumer

BUDGET_KEYS: Mapping[str, Key] = {
    "usd": Key("number", "dollars", minimum=0),
    "tokens": Key("integer", "tokens", minimum=0),
    "calls": Key("integer", "model calls", minimum=0),
}

LIMIT_KEYS: Mapping[str, Key] = {
    "max_agents": Key(
        "integer", "agents this orchestration may reach, nested ones included", minimum=0
    ),
    "max_depth": Key("integer", "agents a call may pass through below this one", minimum=0),
    "max_iterations": Key(
        "integer", "rounds of a pattern that repeats; then the best result is given", minimum=0
    ),
    "timeout": Key("duration", "time for one run", minimum=0),
    "budget": Key("mapping", "what one run may spend", fields=BUDGET_KEYS),
    "max_tokens": Key("integer", "tokens after which no further call is made", minimum=0),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Limits:
    """What one run of an orchestration may take; `timeout` is in seconds.

    Raises:
        ConfigError: a limit is negative.
    """

    max_agents: int = 100
    max_depth: int = 10
    max_iterations: int = 10
    timeout: float = 300.0
    max_tokens: int = 100_000
    budget: Budget | None = None
    """What one run may spend of what its caller lent it; refused before it is spent, unlike `max_tokens`."""

    def __post_init__(self) -> None:
        for name in LIMIT_KEYS:
            value = getattr(self, name)
            if name != "budget" and not value >= 0:
                raise ConfigError(f"Limits({name}={value!r}): a limit is not negative")

    @classmethod
    def from_config(cls, given: Mapping[str, object], where: str = "limits") -> Self:
        """The limits a YAML mapping states; durations may be text."""
        found = dict(read_keys(LIMIT_KEYS, given, where))
        if "budget" in found:
            found["budget"] = Budget(**cast("dict[str, int]", found["budget"]))
        return cls(**cast("Any", found))


class Orchestrator(ABC):
    """An agent that answers through other agents. A pattern derives from it and writes `run`.

    `pattern` is its kind; `members` are the slots it delivers to, which registering it registers too.
    """

    pattern: ClassVar[str] = ""
    config_keys: ClassVar[Mapping[str, Key]] = {}
    """The keys of its `config:` in YAML."""

    role = "orchestrator"
    kind = "orchestrator"

    def __init__(
        self,
        name: str,
        members: Iterable[Slot],
        *,
        description: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.name = check_name(name, "an orchestrator's name")
        self.description = description
        self.limits = limits or Limits()
        self.members = _unique(members, self.name)

    @classmethod
    @abstractmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it: `agents:`, and `config:` with its slots already resolved."""

    @abstractmethod
    async def run(self, message: Message, caller: Caller) -> Message:
        """The answer to `message`; its metadata holds the pattern's own facts."""

    @property
    def max_agents(self) -> int:
        """The agents it may reach, checked when it is registered."""
        return self.limits.max_agents

    def __repr__(self) -> str:
        return f"<{self.pattern} {self.name!r} of {len(self.members)}>"

    async def execute(self, message: Message) -> Message:
        """Run the pattern.

        Raises:
            NotBound: nobody hosts it: register it in a runtime and call it there by name.
        """
        context, caller = self._bind()
        inner = PatternCaller(caller, context, self.limits.max_tokens)
        if not telemetry.on:
            return self._conclude(await self.run(message, inner))
        work = telemetry.Orchestration(self.pattern, self.name, context)
        with telemetry.watch(work):
            work.result = self._conclude(await self.run(message, inner))
        return work.result

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        """Run the pattern, giving the chunks of its inner calls as they come, then the answer."""
        context, caller = self._bind()
        waiting: asyncio.Queue[StreamChunk | None] = asyncio.Queue(CHUNKS_WAITING)
        inner = PatternCaller(caller, context, self.limits.max_tokens, tap=waiting.put)
        work = telemetry.begin(
            telemetry.Orchestration(self.pattern, self.name, context, streaming=True)
        )
        entered = telemetry.enter(work)
        # The task starts with a copy of the context variables, so its calls inherit like ours.
        task = asyncio.create_task(self.run(message, inner), name=f"aixgo-run-{self.name}")  # noqa: TID251 - owned below
        telemetry.leave(entered)
        task.add_done_callback(lambda _: _wake(waiting))
        try:
            while not (task.done() and waiting.empty()):
                chunk = await waiting.get()
                if chunk is not None:
                    yield chunk
            work.result = self._conclude(task.result())
            yield work.result
        except BaseException as exc:
            work.left = isinstance(exc, GeneratorExit)
            work.error = None if work.left else exc
            raise
        finally:
            await _end(task)
            telemetry.end(work)

    def _bind(self) -> tuple[CallContext, Caller]:
        context = CallContext.maybe_current()
        if context is None or context.executing is not self or context.caller is None:
            raise NotBound(self.name)
        if self.limits.budget is not None:
            context.narrow_budget(self.limits.budget)
        context.narrow(timeout=self.limits.timeout, max_depth=self.limits.max_depth)
        return context, context.caller

    def _conclude(self, result: Message) -> Message:
        facts: dict[str, JSONValue] = {"pattern": self.pattern, "cost_usd": 0.0, "tokens_total": 0}
        return result.with_metadata(**facts)  # the runtime derives the last two from what was spent


def slot_name(slot: Slot, where: str) -> str:
    """The name `slot` is called by.

    Raises:
        ConfigError: it holds neither a name nor an agent.
    """
    if isinstance(slot, str):
        return check_name(slot, f"{where}: an agent's name")
    if isinstance(slot, Agent):
        return check_name(slot.name, f"{where}: an agent's name")
    raise ConfigError(
        f"{where} needs an agent or the name of one, not {type(slot).__name__}; decorate it with @agent"
    )


def _unique(slots: Iterable[Slot], owner: str) -> tuple[Slot, ...]:
    """The slots without repetitions; an object and its name are the same slot."""
    found: dict[str, Slot] = {}
    for slot in slots:
        name = slot_name(slot, f"orchestrator {owner!r}")
        known = found.get(name)
        if known is None or isinstance(known, str):
            found[name] = slot
        elif not isinstance(slot, str) and slot is not known:
            raise ConfigError(
                f"orchestrator {owner!r} has two different agents called {name!r}; rename one"
            )
    return tuple(found.values())


def _wake(waiting: asyncio.Queue[StreamChunk | None]) -> None:
    if (
        not waiting.full()
    ):  # a full queue needs no waking: its reader looks at the task once it is empty
        waiting.put_nowait(None)


async def _end(task: asyncio.Task[Message]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # retrieved: whoever reads the stream has it, or has left
