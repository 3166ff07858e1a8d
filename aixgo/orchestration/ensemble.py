"""Ensemble: several agents answer the same message, and a vote decides which answer holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import (
    VOTE_FACTS,
    Panel,
    ballots_of,
    check_voices,
    check_weights,
    facts_of,
    is_tied,
    reaches,
    votes_of,
)
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
    list_of,
    slot_name,
)
from aixgo.voting import DEFAULT_CONFIDENCE, STRATEGIES, Verdict, vote

__all__ = ["PATTERN", "Ensemble"]

THRESHOLD = 0.5
SHOWN = 60  # characters of an answer that an error repeats


class Ensemble(Orchestrator):
    """One answer of several, by vote.

    Agents vote with `category` of their metadata or JSON payload, else with their text; texts that differ in case or
    blanks are the same. The answer is the winner's reply. What has to reach `threshold` is the agreement: the
    winner's part of the votes (`majority`), or of the weights (`weighted`); under `confidence` how sure the winner
    is, and `unanimous` admits no other answer. When it does not, or two differ, `fallback` gets the original message
    and answers, and without one the run fails.

    `weights` are for `weighted`, where they take the place of the confidence a reply states; who has none counts 1.
    Ties are broken by mean confidence where the strategy counts votes, then by the order of the agents. An agent that
    fails has no vote; with fewer votes than `min_successes` the run fails.
    """

    pattern = "ensemble"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "voting_strategy": Key(
            "text", "how the vote is decided", choices=tuple(STRATEGIES), default="majority"
        ),
        "threshold": Key(
            "number", "agreement the answer needs", default=THRESHOLD, minimum=0, maximum=1
        ),
        "weights": Key("numbers", "of `weighted`: agent → what its vote counts"),
        "fallback": Key("slot", "the agent that answers when the others do not agree"),
        "models": Key("slots", "agents that vote, after those of `agents`"),
        "min_successes": Key("integer", "votes the run needs", default=1, minimum=1),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "agent_count": Fact("the agents that vote"),
        "success_count": Fact("those that answered"),
        **VOTE_FACTS,
        "threshold": Fact("the agreement the answer needed"),
        "tie_broken": Fact("whether several answers had the most votes"),
        "used_fallback": Fact("whether the fallback answered"),
        "errors": Fact("agent that is missing → class and text"),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        voting_strategy: str = "majority",
        threshold: float = THRESHOLD,
        weights: Mapping[str, float] | None = None,
        fallback: Slot | None = None,
        min_successes: int | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"ensemble {name!r}"
        agents = list_of(agents, where)
        check_given(
            self.config_keys,
            where,
            voting_strategy=voting_strategy,
            threshold=threshold,
            weights=weights,
            min_successes=min_successes,
        )
        slots = [*agents, *([fallback] if fallback is not None else [])]
        super().__init__(
            name,
            slots,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._agents = [slot_name(slot, where) for slot in agents]
        self._fallback = slot_name(fallback, where) if fallback is not None else ""
        check_voices(where, self._agents)
        if self._fallback in self._agents:
            raise ConfigError(
                f"{where}: the fallback {self._fallback!r} votes too; it answers when the votes do not agree"
            )
        if weights and voting_strategy != "weighted":
            raise ConfigError(
                f"{where}: weights go with voting_strategy 'weighted', not with {voting_strategy!r}"
            )
        self.weights = dict(weights or {})
        check_weights(where, self.weights, self._agents)
        strategy = self.error_strategy
        if min_successes is None:
            min_successes = 1 if strategy is None else strategy.needed
        if not 1 <= min_successes <= len(self._agents):
            raise ConfigError(
                f"{where}: min_successes is {min_successes} of {len(self._agents)} agents"
            )
        self.min_successes = min_successes
        self.voting_strategy = voting_strategy
        self.threshold = threshold

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; `models` are agents like the others."""
        settings = cls.settings(config, f"ensemble {name!r}")
        models = cast("Sequence[Slot]", settings.pop("models", ()))
        return cls(name, [*agents, *models], limits=limits, **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """A fan, a vote, and who answers when there is no agreement."""
        voted = Step(f"vote, {self.voting_strategy}, {self.threshold:g}", "choice")
        for agent in self._agents:
            yield Edge(START, agent)
            yield Edge(agent, voted)
        yield Edge(voted, END, "the winner")
        if self._fallback:
            yield Edge(voted, self._fallback, "no agreement", maybe=True)
            yield Edge(self._fallback, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have all agents answer, then vote."""
        panel = Panel(caller, self._agents, self.error_strategy, after=bool(self._fallback))
        replies = await panel.hear("vote", message)
        CallContext.current().check_deadline()  # an agent may have failed for that
        if panel.ended is not None:  # a limit or a budget leaves no vote out quietly
            raise panel.ended
        panel.check(self.name, len(replies), self.min_successes)
        facts: dict[str, JSONValue] = {
            "agent_count": len(self._agents),
            "success_count": len(replies),
            "voting_strategy": self.voting_strategy,
            "threshold": self.threshold,
            "used_fallback": False,
            "errors": panel.errors or None,
        }
        try:
            verdict = vote(ballots_of(replies, self.weights), self.voting_strategy)
            facts |= {"agreement": verdict.agreement, "votes": votes_of(verdict)}
            self._check(verdict, replies)
        except AgentRefused as refused:
            if not self._fallback:
                raise
            reply = await caller.call(self._fallback, message)
            facts |= {"used_fallback": True, "explanation": str(refused)}
            return self.result(reply, **facts)
        facts |= {**facts_of(verdict), "tie_broken": is_tied(verdict.votes.values())}
        return self.result(replies[verdict.source], **facts)

    def _check(self, verdict: Verdict, replies: Mapping[str, Message]) -> None:
        """Raise unless the verdict is agreed on as far as is asked for."""
        agreed = verdict.agreement
        if self.voting_strategy == "confidence":
            # Its agreement is 1 whoever wins; how sure the winner is says whether to rely on it.
            sure = next(b.confidence for b in ballots_of(replies) if b.source == verdict.source)
            agreed = sure or DEFAULT_CONFIDENCE
        if not reaches(agreed, self.threshold):
            what = "confidence" if self.voting_strategy == "confidence" else "agreement"
            raise AgentRefused(
                f"insufficient {what} in {self.name!r}: {agreed:.2f} for {verdict.content[:SHOWN]!r}, "
                f"{self.threshold:.2f} is needed"
            )


PATTERN = Ensemble
