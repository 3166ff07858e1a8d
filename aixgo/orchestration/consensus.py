"""Consensus: agents answer blind, read each other without names, refine, and settle on one answer.

The first message an agent gets is the task as it came. Then, in each round, a JSON object of type `consensus`: `task`,
`round`, `of` how many, `answers` (agent1 and on → answer), `yours` (which of them is its own) and `instructions` for
models; `_refining` says how its reply is read. A reply that is none of those asked for is corrected up to twice, with
`correction`, and then counts as keeping one's answer. The agent that presents the result gets one of type
`consensus_result`: `task`, `answers`, `chosen`, `votes` (each with `agent`, `for` and `reason`) and `instructions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self, TypeAlias, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import (
    Ask,
    Panel,
    check_part,
    check_voices,
    check_weights,
    is_tied,
    reaches,
)
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._refining import ACTIONS, Answer, Group, Measure, Move, Shown, groups_of
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

__all__ = ["PATTERN", "Consensus", "Presenter", "Protocol"]

Presenter: TypeAlias = Literal["winner", "synthesis", "verbatim"]
Protocol: TypeAlias = Literal["rounds", "vote"]

THRESHOLD = 2 / 3
ROUNDS = 3
CUT = 0.9
CORRECTIONS = 2  # of a reply that is none of those asked for
SHOWN = 60  # characters of an answer that an error repeats
TO_PRESENTER = (
    "These answers were compared, and the chosen one holds. Give the final answer to the task, as the one who asked is "
    "to read it. Use what is right in the others; do not ask back."
)


@dataclass(slots=True)
class _State:
    """Where a run stands."""

    panel: Panel
    task: JSONValue
    seed: str
    own: dict[str, Answer] = field(default_factory=dict)
    """The last answer of each agent."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """The answer each agent stands for."""
    rounds: int = 0
    shown: Shown | None = None
    settled: bool = False
    stopped: str = ""


class Consensus(Orchestrator):
    """Agents that settle on one answer.

    All answer the task without seeing each other. Then, in at most `max_rounds` rounds, each sees all answers without
    names and keeps its own, revises it, or supports another. It is settled once agents with `threshold` of the
    `weights` (1 each, unless stated) stand for one answer, measured by `convergence`: `vote` counts who supports
    what, `exact` only whose own answers are the same but for case and blanks, `similarity` those whose words are
    alike by `similarity`. Agents stand for `category` of their metadata or JSON payload, else for their text.

    With `protocol="vote"` an agent votes for the best answer or gives a new one; a new one clears all votes, those of
    the same round too, and it is settled by the first round in which everybody votes.

    The answer's agent presents the result; `presenter="synthesis"` has the `synthesizer` do it, and "verbatim"
    nobody. When the presenter fails, the answer stands as it was given. A single agent's answer is the result, and
    nobody is asked more.

    When it is not settled after the last round the run fails; with the error strategy "continue" the heaviest answer
    is the result, marked `degraded`, as it is, marked `stopped_by`, when time, budget, failures or `max_iterations`
    end the rounds. Ties go to the answer with fewer revisions, then to that of the agent given first. An agent that
    fails at first takes no part; one that fails later keeps its answer.
    """

    pattern = "consensus"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "threshold": Key(
            "number", "part of the weight one answer needs; 2/3 if not given", minimum=0, maximum=1
        ),
        "max_rounds": Key("integer", "times answers may be refined", default=ROUNDS, minimum=0),
        "convergence": Key(
            "text", "what counts as support", choices=get_args(Measure), default="vote"
        ),
        "similarity": Key(
            "number",
            "of convergence `similarity`: how alike the words of one answer are",
            default=CUT,
            minimum=0,
            maximum=1,
        ),
        "protocol": Key("text", "how it goes on", choices=get_args(Protocol), default="rounds"),
        "weights": Key("numbers", "agent → what its voice counts"),
        "presenter": Key(
            "text", "who gives the result", choices=get_args(Presenter), default="winner"
        ),
        "synthesizer": Key("slot", "of presenter `synthesis`: the agent that makes one of all"),
        "timeout": Key("duration", "time for each reply", minimum=0),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "success_count": Fact("agents that answered the task"),
        "rounds": Fact("times the answers were refined"),
        "converged": Fact("whether it is settled"),
        "agreement": Fact("the weight behind the answer, from 0 to 1"),
        "threshold": Fact("what it had to reach"),
        "winner": Fact("the agent whose answer it is"),
        "votes": Fact("agent → whose answer it stands for"),
        "reasons": Fact("agent → why it does, if it said"),
        "revisions": Fact("agent → how often it revised its answer"),
        "shown_as": Fact("agent → its name in the last round"),
        "tie_broken": Fact("whether several answers had the most weight"),
        "presenter": Fact("the agent that gave the result, or `verbatim`"),
        "errors": Fact("agent that failed → class and text"),
        "degraded": Fact("true: it is not settled, or something is missing"),
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
        protocol: Protocol = "rounds",
        weights: Mapping[str, float] | None = None,
        presenter: Presenter | None = None,
        synthesizer: Slot | None = None,
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
            similarity=similarity,
            weights=weights,
            timeout=timeout,
        )
        slots = [*agents, *([synthesizer] if synthesizer is not None else [])]
        super().__init__(
            name, slots, description=description, limits=limits, error_strategy=error_strategy
        )
        self._agents = [slot_name(slot, where) for slot in agents]
        self._synthesizer = slot_name(synthesizer, where) if synthesizer is not None else ""
        self.presenter: Presenter = presenter or ("synthesis" if synthesizer else "winner")
        check_voices(where, self._agents)
        for key, value, known in (
            ("convergence", convergence, get_args(Measure)),
            ("protocol", protocol, get_args(Protocol)),
            ("presenter", self.presenter, get_args(Presenter)),
        ):
            if value not in known:
                raise ConfigError(f"{where}: {key} is {value!r}, not one of {known}")
        if (self.presenter == "synthesis") != bool(self._synthesizer):
            raise ConfigError(
                f"{where}: presenter 'synthesis' and a synthesizer go together; give both or none"
            )
        if protocol == "vote" and convergence != "vote":
            raise ConfigError(
                f"{where}: convergence {convergence!r} goes with protocol 'rounds'; under 'vote' votes count"
            )
        check_part(where, "threshold", threshold)
        check_part(where, "similarity", similarity)
        self.weights = dict(weights or {})
        check_weights(where, self.weights, self._agents)
        self.threshold = threshold
        self.max_rounds = max_rounds
        self.convergence: Measure = convergence
        self.similarity = similarity
        self.protocol: Protocol = protocol
        self.timeout = timeout

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        return cls(name, agents, limits=limits, **cls.settings(config, f"consensus {name!r}"))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """Answers, what the agents make of each other's, and who presents."""
        shared = Step(f"agreement ≥ {self.threshold:.2g}?", "choice")
        for agent in self._agents:
            yield Edge(START, agent)
            yield Edge(agent, shared, "answer")
            yield Edge(
                shared, agent, f"answers of all, {self.max_rounds} rounds at most", maybe=True
            )
        if self._synthesizer:
            yield Edge(shared, self._synthesizer)
        yield Edge(self._synthesizer or shared, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Have all agents answer, refine until they agree, then present."""
        panel = Panel(caller, self._agents, self.timeout, self.error_strategy)
        seed = "\n".join((message.text, *self._agents))
        state = _State(panel, json_payload(message), seed)
        replies = await panel.hear("answer", message)
        panel.check(self.name, len(replies), 1)
        state.own = {agent: Answer(reply, agent) for agent, reply in replies.items()}
        state.answers = dict(state.own)
        if len(state.answers) > 1:
            await self._refine(state)
        groups = self._groups(state)
        leader, agreement = groups[0], self._agreement(groups)
        converged = state.settled or reaches(agreement, self.threshold)
        if not converged and not state.stopped and not self._goes_on:
            raise AgentRefused(
                f"no consensus in {self.name!r} after {state.rounds} of {self.max_rounds} rounds: {agreement:.2f} for "
                f"{leader.answer.text[:SHOWN]!r}, {self.threshold:.2f} is needed"
            )
        facts: dict[str, JSONValue] = {
            "success_count": len(replies),
            "rounds": state.rounds,
            "converged": converged,
            "agreement": agreement,
            "threshold": self.threshold,
            "winner": leader.answer.author,
            "votes": {agent: answer.author for agent, answer in state.answers.items()},
            "tie_broken": is_tied(group.weight for group in groups),
        }
        reply = await self._presented(state, leader, caller, facts)
        if state.shown is not None:
            facts["shown_as"] = dict(state.shown.ids)
        facts["reasons"] = {a: found.reason for a, found in state.answers.items() if found.reason}
        facts["revisions"] = {a: found.revisions for a, found in state.own.items()}
        return self.result(
            reply,
            degraded=True if not converged else None,
            stopped_by=state.stopped or None,
            errors=panel.errors or None,
            **facts,
        )

    @property
    def _goes_on(self) -> bool:
        return self.error_strategy is not None and self.error_strategy.goes_on

    def _groups(self, state: _State) -> list[Group]:
        return groups_of(state.answers, self.weights, self.convergence, self.similarity)

    def _agreement(self, groups: Sequence[Group]) -> float:
        return groups[0].weight / sum(group.weight for group in groups)

    # -- refining -----------------------------------------------------------------------------------------

    async def _refine(self, state: _State) -> None:
        """Rounds, until it is settled or there are no more."""
        most = min(self.max_rounds, self.limits.max_iterations)
        by_vote = self.protocol == "vote"
        while by_vote or not reaches(self._agreement(self._groups(state)), self.threshold):
            if state.rounds == most:
                state.stopped = "max_iterations" if most < self.max_rounds else ""
                return
            state.shown = Shown(state.answers, f"{state.seed}\n{state.rounds}")
            moves = await self._moves(state, state.shown)
            if not moves:
                state.stopped = state.panel.stopped_by
                return
            state.rounds += 1
            if self._apply(state, moves) and by_vote:
                state.settled = True
                return

    async def _moves(self, state: _State, shown: Shown) -> dict[str, Move]:
        """What every agent that can still be asked says to the answers."""
        actions = ACTIONS["protocol" if self.protocol == "vote" else self.convergence]
        shared: dict[str, JSONValue] = {
            "task": state.task,
            "round": state.rounds + 1,
            "of": self.max_rounds,
            "answers": shown.payloads,
            "instructions": f"Compare the answers. Reply with JSON, one of: {'; '.join(actions.values())}.",
        }

        async def read(agent: str, ask: Ask) -> Move:
            asked: dict[str, JSONValue] = {**shared, "yours": shown.ids[agent]}
            move = shown.read(await ask(Message(asked, type="consensus"), ""), actions)
            for attempt in range(2, CORRECTIONS + 2):
                if not move.wrong:
                    break
                again = Message(
                    {**asked, "correction": f"Your reply does not do: {move.wrong}."},
                    type="consensus",
                )
                move = shown.read(await ask(again, f"~{attempt}"), actions)
            return move

        return await state.panel.turn(f"refine[{state.rounds + 1}]", read, extra=True)

    def _apply(self, state: _State, moves: Mapping[str, Move]) -> bool:
        """Take the moves of a round together; whether nobody gave a new answer.

        Support is for the answer that was shown, so that it stays when that agent revises in the same round. Under the
        vote protocol a new answer clears all votes.
        """
        before = dict(state.answers)
        new = {agent: move for agent, move in moves.items() if move.answer is not None}
        for agent, move in new.items():
            assert move.answer is not None
            revisions = state.own[agent].revisions + 1
            made = Answer(move.answer, agent, revisions, move.reason)
            state.own[agent] = state.answers[agent] = made
        if new and self.protocol == "vote":
            return False
        for agent, move in moves.items():
            if move.supports:
                found = before[move.supports]
                state.answers[agent] = Answer(
                    found.message, found.author, found.revisions, move.reason
                )
        return not new

    # -- presenting ---------------------------------------------------------------------------------------

    async def _presented(
        self, state: _State, leader: Group, caller: Caller, facts: dict[str, JSONValue]
    ) -> Message:
        """The result: what the presenter makes of it, else the answer as it was given."""
        author = leader.answer.author
        able = author in state.panel.agents and not state.stopped
        target = {"synthesis": self._synthesizer, "winner": author if able else ""}.get(
            self.presenter, ""
        )
        facts["presenter"] = "verbatim"
        if not target or state.stopped or len(state.answers) == 1:
            return leader.answer.message
        final = Shown({**state.own, author: leader.answer}, f"{state.seed}\nresult")
        votes: list[JSONValue] = [
            {"agent": final.ids[agent], "for": final.ids[found.author], "reason": found.reason}
            for agent, found in state.answers.items()
            if found.author != agent
        ]
        asked: dict[str, JSONValue] = {
            "task": state.task,
            "answers": final.payloads,
            "chosen": final.ids[author],
            "votes": votes,
            "instructions": TO_PRESENTER,
        }
        key = CallContext.current().child_key(f"present/{target}")
        try:
            given = Message(asked, type="consensus_result")
            reply = await caller.call(target, given, timeout=self.timeout, key=key)
        except AixgoError as exc:
            if self.error_strategy is not None and not self._goes_on:
                raise
            CallContext.current().check_deadline()
            state.panel.errors[target] = described(exc)
            return leader.answer.message
        facts["presenter"] = target
        return reply


PATTERN = Consensus
