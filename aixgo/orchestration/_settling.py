"""One deliberation: agents answer without seeing each other, then refine in rounds until enough stand for one answer.

Below: `_settings`, `_refining`, `_agreement`, `_embedding`. Above: `_presenting`, consensus.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from aixgo.errors import AgentRefused, AixgoError
from aixgo.message import JSONValue, Message
from aixgo.orchestration._agreement import Group, Likeness, Words, groups_of
from aixgo.orchestration._deliberation import Ask, Panel, is_tied, reaches, stop_of
from aixgo.orchestration._embedding import Vectors
from aixgo.orchestration._facts import Fact
from aixgo.orchestration._partial import fitting, shortened
from aixgo.orchestration._refining import MAKES, Answer, Move, Shown, instructions, normal
from aixgo.orchestration._settings import Rules

__all__ = ["CORRECTIONS", "TALK_FACTS", "Deliberation"]

CORRECTIONS = 2  # of a reply that is none of those asked for
SHOWN = 60  # characters of an answer that an error repeats
MAX_HISTORY = 32  # rounds kept of a deliberation: the last ones

TALK_FACTS: Mapping[str, Fact] = {
    "success_count": Fact("agents that answered the task"),
    "rounds": Fact("times the answers were refined"),
    "converged": Fact("whether it is settled"),
    "agreement": Fact("the weight behind the answer, from 0 to 1"),
    "threshold": Fact("what it had to reach"),
    "winner": Fact("the agent whose answer it is"),
    "votes": Fact("agent → whose answer it stands for"),
    "reasons": Fact("agent → why it does, if it said"),
    "revisions": Fact("agent → how often it revised its answer"),
    "history": Fact(
        "of the last 32 rounds the `round` and its `moves`: agent → `action`, and `for` whom"
    ),
    "shown_as": Fact("agent → its name in the last round"),
    "tie_broken": Fact("whether several answers had the most weight"),
    "degraded": Fact("true: it is not settled, or something is missing"),
}
"""What a result says of its deliberation."""


@dataclass(slots=True)
class Deliberation:
    """Where it stands; `step` is what the keys of its calls begin with."""

    rules: Rules
    panel: Panel
    task: JSONValue
    seed: str
    step: str = ""
    vectors: Vectors | None = None
    own: dict[str, Answer] = field(default_factory=dict)
    """The last answer of each agent."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """The answer each agent stands for."""
    groups: list[Group] = field(default_factory=list)
    """Who stands together, heaviest first."""
    rounds: int = 0
    shown: Shown | None = None
    settled: bool = False
    stopped: str = ""
    history: deque[JSONValue] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))
    _words: Words = field(default_factory=Words)

    @property
    def leader(self) -> Group:
        return self.groups[0]

    @property
    def agreement(self) -> float:
        return self.leader.weight / sum(group.weight for group in self.groups)

    @property
    def converged(self) -> bool:
        return self.settled or reaches(self.agreement, self.rules.threshold)

    # -- rounds -------------------------------------------------------------------------------------------

    async def answer(self, message: Message, *, extra: bool) -> int:
        """Have all answer without seeing each other; how many did."""
        asked = list(self.panel.agents)
        replies = await self.panel.hear(f"{self.step}answer", message, extra=extra)
        self.own = {agent: Answer(reply, agent) for agent, reply in replies.items()}
        self.answers = dict(self.own)
        self._note({a: {"action": "answer" if a in replies else "failed"} for a in asked})
        return len(replies)

    async def refine(self, most: int) -> None:
        """At most `most` rounds, until it is settled; none with a single answer."""
        rules = self.rules
        most = min(rules.max_rounds, most)
        if not await self._measure() or len(self.answers) == 1:
            return
        while rules.by_vote or not self.converged:
            if self.rounds == most or not self._movable:
                self.stopped = "max_iterations" if self.rounds == most < rules.max_rounds else ""
                return
            self.shown = Shown(self.answers, f"{self.seed}\n{self.rounds}")
            moves = await self._moves(self.shown)
            if not moves:
                self.stopped = self.panel.stopped_by
                return
            self.rounds += 1
            self._apply(moves)
            if not await self._measure():
                return
            if rules.by_vote and all(move.supports or move.stands for move in moves.values()):
                self.settled = True
                return

    @property
    def _movable(self) -> bool:
        """Whether somebody is left who could change where it stands."""
        return not self.panel.agents or any(self._asked(agent) for agent in self.panel.agents)

    def _asked(self, agent: str) -> bool:
        """Whether it can say anything but that it keeps its answer."""
        return set(self._may(agent)) != {"keep"}

    def _may(self, agent: str) -> Mapping[str, str]:
        """What an agent may still say."""
        actions, most = self.rules.actions, self.rules.max_answers
        if most is None or self.own[agent].revisions + 1 < most:
            return actions
        return {action: told for action, told in actions.items() if action not in MAKES}

    async def _moves(self, shown: Shown) -> dict[str, Move]:
        """What every agent that can still be asked says to the answers."""
        rules = self.rules
        shared: dict[str, JSONValue] = {
            "task": self.task,
            "round": self.rounds + 1,
            "of": rules.max_rounds,
            "answers": shown.payloads,
        }

        async def read(agent: str, ask: Ask) -> Move:
            if not self._asked(agent):
                return Move()
            may = self._may(agent)
            told = instructions(may, rules.sensitivity, rules.novelty)
            asked: dict[str, JSONValue] = {
                **shared,
                "yours": shown.ids[agent],
                "instructions": told,
            }
            reply = await ask(Message(asked, type="consensus"), "")
            move = shown.read(reply, may, rules.novelty)
            for attempt in range(2, CORRECTIONS + 2):
                if not move.wrong:
                    break
                asked["correction"] = f"Your reply does not do: {move.wrong}."
                reply = await ask(Message(asked, type="consensus"), f"~{attempt}")
                move = shown.read(reply, may, rules.novelty)
            return move

        return await self.panel.turn(f"{self.step}refine[{self.rounds + 1}]", read, extra=True)

    def _apply(self, moves: Mapping[str, Move]) -> None:
        """Take the moves of a round together.

        Support is for the answer that was shown, so that it stays when that agent revises in the same round. Under the
        vote protocol a new answer clears all votes.
        """
        before = dict(self.answers)
        new = {agent: move for agent, move in moves.items() if move.answer is not None}
        cleared = bool(new) and self.rules.by_vote
        for agent, move in new.items():
            assert move.answer is not None
            revisions = self.own[agent].revisions + 1
            made = Answer(move.answer, agent, revisions, move.reason)
            self.own[agent] = self.answers[agent] = made
        for agent, move in moves.items():
            if move.supports and not cleared:
                found = before[move.supports]
                self.answers[agent] = Answer(
                    found.message, found.author, found.revisions, move.reason
                )
        self._note({a: self._told(moves.get(a), before, cleared) for a in self.own})

    async def _measure(self) -> bool:
        """Find who stands together; False when that cannot be told by what was to tell it."""
        rules, able = self.rules, True
        likeness: Likeness | None = None
        if rules.convergence == "similarity":
            likeness = self._words
            if self.vectors is not None:
                likeness = self.vectors
                able = await self._learn(self.vectors)
        self.groups = groups_of(self.answers, rules.weights, likeness, rules.similarity)
        return able

    async def _learn(self, vectors: Vectors) -> bool:
        texts = [answer.text for answer in self.answers.values()]
        if len({normal(text) for text in texts}) == 1:
            return True
        try:
            await vectors.learn(texts, f"{self.step}embed[{self.rounds}]")
        except AixgoError as exc:
            if not self.panel.goes_on and stop_of(exc) == "failures":
                raise
            self.panel.forgive(vectors.target, exc)
            self.stopped = stop_of(exc)
            return False
        return True

    # -- what is told of it -------------------------------------------------------------------------------

    def _note(self, moves: Mapping[str, JSONValue]) -> None:
        self.history.append({"round": self.rounds, "moves": dict(moves)})

    @staticmethod
    def _told(move: Move | None, before: Mapping[str, Answer], cleared: bool) -> JSONValue:
        """A move for the history; None of an agent that failed in this round or before."""
        if move is None:
            return {"action": "failed"}
        told: dict[str, JSONValue] = {"action": move.action}
        if move.supports:
            told["for"] = before[move.supports].author
            if cleared:
                told["cleared"] = True
        if move.wrong:
            told["unread"] = True
        return told

    def facts(self) -> dict[str, JSONValue]:
        """What a result's metadata says of it."""
        facts: dict[str, JSONValue] = {
            "success_count": len(self.own),
            "rounds": self.rounds,
            "converged": self.converged,
            "agreement": self.agreement,
            "threshold": self.rules.threshold,
            "winner": self.leader.answer.author,
            "votes": {agent: answer.author for agent, answer in self.answers.items()},
            "tie_broken": is_tied(group.weight for group in self.groups),
            "reasons": {a: found.reason for a, found in self.answers.items() if found.reason},
            "revisions": {agent: found.revisions for agent, found in self.own.items()},
            "history": [*self.history],
        }
        if self.shown is not None:
            facts["shown_as"] = dict(self.shown.ids)
        if not self.converged:
            facts["degraded"] = True
        if self.stopped:
            facts["stopped_by"] = self.stopped
        return facts

    def failure(self, name: str) -> AgentRefused:
        """That the pattern `name` did not settle, with what an error may carry of how far it came."""
        refused = AgentRefused(
            f"no consensus in {name!r} after {self.rounds} of {self.rules.max_rounds} rounds: {self.agreement:.2f} for "
            f"{self.leader.answer.text[:SHOWN]!r}, {self.rules.threshold:.2f} is needed"
        )
        refused.partial = self._partial()
        return refused

    def _partial(self) -> list[JSONValue]:
        """Each agent's last answer, whose it stands for, why, and who failed."""
        agents = list(dict.fromkeys([*self.own, *self.panel.errors]))

        def shown(most: int) -> list[JSONValue]:
            return [self._entry(agent, most) for agent in agents]

        return fitting(shown, len(agents))

    def _entry(self, agent: str, most: int) -> dict[str, JSONValue]:
        found: dict[str, JSONValue] = {"agent": agent}
        if (own := self.own.get(agent)) is not None:
            stands = self.answers[agent]
            found |= {**shortened(own.message, most), "stands_for": stands.author}
            if stands.reason:
                found["reason"] = stands.reason[:most]
        if agent in self.panel.errors:
            found["error"] = self.panel.errors[agent]
        return found
