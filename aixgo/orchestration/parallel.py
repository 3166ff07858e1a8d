"""Parallel: all agents get the message at once, and their replies become one.

The built-in aggregations work on the replies in target order, whatever order they arrive in:

- json: an object, agent → payload; type `aggregated`
- concat: the texts, one blank line apart; type `concatenated`
- merge: each text under its agent's name, a `---` line apart; type `merged`
- first: the reply of the first target that succeeded
- voting: the reply that wins the vote (aixgo.voting) by `voting_strategy`; metadata `agreement`, `votes`

An `aggregator` agent gets the JSON object and answers in their place; a function gets agent → Message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, Self, TypeAlias, cast, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller, Outcome, Outcomes
from aixgo.errors import AgentRefused, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message, Payload
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._deliberation import VOTE_FACTS, ballots_of, facts_of
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Place,
    Slot,
    Step,
    check_alone,
    ends_run,
    list_of,
    slot_name,
    too_few,
)
from aixgo.purse import Share
from aixgo.voting import STRATEGIES, vote

__all__ = ["PATTERN", "Aggregate", "Aggregation", "OnError", "Parallel"]

Aggregation: TypeAlias = Literal["json", "concat", "merge", "first", "voting"]
OnError: TypeAlias = Literal["drop", "keep", "raise"]
Aggregate: TypeAlias = Callable[[Mapping[str, Message]], "Message | Payload"]


class Parallel(Orchestrator):
    """Agents side by side.

    A failed agent is dropped from the result, kept in it as an error entry, or fails the run
    (`on_error`); `fail_fast` fails it at once and stops the others. The run needs `min_successes` replies, and
    fails when a limit or budget is reached. `timeout` is in seconds, for each agent. An
    `error_strategy` takes the place of `on_error` and `fail_fast`.
    """

    pattern = "parallel"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "aggregation": Key("text", "how replies become one", choices=get_args(Aggregation)),
        "voting_strategy": Key("text", "how a vote is decided", choices=tuple(STRATEGIES)),
        "aggregator": Key("slot", "the agent that makes one answer of the replies"),
        "on_error": Key(
            "text", "what a failed agent does to the result", choices=get_args(OnError)
        ),
        "fail_fast": Key("boolean", "the first failure ends the run and stops the others"),
        "min_successes": Key("integer", "replies the run needs", minimum=1),
        "timeout": Key("duration", "time for each agent", minimum=0),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "agent_count": Fact("the agents asked at once"),
        "success_count": Fact("those that answered"),
        "errors": Fact("agent that is missing → class and text"),
        **VOTE_FACTS,
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        aggregation: Aggregation | Aggregate = "json",
        voting_strategy: str = "majority",
        aggregator: Slot | None = None,
        on_error: OnError | None = None,
        fail_fast: bool | None = None,
        min_successes: int | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"parallel {name!r}"
        agents = list_of(agents, where)
        check_given(
            self.config_keys,
            where,
            aggregation=None if callable(aggregation) else aggregation,
            voting_strategy=voting_strategy,
            on_error=on_error,
            fail_fast=fail_fast,
            min_successes=min_successes,
            timeout=timeout,
        )
        members = [*agents, aggregator] if aggregator is not None else agents
        if error_strategy is not None:
            given = {"on_error": on_error, "fail_fast": fail_fast}
            check_alone(where, [key for key, value in given.items() if value is not None])
        super().__init__(
            name, members, description=description, limits=limits, error_strategy=error_strategy
        )
        self._targets = [slot_name(slot, where) for slot in agents]
        self._aggregator = slot_name(aggregator, where) if aggregator is not None else ""
        if not agents:
            raise ConfigError(f"{where} needs at least one agent")
        if len(set(self._targets)) < len(self._targets):
            twice = next(target for target in self._targets if self._targets.count(target) > 1)
            raise ConfigError(
                f"{where}: {twice!r} is given twice; its replies could not be told apart"
            )
        strategy = self.error_strategy
        if strategy is not None and strategy.min_successes is not None:
            if min_successes not in (None, strategy.min_successes):
                raise ConfigError(
                    f"{where}: min_successes is {min_successes}, and {strategy.min_successes} in its "
                    "error_strategy; give one"
                )
            min_successes = strategy.min_successes
        self.min_successes = 1 if min_successes is None else min_successes
        if not 1 <= self.min_successes <= len(agents):
            raise ConfigError(
                f"{where}: min_successes is {self.min_successes} of {len(agents)} agents"
            )
        self.aggregation = aggregation
        self.voting_strategy = voting_strategy
        self.on_error: OnError = on_error or "drop"
        self.fail_fast = bool(fail_fast)
        self.timeout = timeout

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        settings = cls.settings(config, f"parallel {name!r}")
        return cls(name, agents, limits=limits, **cast("dict[str, bool]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """A fan, and what makes one reply of theirs."""
        how: str = "a function" if callable(self.aggregation) else self.aggregation
        if how == "voting":
            how = f"vote, {self.voting_strategy}"
        merged: Place = self._aggregator or Step(how)
        for target in self._targets:
            yield Edge(START, target)
            yield Edge(target, merged)
        yield Edge(merged, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Call all agents, then aggregate."""
        if self.fail_fast:
            outcomes = await self._call_until_failure(message, caller)
        else:
            outcomes = await caller.call_parallel(self._targets, message, timeout=self.timeout)
        self._check(outcomes)
        replies = {o.target: o.reply for o in outcomes if o.reply is not None}
        made, facts = await self._aggregate(replies, outcomes, caller)
        errors: dict[str, JSONValue] = {
            o.target: described(o.error) for o in outcomes if o.error is not None
        }
        return self.result(
            made,
            agent_count=len(self._targets),
            success_count=len(replies),
            errors=errors or None,
            **facts,
        )

    async def _call_until_failure(self, message: Message, caller: Caller) -> Outcomes:
        context = CallContext.current()
        keys = [context.child_key(target) for target in self._targets]

        async def one(target: str, key: str, share: Share) -> Outcome:
            return Outcome(
                target,
                await caller.call(target, message, timeout=self.timeout, key=key, share=share),
            )

        calls = zip(self._targets, keys, context.shares(len(keys)), strict=True)
        return Outcomes(await all_or_first_failure([partial(one, *call) for call in calls]))

    def _check(self, outcomes: Outcomes) -> None:
        """Raise unless enough agents answered, and none met what ends a run whatever it does about failures."""
        if self.on_error == "raise":
            outcomes.raise_first()
        context = CallContext.current()
        for error in outcomes.errors:
            if ends_run(error, context):
                context.check_deadline()
                raise error
        if len(outcomes.replies) >= self.min_successes:
            return
        causes = "; ".join(
            f"{o.target}: {type(o.error).__name__}" for o in outcomes if o.error is not None
        )
        count = len(outcomes.replies)
        if count == 0:
            text = f"all {len(outcomes)} agents of {self.name!r} failed: {causes}"
        else:
            text = too_few(self.name, count, self.min_successes, causes)
        raise AgentRefused(text) from outcomes.errors[0]

    async def _aggregate(
        self, replies: Mapping[str, Message], outcomes: Outcomes, caller: Caller
    ) -> tuple[Message, Mapping[str, JSONValue]]:
        """The result, and of a vote what came of it."""
        if self.aggregation == "voting" and not self._aggregator:
            verdict = vote(ballots_of(replies), self.voting_strategy)
            return replies[verdict.source], facts_of(verdict)
        return await self._merged(replies, outcomes, caller), {}

    async def _merged(
        self, replies: Mapping[str, Message], outcomes: Outcomes, caller: Caller
    ) -> Message:
        if self._aggregator:
            whole = Message(self._object(outcomes), type="aggregated")
            return await caller.call(self._aggregator, whole)
        if callable(self.aggregation):
            made = self.aggregation(replies)
            return made if isinstance(made, Message) else Message(made, type="aggregated")
        match self.aggregation:
            case "concat":
                texts = [reply.text for reply in replies.values()]
                return Message("\n\n".join(texts + self._failures(outcomes)), type="concatenated")
            case "merge":
                texts = [f"[{target}]: {reply.text}" for target, reply in replies.items()]
                return Message("\n---\n".join(texts + self._failures(outcomes)), type="merged")
            case "first":
                return next(iter(replies.values()))
            case _:
                return Message(self._object(outcomes), type="aggregated")

    def _object(self, outcomes: Outcomes) -> dict[str, JSONValue]:
        found: dict[str, JSONValue] = {}
        for outcome in outcomes:
            if outcome.reply is not None:
                found[outcome.target] = json_payload(outcome.reply)
            elif outcome.error is not None and self.on_error == "keep":
                found[outcome.target] = {"error": described(outcome.error)}
        return found

    def _failures(self, outcomes: Outcomes) -> list[str]:
        if self.on_error != "keep":
            return []
        return [
            f"[{o.target}] failed: {type(o.error).__name__}"
            for o in outcomes
            if o.error is not None
        ]


PATTERN = Parallel
