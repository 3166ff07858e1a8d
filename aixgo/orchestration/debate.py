"""Debate: agents argue in rounds, each having read the others, until they agree, a judge decides, or they have voted.

A debater gets a JSON object of type `debate`: `question`, its `stance`, `round`, `of` how many, `arguments` (agent →
what it said last) and `instructions` for models. Whatever it answers is its argument; its position is metadata
`category`, else the text.

A judge gets one of type `debate_judgement`: `question`, `stances`, `rounds` (a list of agent → argument), `final` and
`instructions`. It decides by JSON with `winner`, a debater's name, or with an `answer` of its own, each with a
`reason` if it likes; by metadata `winner`; or by text that is a debater's name, also behind `WINNER:`. Anything else
goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.domain import plain
from aixgo.errors import AgentRefused, AixgoError, ConfigError, InvalidMessage
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import (
    Panel,
    ballots_of,
    check_known,
    check_part,
    check_voices,
    fields_of,
    is_tied,
    reaches,
    reason_in,
    votes_of,
)
from aixgo.orchestration._facts import said_of_answer
from aixgo.orchestration._named import meant
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
    ends_run,
    list_of,
    slot_name,
)
from aixgo.voting import Verdict, vote

__all__ = ["PATTERN", "Debate"]

ROUNDS = 3
MARKER = re.compile(r"\A\s*winner:", re.IGNORECASE)
SHOWN = 60  # characters of a judge's answer that an error repeats
TO_DEBATERS = (
    "Argue your stance on the question. Answer the strongest of the other arguments; "
    "change your position only if one of them convinces you."
)
TO_JUDGE = (
    'Decide who argued best. Reply with JSON: {"winner": "<name>", "reason": "…"}; or, when none of them is right, '
    '{"answer": "…", "reason": "…"}; or {"undecided": true} to hear another round.'
)
TO_JUDGE_AT_LAST = "This was the last round, you have to decide: name a winner or give an answer. "


class _Judgement(NamedTuple):
    """What a judge decided: a winner or an answer of its own; neither is undecided."""

    winner: str = ""
    answer: JSONValue = None
    reason: str = ""
    said: str = ""

    @property
    def decided(self) -> bool:
        return bool(self.winner) or self.answer is not None


class Debate(Orchestrator):
    """Agents that argue with each other, at least two.

    All speak at once in each of `rounds`, and read the others in the next. When the positions agree by `threshold`
    (the part of the debaters who share one) the debate is over. A `judge` is asked after every round and may end it,
    after the last one it has to; when it still names nobody, asked twice, the run fails. Without a judge the last
    positions are put to the vote: most of them, then mean confidence, then the order of the agents. `early_end=False`
    holds all rounds and asks the judge once.

    A debater that fails keeps its last argument and is asked no more; the first round needs two, and when one is left
    that round is the last; when nobody is, the judge decides on what was said. When time or budget ends a later round,
    or `max_iterations` is less than `rounds`, the last positions decide, and `stopped_by` says so. Under the error
    strategy "continue" a judge that fails leaves it to the vote.
    """

    pattern = "debate"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "stances": Key("mapping", "agent → the stance it argues"),
        "rounds": Key("integer", "times each agent speaks", default=ROUNDS, minimum=1),
        "judge": Key("slot", "the agent that decides, and may end the debate"),
        "threshold": Key(
            "number", "part of the agents whose agreement ends it", default=1, minimum=0, maximum=1
        ),
        "early_end": Key("boolean", "whether it may end before its last round", default=True),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "rounds": Fact("rounds that were held"),
        "agreement": Fact("the part of the debaters that shared a position at the end"),
        "agreements": Fact("the same after each round"),
        "converged": Fact("whether that reached the threshold"),
        "decided_by": Fact("`consensus`, `judge` or `vote`"),
        "winner": Fact("the agent whose position it is; none when the judge gave its own answer"),
        "reason": Fact("why the judge decided so", seen=False),
        "votes": Fact("position → debaters who had it at the end"),
        "tie_broken": Fact("whether several positions had the most votes"),
        "stances": Fact("agent → the stance it argued"),
        "errors": Fact("agent that failed → class and text"),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        stances: Mapping[str, str] | None = None,
        rounds: int = ROUNDS,
        judge: Slot | None = None,
        threshold: float = 1.0,
        early_end: bool = True,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"debate {name!r}"
        agents = list_of(agents, where)
        check_given(
            self.config_keys,
            where,
            stances=stances,
            rounds=rounds,
            threshold=threshold,
            early_end=early_end,
        )
        slots = [*agents, *([judge] if judge is not None else [])]
        super().__init__(
            name,
            slots,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._agents = [slot_name(slot, where) for slot in agents]
        self._judge = slot_name(judge, where) if judge is not None else ""
        check_voices(where, self._agents, least=2)
        if self._judge in self._agents:
            raise ConfigError(f"{where}: {self._judge!r} is judge and debater; give it one part")
        self.stances = dict(stances or {})
        check_known(where, "stances", self.stances, self._agents)
        for agent, stance in self.stances.items():
            if not str(stance).strip() or stance.__class__ is not str:  # a file may say anything
                raise ConfigError(f"{where}: the stance of {agent!r} is {stance!r}; it is a text")
        check_part(where, "threshold", threshold)
        self.rounds = rounds
        self.threshold = threshold
        self.early_end = early_end

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        return cls(name, agents, limits=limits, **cls.settings(config, f"debate {name!r}"))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """Rounds, and who decides."""
        held = Step(f"a round, {min(self.rounds, max(1, self.limits.max_iterations))} at most")
        last: Place = self._judge or Step(f"agreement ≥ {self.threshold:g}, or vote", "choice")
        yield Edge(START, held)
        for agent in self._agents:
            yield Edge(held, agent)
            yield Edge(agent, last, "argument")
        yield Edge(last, held, "another round", maybe=True)
        yield Edge(last, END, "decision")

    async def run(self, message: Message, caller: Caller) -> Message:
        """Hold the debate, then decide."""
        panel = Panel(caller, self._agents, self.error_strategy, after=bool(self._judge))
        question = json_payload(message)
        said: dict[str, Message] = {}
        held: list[JSONValue] = []
        agreements: list[JSONValue] = []
        stopped = ""
        judgement = _Judgement()
        most = min(self.rounds, max(1, self.limits.max_iterations))
        for number in range(1, most + 1):
            asked = self._asked(panel.agents, question, number, said)
            replies = await panel.hear(f"round[{number}]", asked, extra=bool(said))
            if not said:
                panel.check(self.name, len(replies), 2)
            if not replies:
                stopped = panel.stopped_by
                if self._judge and stopped == "failures":
                    judgement = await self._judged(panel, question, held, said, last=True)
                break
            newest = {**said, **replies}
            said = {agent: newest[agent] for agent in self._agents if agent in newest}
            held.append({agent: json_payload(reply) for agent, reply in replies.items()})
            verdict = vote(ballots_of(said))
            agreements.append(verdict.agreement)
            alone = len(panel.agents) < 2
            last = number == most or alone
            if reaches(verdict.agreement, self.threshold) and (self.early_end or last):
                break
            if self._judge and (self.early_end or last):
                judgement = await self._judged(panel, question, held, said, last=last)
                if judgement.decided:
                    break
            if last:
                cut = "max_iterations" if most < self.rounds else ""
                stopped = panel.stopped_by if alone else cut
                break
        facts: dict[str, JSONValue] = {
            "rounds": len(held),
            "agreements": agreements,
            "stances": self.stances,  # type: ignore[dict-item]  # text by text
            "errors": panel.errors or None,
            "stopped_by": stopped or None,
        }
        reply, decided = self._decided(said, vote(ballots_of(said)), judgement)
        return self.result(reply, **facts, **decided)

    def _asked(
        self, agents: Sequence[str], question: JSONValue, number: int, said: Mapping[str, Message]
    ) -> dict[str, Message]:
        """What each debater gets in a round."""
        arguments: dict[str, JSONValue] = {
            agent: json_payload(reply) for agent, reply in said.items()
        }
        shared: dict[str, JSONValue] = {
            "question": question,
            "round": number,
            "of": self.rounds,
            "arguments": arguments,
            "instructions": TO_DEBATERS,
        }
        stances = dict.fromkeys(self.stances.get(agent, "") for agent in agents)
        asked = {  # one message for all who argue the same: it holds what everybody said
            stance: Message({**shared, "stance": stance}, type="debate") for stance in stances
        }
        return {agent: asked[self.stances.get(agent, "")] for agent in agents}

    # -- deciding -----------------------------------------------------------------------------------------

    async def _judged(
        self,
        panel: Panel,
        question: JSONValue,
        held: Sequence[JSONValue],
        said: Mapping[str, Message],
        *,
        last: bool,
    ) -> _Judgement:
        """What the judge says after a round; undecided too when the run goes on without it."""
        asked: dict[str, JSONValue] = {
            "question": question,
            "stances": self.stances,  # type: ignore[dict-item]  # text by text
            "rounds": list(held),
            "final": last,
            "instructions": f"{TO_JUDGE_AT_LAST if last else ''}{TO_JUDGE}",
        }
        key = CallContext.current().child_key(f"judge[{len(held)}]")
        try:
            found = await self._ask_judge(panel, asked, key, said)
            if last and not found.decided:
                asked["correction"] = f"You said {found.said[:SHOWN]!r}, which decides nothing."
                found = await self._ask_judge(panel, asked, f"{key}~again", said)
        except AixgoError as exc:
            if not panel.goes_on or ends_run(exc, CallContext.current()):
                raise
            return _Judgement()
        if last and not found.decided:
            raise AgentRefused(
                f"the judge {self._judge!r} of {self.name!r} never decided: at last it said {found.said[:SHOWN]!r}; "
                f"it has to name one of {', '.join(said)}, or give an answer"
            )
        return found

    async def _ask_judge(
        self, panel: Panel, asked: Mapping[str, JSONValue], key: str, said: Mapping[str, Message]
    ) -> _Judgement:
        given = Message(dict(asked), type="debate_judgement")
        reply = await panel.beside(self._judge, given, key, extra=panel.goes_on)
        fields = fields_of(reply)
        reason = reason_in(fields)
        for named in (fields.get("winner"), said_of_answer(reply).get("winner"), reply.text):
            if isinstance(named, str) and (winner := meant(MARKER.sub("", named), said)):
                return _Judgement(winner=winner, reason=reason)
        try:
            answer = plain(fields.get("answer"), "answer")
        except InvalidMessage:  # a text may hold what no message does
            answer = None
        return _Judgement(answer=answer, reason=reason, said=reply.text)

    def _decided(
        self, said: Mapping[str, Message], verdict: Verdict, judgement: _Judgement
    ) -> tuple[Message, dict[str, JSONValue]]:
        """The position that holds, and what there is to say of how it came to that."""
        converged = reaches(verdict.agreement, self.threshold)
        facts: dict[str, JSONValue] = {
            "agreement": verdict.agreement,
            "votes": votes_of(verdict),
            "converged": converged,
            "tie_broken": False,
        }
        if judgement.decided:
            facts |= {"decided_by": "judge", "reason": judgement.reason}
            if not judgement.winner:
                return Message(judgement.answer, type="debate"), facts
            winner = judgement.winner
        else:
            winner = verdict.source
            facts["decided_by"] = "consensus" if converged else "vote"
            facts["tie_broken"] = is_tied(verdict.votes.values())
        return said[winner], {"winner": winner, **facts}


PATTERN = Debate
