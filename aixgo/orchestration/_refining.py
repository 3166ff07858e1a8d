"""How agents come to share an answer: what they are shown of each other, and what they say to it.

Answers are shown without names, as `agent1` and on, in an order shuffled by a seed, and those that say the same once.
An agent replies with one JSON object, or with text that begins with the action:

    {"action": "keep"}                                            KEEP
    {"action": "revise", "answer": …}                             REVISE: the new answer
    {"action": "support", "agent": "agent1", "reason": "…"}       SUPPORT agent1: the reason

and, under the vote protocol, `vote` in place of `support` and `new_answer` in place of `revise`.

Below: `_deliberation`. Above: `_agreement`, `_settling`, `_presenting`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import choice, fields_of, reason_in
from aixgo.orchestration._payloads import json_payload

__all__ = [
    "ACTIONS",
    "MAKES",
    "NOVELTY",
    "Answer",
    "Level",
    "Move",
    "Shown",
    "instructions",
    "normal",
    "spoken",
]

Level: TypeAlias = Literal["lenient", "balanced", "strict"]

KEEP = '{"action": "keep"} if yours is the best'
SUPPORT = '{"action": "support", "agent": "agent1", "reason": "…"} if another one is better'
REVISE = '{"action": "revise", "answer": …} if you can improve on all of them'
VOTE = '{"action": "vote", "agent": "agent1", "reason": "…"} if the best of them is good enough'
NEW = '{"action": "new_answer", "answer": …} if you can improve on all of them'

ACTIONS: Mapping[str, Mapping[str, str]] = {
    "vote": {"keep": KEEP, "support": SUPPORT, "revise": REVISE},
    "exact": {"keep": KEEP, "revise": REVISE},
    "similarity": {"keep": KEEP, "revise": REVISE},
    "protocol": {"vote": VOTE, "new_answer": NEW},
}
"""What an agent may say, by how support is measured; `protocol` is the vote protocol's."""

MAKES = ("revise", "new_answer")
"""The actions that give an answer."""

SENSITIVITY: Mapping[Level, str] = {
    "lenient": "Compare the answers.",
    "balanced": "Compare the answers, and check each against the task. One is good enough if it is right and leaves "
    "out nothing that matters; else improve on it.",
    "strict": "Compare the answers, and hold them to a high standard. One is good enough only if all it says is right, "
    "it is complete and clear, and you could not make it better; in doubt, improve on it.",
}
"""What models are told of when to stand for another's answer."""

NOVELTY: Mapping[Level, float] = {"lenient": 1.0, "balanced": 0.7, "strict": 0.5}
"""Of all the words of a new answer and one that is there, the part that both may have."""
TO_CHOOSE = " You have given as many answers as you may; choose among these."
TO_DIFFER = " A new answer has to be really another one, and no rewording."

SPOKEN = re.compile(r"\s*(\w+)[:\s]*(.*)", re.DOTALL)
NAMED = re.compile(r"(agent\d+)\b[:,.\s]*(.*)", re.DOTALL | re.IGNORECASE)
WORDS = re.compile(r"\w+")


@dataclass(slots=True, frozen=True)
class Answer:
    """What an agent stands for: whose answer it is, and how often that agent had revised it by then."""

    message: Message
    author: str
    revisions: int = 0
    reason: str = ""

    @property
    def text(self) -> str:
        return choice(self.message)


class Move(NamedTuple):
    """What an agent said to the others' answers: a new one, or whose it supports; neither keeps its own."""

    answer: Message | None = None
    supports: str = ""
    reason: str = ""
    action: str = "keep"
    wrong: str = ""
    """What is wrong with a reply that is none of these."""
    stands: bool = False
    """Whether it says at least that the agent holds to its own: it keeps it, or gives one that is not taken."""


def instructions(actions: Mapping[str, str], sensitivity: Level, novelty: Level) -> str:
    """What models are told to do with the answers."""
    told = SENSITIVITY[sensitivity]
    if not any(action in MAKES for action in actions):
        told += TO_CHOOSE
    elif novelty != "lenient":
        told += TO_DIFFER
    asked = "Reply with JSON, one of:" if len(actions) > 1 else "Reply with JSON:"
    return f"{told} {asked} {'; '.join(actions.values())}."


class Shown:
    """The answers as agents see them."""

    def __init__(self, answers: Mapping[str, Answer], seed: str) -> None:
        merged: dict[str, list[str]] = {}
        for agent, answer in answers.items():
            merged.setdefault(normal(answer.text), []).append(agent)
        order = list(merged.values())
        random.Random(seed).shuffle(order)
        self.ids = {agent: f"agent{i}" for i, agents in enumerate(order, 1) for agent in agents}
        self.who: dict[str, list[str]] = {f"agent{i}": agents for i, agents in enumerate(order, 1)}
        self.payloads: dict[str, JSONValue] = {
            shown: json_payload(answers[agents[0]].message) for shown, agents in self.who.items()
        }
        self._known = {found: self.ids[agents[0]] for found, agents in merged.items()}

    def read(self, reply: Message, actions: Mapping[str, str], novelty: Level = "lenient") -> Move:
        """What `reply` says, of the `actions` it may be."""
        fields = fields_of(reply)
        action = str(fields.get("action", "")).casefold()
        if not fields:
            fields, action = _said(reply.text)
        if action not in actions:
            if action in MAKES and not any(one in MAKES for one in actions):
                may = " or ".join(actions)
                wrong = f"you have given as many answers as you may; now {may}"
                return Move(wrong=wrong, stands=True)
            return Move(wrong="it is none of the replies asked for", stands=action == "keep")
        if "answer" in fields and "agent" in fields:
            return Move(wrong="it names an agent and gives an answer; do one of the two")
        if action == "keep":
            return Move()
        reason = reason_in(fields)
        if action in ("support", "vote"):
            named = str(fields.get("agent", "")).casefold()
            if named not in self.who:
                return Move(wrong=f"{named!r} is nobody; there are {', '.join(self.who)}")
            return Move(supports=self.who[named][0], reason=reason, action=action)
        answer = fields.get("answer")
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            return Move(wrong="it gives no answer")
        made = Message(answer)
        wrong = self._wrong(normal(choice(made)), action, novelty)
        return (
            Move(wrong=wrong, stands=True)
            if wrong
            else Move(answer=made, reason=reason, action=action)
        )

    def _wrong(self, made: str, action: str, novelty: Level) -> str:
        """What is wrong with a new answer: that it is there already, or nearly so."""
        stand = "vote for it" if action == "new_answer" else "support it, or keep yours"
        same = self._known.get(made)
        if same is not None and (action == "new_answer" or novelty != "lenient"):
            return f"that answer is there already, as {same}; {stand}"
        if novelty == "lenient":
            return ""
        for known, shown in self._known.items():
            shared = _shared(made, known)
            if shared > NOVELTY[novelty]:
                return (
                    f"it is too much like {shown}: {shared:.0%} of the words are the same, {NOVELTY[novelty]:.0%} may "
                    f"be; give a really different answer, or {stand}"
                )
        return ""


def spoken(text: str) -> tuple[str, str]:
    """The first word of a text, folded, and what follows."""
    found = SPOKEN.fullmatch(text)
    return ("", "") if found is None else (found[1].casefold(), found[2].strip())


def normal(text: str) -> str:
    """What two answers that say the same have in common: case and blanks do not count."""
    return " ".join(text.casefold().split())


def _said(text: str) -> tuple[dict[str, JSONValue], str]:
    """A reply that is text, as the fields it would have as JSON, and its action."""
    action, rest = spoken(text)
    if action == "keep" and rest.strip(".!"):
        return {}, ""  # the beginning of a sentence
    if action in ("support", "vote"):
        named = NAMED.fullmatch(rest)
        return ({"agent": named[1], "reason": named[2]} if named else {"agent": rest}), action
    return ({"answer": rest} if rest else {}), action


def _shared(one: str, other: str) -> float:
    """Of the words of two texts, the part that is in both (Jaccard)."""
    mine, yours = set(WORDS.findall(one)), set(WORDS.findall(other))
    return len(mine & yours) / len(mine | yours) if mine and yours else 0.0
