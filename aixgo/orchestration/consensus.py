"""Consensus: agents answer blind, read each other without names, refine, and settle on one answer.

The first message an agent gets is the task as it came. Then, in each round, a JSON object of type `consensus`: `task`,
`round`, `of` how many, `answers` (agent1 and on → answer), `yours` (which of them is its own) and `instructions` for
models; `_refining` says how its reply is read. A reply that is none of those asked for is corrected up to twice, with
`correction`, and then counts as keeping one's answer. The agent that presents the result gets one of type
`consensus_result`: `task`, `answers`, `chosen`, `votes` (each with `agent`, `for` and `reason`) and `instructions`; who
evaluates it one of type `consensus_evaluation` with `result` and `restarts_left` too; `_presenting` reads that reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, TypeAlias, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._agreement import Measure
from aixgo.orchestration._deliberation import Panel, check_voices, stop_of
from aixgo.orchestration._embedding import Embedding, Vectors, chosen_embedder
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._presenting import Closing, Verdict, told_again
from aixgo.orchestration._refining import Level
from aixgo.orchestration._settings import CUT, ROUNDS, RULE_KEYS, THRESHOLD, Protocol, Rules
from aixgo.orchestration._settling import TALK_FACTS, Deliberation
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
    list_of,
    slot_name,
)
from aixgo.providers import Embedder

__all__ = ["PATTERN", "Consensus", "Presenter", "Protocol"]

Presenter: TypeAlias = Literal["winner", "synthesis", "verbatim"]


@dataclass(slots=True)
class _Found:
    """What one deliberation came to."""

    reply: Message
    facts: dict[str, JSONValue]
    verdict: Verdict | None
    rounds: int


class Consensus(Orchestrator):
    """Agents that settle on one answer.

    All answer the task without seeing each other. Then, in at most `max_rounds` rounds, each sees all answers without
    names and keeps its own, revises it, or supports another. It is settled once agents with `threshold` of the
    `weights` (1 each, unless stated) stand for one answer, measured by `convergence`: `vote` counts who supports
    what, `exact` only whose own answers are the same but for case and blanks, `similarity` those that are all alike by
    `similarity`: in their words, or in what an `embedding_model` makes of them ("hashing", "vendor:model" or an
    `Embedder`; called as an agent of its own, `NAME.embedder`). Agents stand for `category` of their metadata or JSON
    payload, else for their text.

    With `protocol="vote"` an agent votes for the best answer or gives a new one; a new one clears all votes, those of
    the same round too, and it is settled by the first round in which everybody votes. `voting_sensitivity` says how
    good models are told an answer has to be. `answer_novelty_requirement` refuses new answers of which more than 70 %
    ("balanced") or 50 % ("strict") of the words are those of one that is there. An agent that has given
    `max_new_answers_per_agent`, its first included, may only choose.

    The answer's agent presents the result; `presenter="synthesis"` has the `synthesizer` do it, and "verbatim"
    nobody. When the presenter fails, the answer stands as it was given. A single agent's answer is the result, and
    nobody is asked more. With `post_evaluation` who presented (or the answer's agent) then says whether the result
    does; if not, all begins again, with its instructions in the task, at most `max_restarts` times. When that comes to
    nothing the result before it stands, marked `stopped_by`.

    When it is not settled after the last round the run fails, and the error's `partial` has everybody's answer; with
    the error strategy "continue" the heaviest answer is the result, marked `degraded`, as it is, marked `stopped_by`,
    when time, budget, failures or `max_iterations` (of rounds in all) end it. Ties go to the answer with fewer
    revisions, then to that of the agent given first. An agent that fails at first takes no part; one that fails later
    keeps its answer.
    """

    pattern = "consensus"
    config_keys: ClassVar[Mapping[str, Key]] = {
        **RULE_KEYS,
        "presenter": Key(
            "text", "who gives the result", choices=get_args(Presenter), default="winner"
        ),
        "synthesizer": Key("slot", "of presenter `synthesis`: the agent that makes one of all"),
        "post_evaluation": Key(
            "boolean", "whether who presents may turn the result down", default=False
        ),
        "max_restarts": Key(
            "integer", "of `post_evaluation`: times all may begin again", default=0, minimum=0
        ),
        "timeout": Key("duration", "time for each reply", minimum=0),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        **TALK_FACTS,
        "presenter": Fact("the agent that gave the result, or `verbatim`"),
        "evaluation": Fact(
            "of `post_evaluation`: `by` whom, its `action`, `reason` and `instructions`"
        ),
        "restarts": Fact("of `post_evaluation`: times all began again"),
        "errors": Fact("agent that failed → class and text"),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        threshold: float = THRESHOLD,
        max_rounds: int = ROUNDS,
        convergence: Measure = "vote",
        similarity: float = CUT,
        embedding_model: str | Embedder = "",
        protocol: Protocol = "rounds",
        voting_sensitivity: Level = "lenient",
        answer_novelty_requirement: Level = "lenient",
        max_new_answers_per_agent: int | None = None,
        weights: Mapping[str, float] | None = None,
        presenter: Presenter | None = None,
        synthesizer: Slot | None = None,
        post_evaluation: bool = False,
        max_restarts: int = 0,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"consensus {name!r}"
        agents = list_of(agents, where)
        check_given(
            self.config_keys,
            where,
            threshold=threshold,
            max_rounds=max_rounds,
            convergence=convergence,
            similarity=similarity,
            weights=weights,
            protocol=protocol,
            voting_sensitivity=voting_sensitivity,
            answer_novelty_requirement=answer_novelty_requirement,
            max_new_answers_per_agent=max_new_answers_per_agent,
            presenter=presenter,
            post_evaluation=post_evaluation,
            max_restarts=max_restarts,
            timeout=timeout,
        )
        slots = [*agents, *([synthesizer] if synthesizer is not None else [])]
        self._embedder = ""
        if embedding_model:
            self._embedder = f"{name}.embedder"
            slots.append(Embedding(self._embedder, chosen_embedder(embedding_model, where)))
        super().__init__(
            name, slots, description=description, limits=limits, error_strategy=error_strategy
        )
        self.agent_count -= 1 if self._embedder else 0
        self._agents = [slot_name(slot, where) for slot in agents]
        self._synthesizer = slot_name(synthesizer, where) if synthesizer is not None else ""
        self.presenter: Presenter = presenter or ("synthesis" if synthesizer else "winner")
        self.post_evaluation = post_evaluation
        self.max_restarts = max_restarts
        self.rules = Rules(
            threshold=threshold,
            max_rounds=max_rounds,
            convergence=convergence,
            similarity=similarity,
            protocol=protocol,
            weights=dict(weights or {}),
            max_answers=max_new_answers_per_agent,
            novelty=answer_novelty_requirement,
            sensitivity=voting_sensitivity,
        )
        self.timeout = timeout
        self._check(where)

    def _check(self, where: str) -> None:
        """Refuse what does not go together."""
        check_voices(where, self._agents)
        self.rules.check(where, self._agents)
        if (self.presenter == "synthesis") != bool(self._synthesizer):
            raise ConfigError(
                f"{where}: presenter 'synthesis' and a synthesizer go together; give both or none"
            )
        if self._embedder and self.rules.convergence != "similarity":
            raise ConfigError(
                f"{where}: an embedding_model goes with convergence 'similarity', not {self.rules.convergence!r}"
            )
        if self.max_restarts and not self.post_evaluation:
            raise ConfigError(
                f"{where}: max_restarts is {self.max_restarts} without post_evaluation, which alone asks for one"
            )
        if self._needed > len(self._agents):
            raise ConfigError(
                f"{where}: min_successes is {self._needed} of {len(self._agents)} agents that answer"
            )

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        return cls(name, agents, limits=limits, **cls.settings(config, f"consensus {name!r}"))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """Answers, what the agents make of each other's, who presents, and whether that does."""
        shared = Step(f"agreement ≥ {self.rules.threshold:.2g}?", "choice")
        for agent in self._agents:
            yield Edge(START, agent)
            yield Edge(agent, shared, "answer")
            yield Edge(
                shared, agent, f"answers of all, {self.rules.max_rounds} rounds at most", maybe=True
            )
        if self._embedder:
            yield Edge(shared, self._embedder, "answers to compare")
            yield Edge(self._embedder, shared, "vectors")
        last: Place = shared
        if self._synthesizer:
            yield Edge(shared, self._synthesizer)
            last = self._synthesizer
        if self.post_evaluation:
            judged = Step("does the result do?", "choice")
            yield Edge(last, judged)
            last = judged
            for agent in self._agents if self.max_restarts else ():
                yield Edge(judged, agent, f"again, {self.max_restarts} times at most", maybe=True)
        yield Edge(last, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have all agents answer, refine until they agree, then present; all again when the result is turned down."""
        left = self.limits.max_iterations
        found = await self._held(message, caller, 0, left)
        restarts = 0
        while restarts < self.max_restarts and (verdict := found.verdict) and verdict.restart:
            restarts += 1
            left -= found.rounds
            try:
                again = told_again(message, verdict, restarts)
                found = await self._held(again, caller, restarts, left)
            except AixgoError as exc:
                if self.error_strategy is not None and not self._goes_on:
                    raise
                CallContext.current().check_deadline()
                found.facts |= {"degraded": True, "stopped_by": stop_of(exc)}
                break
        if self.post_evaluation:
            found.facts["restarts"] = restarts
        return self.result(found.reply, **found.facts)

    @property
    def _goes_on(self) -> bool:
        return self.error_strategy is not None and self.error_strategy.goes_on

    @property
    def _needed(self) -> int:
        """Agents that have to answer at first."""
        return self.error_strategy.needed if self.error_strategy is not None else 1

    async def _held(self, message: Message, caller: Caller, number: int, left: int) -> _Found:
        """Hold a deliberation, of at most `left` rounds; its `number` is 0 for the first."""
        panel = Panel(caller, self._agents, self.timeout, self.error_strategy)
        talk = Deliberation(
            self.rules,
            panel,
            json_payload(message),
            seed="\n".join((message.text, *self._agents)),
            step=f"again[{number}]/" if number else "",
            vectors=Vectors(self._embedder, panel) if self._embedder else None,
        )
        panel.check(self.name, await talk.answer(message, extra=number > 0), self._needed)
        await talk.refine(left)
        if not talk.converged and not talk.stopped and not self._goes_on:
            raise talk.failure(self.name)
        closing = Closing(talk)
        author = closing.author
        target = {"synthesis": self._synthesizer, "winner": author}.get(self.presenter, "")
        reply, presenter = await closing.present(target)
        facts = {**talk.facts(), "presenter": presenter or "verbatim"}
        verdict = None
        if self.post_evaluation and (evaluator := presenter or author) and closing.open:
            verdict = await closing.evaluate(evaluator, reply, self.max_restarts - number)
        if verdict is not None:
            facts["evaluation"] = {"by": evaluator, **verdict.told()}
        if panel.errors:
            facts["errors"] = panel.errors
        return _Found(reply, facts, verdict, talk.rounds)


PATTERN = Consensus
