"""Aggregation: several agents answer the same message, and one answer is made of theirs.

- merge: each text under its agent's name, a `---` line apart
- vote: the answer that wins the vote (aixgo.voting) by `voting_strategy`
- summarize: what the `summarizer` makes of an object, agent → payload
- best: the answer that the `scorer` gives the highest score
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, Self, TypeAlias, cast, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._deliberation import (
    VOTE_FACTS,
    Panel,
    ballots_of,
    check_voices,
    facts_of,
)
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._scores import score_of
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
    ends_run,
    list_of,
    slot_name,
)
from aixgo.purse import Share
from aixgo.voting import STRATEGIES, vote

__all__ = ["PATTERN", "Aggregation", "Means"]

Means: TypeAlias = Literal["merge", "vote", "summarize", "best"]


class Aggregation(Orchestrator):
    """One answer made of several.

    `strategy` says how; `summarize` needs a `summarizer`, which gets an object, agent → payload (type `aggregated`),
    and `best` a `scorer`, which gets an object of `task` and `answer` (type `score`) for each answer and states a score
    as a critic of `Reflection` does. The first of equal scores wins. An answer that could not be scored cannot win;
    when none was, the run fails. Fewer answers than `min_responses` fail the run.
    """

    pattern = "aggregation"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "strategy": Key("text", "how one answer is made", choices=get_args(Means), default="merge"),
        "voting_strategy": Key(
            "text", "how a vote is decided", choices=tuple(STRATEGIES), default="majority"
        ),
        "summarizer": Key("slot", "of `summarize`: the agent that makes one answer of all"),
        "scorer": Key("slot", "of `best`: the agent that scores each answer"),
        "min_responses": Key("integer", "answers the run needs", minimum=1, default=1),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "agent_count": Fact("the agents asked at once"),
        "success_count": Fact("those that answered"),
        "strategy": Fact("how one answer was made"),
        "errors": Fact("agent that is missing → class and text"),
        **VOTE_FACTS,
        "winner": Fact("of a vote and of the best: the agent whose answer it is"),
        "score": Fact("of the best: its score"),
        "scores": Fact("of the best: agent → the score of its answer"),
        "unscored": Fact("of the best: agent whose answer has no score → class and text"),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        strategy: Means = "merge",
        voting_strategy: str = "majority",
        summarizer: Slot | None = None,
        scorer: Slot | None = None,
        min_responses: int | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"aggregation {name!r}"
        agents = list_of(agents, where)
        check_given(
            self.config_keys,
            where,
            strategy=strategy,
            voting_strategy=voting_strategy,
            min_responses=min_responses,
        )
        members = [slot for slot in (*agents, summarizer, scorer) if slot is not None]
        super().__init__(
            name,
            members,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._agents = [slot_name(slot, where) for slot in agents]
        check_voices(where, self._agents)
        for needed, key, slot in (
            ("summarize", "summarizer", summarizer),
            ("best", "scorer", scorer),
        ):
            if strategy == needed and slot is None:
                raise ConfigError(f"{where}: strategy {needed!r} needs a {key}")
            if strategy != needed and slot is not None:
                raise ConfigError(f"{where}: strategy {strategy!r} has no use for a {key}")
        given = self.error_strategy.needed if self.error_strategy is not None else 1
        self.min_responses = given if min_responses is None else min_responses
        if not 1 <= self.min_responses <= len(self._agents):
            raise ConfigError(
                f"{where}: min_responses is {self.min_responses} of {len(self._agents)} agents"
            )
        self._summarizer = "" if summarizer is None else slot_name(summarizer, where)
        self._scorer = "" if scorer is None else slot_name(scorer, where)
        self.strategy = strategy
        self.voting_strategy = voting_strategy

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        settings = cls.settings(config, f"aggregation {name!r}")
        return cls(name, agents, limits=limits, **cast("dict[str, int]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """A fan, and what makes one answer of theirs."""
        how = f"vote, {self.voting_strategy}" if self.strategy == "vote" else self.strategy
        made: Place = self._summarizer or self._scorer or Step(how)
        for agent in self._agents:
            yield Edge(START, agent)
            yield Edge(agent, made)
        yield Edge(made, END, "the best" if self._scorer else "")

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have all agents answer, then make one answer of theirs."""
        scores = len(self._agents) if self._scorer else 0
        panel = Panel(caller, self._agents, self.error_strategy, scores + bool(self._summarizer))
        replies = await panel.hear("answer", message)
        CallContext.current().check_deadline()  # an agent may have failed for that
        panel.check(self.name, len(replies), self.min_responses)
        if panel.ended is not None:
            raise panel.ended
        made, facts = await self._made(replies, message, caller)
        return self.result(
            made,
            agent_count=len(self._agents),
            success_count=len(replies),
            strategy=self.strategy,
            errors=panel.errors or None,
            **facts,
        )

    async def _made(
        self, replies: Mapping[str, Message], message: Message, caller: Caller
    ) -> tuple[Message, Mapping[str, JSONValue]]:
        """The answer, and what there is to say of how it was made."""
        match self.strategy:
            case "merge":
                texts = [f"[{agent}]: {reply.text}" for agent, reply in replies.items()]
                return Message("\n---\n".join(texts), type="merged"), {}
            case "vote":
                verdict = vote(ballots_of(replies), self.voting_strategy)
                return replies[verdict.source], facts_of(verdict)
            case "summarize":
                whole = {agent: json_payload(reply) for agent, reply in replies.items()}
                return await caller.call(self._summarizer, Message(whole, type="aggregated")), {}
            case "best":
                return await self._best(replies, message, caller)

    async def _best(
        self, replies: Mapping[str, Message], message: Message, caller: Caller
    ) -> tuple[Message, Mapping[str, JSONValue]]:
        context = CallContext.current()
        keys = [context.child_key(f"score/{agent}") for agent in replies]
        strict = self.error_strategy is not None and not self.error_strategy.goes_on
        task = json_payload(message)
        scores: dict[str, float] = {}
        unscored: dict[str, JSONValue] = {}

        async def score(agent: str, key: str, share: Share) -> None:
            asked = {"task": task, "answer": json_payload(replies[agent])}
            try:
                verdict = await caller.call(
                    self._scorer, Message(asked, type="score"), key=key, share=share
                )
                scores[agent] = self._score(verdict)
            except AixgoError as exc:
                if strict or ends_run(exc, context):
                    raise
                unscored[agent] = described(exc)

        calls = zip(replies, keys, context.shares(len(keys)), strict=True)
        await all_or_first_failure([partial(score, *call) for call in calls])
        if not scores:
            why = unscored[next(iter(replies))]
            text = why["text"] if isinstance(why, dict) else ""
            raise AgentRefused(f"{self._scorer!r} scored no answer of {self.name!r}: {text}")
        ordered = {agent: scores[agent] for agent in replies if agent in scores}
        winner = max(ordered, key=lambda agent: ordered[agent])
        return replies[winner], {
            "winner": winner,
            "score": scores[winner],
            "scores": dict(ordered),
            "unscored": {a: unscored[a] for a in replies if a in unscored} or None,
        }

    def _score(self, verdict: Message) -> float:
        try:
            return score_of(verdict)
        except ValueError as exc:
            raise AgentRefused(f"the answer of {self._scorer!r} is no score: {exc}") from exc


PATTERN = Aggregation
