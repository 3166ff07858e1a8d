"""The contract of a pattern: `Orchestrator`.

A pattern writes `run(message, caller) -> Message`; this base derives `execute` and `stream` from it. It
reaches agents by name through the caller it is given and takes time, randomness and ids from the
`CallContext`, never from elsewhere, so that a recorded run can be run again.

Below: contract, context. Beside: runtimes, which know an orchestrator only by its attributes.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import ClassVar, Self, TypeAlias

from aixgo import telemetry
from aixgo.context import CallContext
from aixgo.contract import Agent, Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError, NotBound, nearest
from aixgo.keys import Key, check_given, read_keys
from aixgo.message import JSONValue, Message, StreamChunk
from aixgo.names import check_name
from aixgo.orchestration._attempts import Plan, ends_run
from aixgo.orchestration._caller import PatternCaller, Tap
from aixgo.orchestration._facts import COMMON, Fact, Inner, declare, without_facts
from aixgo.orchestration._graph import END, START, Chart, Edge, Place, Step
from aixgo.orchestration._limits import LIMIT_KEYS, Limits
from aixgo.orchestration._partial import Account
from aixgo.orchestration._persistent import PersistentCaller
from aixgo.orchestration._strategy import (
    SHARED_KEYS,
    STEP_TIMEOUT,
    STRATEGY_KEYS,
    ErrorStrategy,
    OnFailure,
    take_strategy,
)

__all__ = [
    "COMMON",
    "END",
    "LIMIT_KEYS",
    "SHARED_KEYS",
    "START",
    "STEP_TIMEOUT",
    "STRATEGY_KEYS",
    "Edge",
    "ErrorStrategy",
    "Fact",
    "Limits",
    "OnFailure",
    "Orchestrator",
    "Place",
    "Slot",
    "Step",
    "check_alone",
    "ends_run",
    "list_of",
    "slot_name",
    "too_few",
]

Slot: TypeAlias = Agent | str
"""A place for an agent in a pattern: the name of one, an agent, or another orchestrator."""

CHUNKS_WAITING = 64  # chunks of all inner calls together that may wait for the consumer


class Orchestrator(ABC):
    """An agent that answers through other agents. A pattern derives from it and writes `run`.

    `pattern` is its kind; `members` are the slots it delivers to, which registering it registers too, and
    `agent_count` how many they are without those who stand in for others. With an `error_strategy` its calls are
    made again, and others asked, as that says; without one an agent's error is the pattern's to deal with.
    `timeout` is in seconds, for each call it makes, and of attempts for each: an agent that takes longer has failed
    with `DeadlineExceeded`, like one that failed otherwise.
    """

    pattern: ClassVar[str] = ""
    config_keys: ClassVar[Mapping[str, Key]] = {}
    """The keys of its `config:` in YAML, besides `timeout` and those of an error strategy, which every pattern has."""
    facts: ClassVar[Mapping[str, Fact]] = COMMON
    """What the metadata of its results may say; a pattern declares its own, and has those of all besides."""

    role = "orchestrator"
    kind = "orchestrator"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.facts = {**COMMON, **cls.facts}
        declare(cls.pattern, cls.facts)

    def __init__(
        self,
        name: str,
        members: Iterable[Slot],
        *,
        description: str = "",
        limits: Limits | None = None,
        timeout: float | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        self.name = check_name(name, "an orchestrator's name")
        self.description = description
        self.limits = Limits() if limits is None else limits
        if not isinstance(self.limits, Limits):
            raise ConfigError(f"orchestrator {name!r}: limits={limits!r}: give Limits(…)")
        check_given(SHARED_KEYS, f"{self.pattern or 'orchestrator'} {name!r}", timeout=timeout)
        self.timeout = timeout
        self.members = _unique(members, self.name)
        self.agent_count = len(self.members)
        self.error_strategy = ErrorStrategy.of(error_strategy)
        self._stand_ins: dict[str, tuple[str, ...]] = {}
        if self.error_strategy is not None:
            self._adopt(self.error_strategy)

    @classmethod
    @abstractmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it: `agents:`, and `config:` with its slots already resolved."""

    @classmethod
    def settings(cls, config: Mapping[str, object], where: str) -> dict[str, object]:
        """The checked values of a pattern's `config:`; an error strategy in it is one, under `error_strategy`.

        Raises:
            ConfigError: a key is unknown, missing or has a wrong value.
        """
        found = read_keys({**SHARED_KEYS, **cls.config_keys}, config, where)
        strategy = take_strategy(found, cls.config_keys, where)
        return found if strategy is None else {**found, "error_strategy": strategy}

    @abstractmethod
    async def run(self, message: Message, caller: Caller) -> Message:
        """The answer to `message`, with what there is to say of the run: see `result`."""

    def result(self, reply: Message, **facts: JSONValue) -> Message:
        """`reply` as what `run` gives, with these of the pattern's facts; those that are None are left out.

        What an agent said of its answer stays. What a pattern inside said of its own run goes, as does whatever
        stands under a name that this pattern declares.
        """
        own = {name: value for name, value in facts.items() if value is not None}
        own.setdefault("agent_count", self.agent_count)
        return without_facts(reply, self.facts).with_metadata(**own)

    def edges(self) -> Iterable[Edge]:
        """How messages go through it, for its picture: by default to each agent, and from each to the reply."""
        where = f"{self.pattern or 'orchestrator'} {self.name!r}"
        for slot in self.members[: self.agent_count]:
            yield Edge(START, slot_name(slot, where))
            yield Edge(slot_name(slot, where), END)

    def graph(self, others: Iterable[Orchestrator] = ()) -> str:
        """A Mermaid flowchart of it; an orchestrator it has by name is drawn whole if it is one of `others`."""
        chart = Chart({other.name: other for other in others})
        drawn = chart.agent(self)
        chart.link(chart.node(START.text, START.shape), drawn)
        chart.link(drawn, chart.node(END.text, END.shape))
        return chart.text()

    @property
    def stand_ins(self) -> Mapping[str, Sequence[str]]:
        """Agent → those asked in its stead, by the error strategy."""
        return self._stand_ins

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
        if not telemetry.on:
            return await self._answer(message, caller, context, None)
        work = telemetry.Orchestration(self.pattern, self.name, context)
        with telemetry.watch(work):
            work.result = await self._answer(message, caller, context, work)
        return work.result

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        """Run the pattern, giving the chunks of its inner calls as they come, then the answer."""
        context, caller = self._bind()
        waiting: asyncio.Queue[StreamChunk | None] = asyncio.Queue(CHUNKS_WAITING)
        work = telemetry.begin(
            telemetry.Orchestration(self.pattern, self.name, context, streaming=True)
        )
        entered = telemetry.enter(work)
        # The task starts with a copy of the context variables, so its calls inherit like ours.
        answering = self._answer(message, caller, context, work, waiting.put)
        task = asyncio.create_task(answering, name=f"aixgo-run-{self.name}")  # noqa: TID251 - owned below
        telemetry.leave(entered)
        task.add_done_callback(lambda _: _wake(waiting))
        try:
            while not (task.done() and waiting.empty()):
                chunk = await waiting.get()
                if chunk is not None:
                    yield chunk
            work.result = task.result()
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

    async def _answer(
        self,
        message: Message,
        caller: Caller,
        context: CallContext,
        work: telemetry.Orchestration | None,
        tap: Tap | None = None,
    ) -> Message:
        """What the run comes to, by the strategy if there is one."""
        most, inner = self.limits.max_tokens, Inner()
        if self.error_strategy is None:
            single = PatternCaller(caller, context, most, inner, tap, self.timeout)
            result = await self.run(message, single)
            return self._conclude(result, {}, inner, work)
        plan = Plan(self.error_strategy, self._stand_ins)
        account = plan.account
        left = False
        try:
            persistent = PersistentCaller(caller, context, most, inner, plan, tap, self.timeout)
            result = await self.run(message, persistent)
            self._check_answered(account)
        except asyncio.CancelledError:
            left = True
            raise
        except AixgoError as exc:
            if exc.partial is None or exc.error_id:  # an agent's, not the pattern's own
                exc.partial = account.partial()
            raise
        finally:
            await plan.close(wait=not left)
        return self._conclude(result, account.facts(), inner, work)

    def _conclude(
        self,
        result: Message,
        survived: Mapping[str, JSONValue],
        inner: Inner,
        work: telemetry.Orchestration | None,
    ) -> Message:
        """The result with what every result says, and to those who watch what is the run's own."""
        said = result.metadata
        if "pattern" in said or "agent_count" not in said:  # `run` did without `result`
            own = {name: said[name] for name in self.facts.keys() & said if name not in COMMON}
            result = self.result(result, **own)
            said = result.metadata
        own = dict(survived)
        if "errors" in said and "errors" in self.facts:
            own["degraded"] = True
        if work is not None:
            work.facts = {
                name: value for name, value in {**said, **own}.items() if self._tells(name)
            }
        own |= inner.facts(slot_name(slot, self.name) for slot in self.members)
        # The runtime derives the last two from what was spent.
        own |= {"pattern": self.pattern, "cost_usd": 0.0, "tokens_total": 0}
        return result.with_metadata(**own)

    def _tells(self, name: str) -> bool:
        fact = self.facts.get(name)
        return fact is not None and fact.seen

    def _check_answered(self, account: Account) -> None:
        assert self.error_strategy is not None
        needed = self.error_strategy.needed
        if self.error_strategy.goes_on and account.answered < needed and account.causes():
            raise AgentRefused(too_few(self.name, account.answered, needed, account.causes()))

    def _adopt(self, strategy: ErrorStrategy) -> None:
        """Hold the strategy against the members, and make those who stand in for them members too."""
        where = f"{self.pattern or 'orchestrator'} {self.name!r}"
        names = [slot_name(slot, where) for slot in self.members]
        if strategy.needed > len(names):
            raise ConfigError(
                f"{where}: min_successes is {strategy.needed} of {len(names)} agents; it is at most their number"
            )
        for name, others in strategy.fallbacks.items():
            if name not in names:
                near = nearest(name, names)
                hint = f"did you mean {near!r}?" if near else f"it has: {', '.join(names)}"
                raise ConfigError(f"{where}: fallbacks: it has no agent {name!r}; {hint}")
            found = tuple(slot_name(slot, f"{where}, fallbacks of {name!r}") for slot in others)
            if name in found:
                raise ConfigError(f"{where}: fallbacks: {name!r} cannot stand in for itself")
            self._stand_ins[name] = found
        stand_ins = [slot for others in strategy.fallbacks.values() for slot in others]
        self.members = _unique([*self.members, *stand_ins], self.name)


def check_alone(where: str, given: Sequence[str]) -> None:
    """Refuse keys that say in other words what an `error_strategy` says.

    Raises:
        ConfigError: there are some; the text names both.
    """
    if given:
        raise ConfigError(
            f"{where}: error_strategy and {' and '.join(given)} both say what a failure does; give one"
        )


def too_few(name: str, count: int, needed: int, causes: str) -> str:
    """Why a run ends of which too few agents answered."""
    agents = "1 agent" if count == 1 else f"{count} agents"
    return f"only {agents} of {name!r} answered, {needed} are needed: {causes}"


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


def list_of(slots: Iterable[Slot], where: str) -> list[Slot]:
    """The slots of a list.

    Raises:
        ConfigError: it is an agent, or the name of one.
    """
    if isinstance(slots, str) or not isinstance(slots, Iterable):
        raise ConfigError(f"{where}: give a list of agents, not one")
    return list(slots)


def _unique(slots: Iterable[Slot], owner: str) -> tuple[Slot, ...]:
    """The slots without repetitions; an object and its name are the same slot."""
    found: dict[str, Slot] = {}
    for slot in list_of(slots, f"orchestrator {owner!r}"):
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
