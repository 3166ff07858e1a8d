"""How agents come to share an answer: what they are shown of each other, what they say to it, and who stands for what.

Answers are shown without names, as `agent1` and on, in an order shuffled by a seed, and those that say the same once.
An agent replies with one JSON object, or with text that begins with the action:

    {"action": "keep"}                                            KEEP
    {"action": "revise", "answer": …}                             REVISE: the new answer
    {"action": "support", "agent": "agent1", "reason": "…"}       SUPPORT agent1: the reason

and, under the vote protocol, `vote` in place of `support` and `new_answer` in place of `revise`.

Below: `_deliberation`. Above: consensus.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import TOLERANCE, choice, fields_of
from aixgo.orchestration._payloads import json_payload

__all__ = ["ACTIONS", "Answer", "Group", "Measure", "Move", "Shown", "groups_of", "normal"]

Measure: TypeAlias = Literal["vote", "exact", "similarity"]

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
    wrong: str = ""
    """What is wrong with a reply that is none of these."""


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

    def read(self, reply: Message, actions: Mapping[str, str]) -> Move:
        """What `reply` says, of what it may say."""
        fields = fields_of(reply)
        action = str(fields.get("action", "")).casefold()
        if not fields:
            fields, action = _spoken(reply.text)
        if action not in actions:
            return Move(wrong="it is none of the replies asked for")
        if "answer" in fields and "agent" in fields:
            return Move(wrong="it names an agent and gives an answer; do one of the two")
        if action == "keep":
            return Move()
        reason = str(fields.get("reason", ""))
        if action in ("support", "vote"):
            named = str(fields.get("agent", "")).casefold()
            if named not in self.who:
                return Move(wrong=f"{named!r} is nobody; there are {', '.join(self.who)}")
            return Move(supports=self.who[named][0], reason=reason)
        answer = fields.get("answer")
        if answer is None or answer == "":
            return Move(wrong="it gives no answer")
        made = Message(answer)
        same = self._known.get(normal(choice(made)))
        if same is not None and action == "new_answer":
            return Move(wrong=f"that answer is there already, as {same}; vote for it")
        return Move(answer=made, reason=reason)


def _spoken(text: str) -> tuple[dict[str, JSONValue], str]:
    """A reply that is text, as the fields it would have as JSON, and its action."""
    found = SPOKEN.fullmatch(text)
    if found is None:
        return {}, ""
    action, rest = found[1].casefold(), found[2].strip()
    if action == "keep" and rest.strip(".!"):
        return {}, ""  # the beginning of a sentence
    if action in ("support", "vote"):
        named = NAMED.fullmatch(rest)
        return ({"agent": named[1], "reason": named[2]} if named else {"agent": rest}), action
    return ({"answer": rest} if rest else {}), action


# -- who stands for what ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """Agents that stand for one answer."""

    answer: Answer
    backers: list[str]
    weight: float


def groups_of(
    answers: Mapping[str, Answer], weights: Mapping[str, float], measure: Measure, cut: float
) -> list[Group]:
    """The groups, heaviest first; of equal ones that with fewer revisions, then that of the agent given first."""
    found: list[list[str]] = []
    for agent, answer in answers.items():
        for members in found:
            if all(_alike(answer.text, answers[one].text, measure, cut) for one in members):
                members.append(agent)
                break
        else:
            found.append([agent])
    groups = []
    for members in found:
        shown = min((answers[agent] for agent in members), key=lambda answer: answer.revisions)
        weight = sum(weights.get(agent, 1.0) for agent in members)
        groups.append(Group(shown, members, weight))
    order = {agent: place for place, agent in enumerate(answers)}
    groups.sort(key=lambda g: (g.answer.revisions, order.get(g.answer.author, 0)))
    heaviest = max(group.weight for group in groups)
    groups.sort(key=lambda g: 0.0 if g.weight >= heaviest - TOLERANCE else heaviest - g.weight)
    return groups


def normal(text: str) -> str:
    """What two answers that say the same have in common: case and blanks do not count."""
    return " ".join(text.casefold().split())


def _alike(one: str, other: str, measure: Measure, cut: float) -> bool:
    if normal(one) == normal(other):
        return True
    return measure == "similarity" and _cosine(one, other) >= cut - TOLERANCE


def _cosine(one: str, other: str) -> float:
    """How alike the words of two texts are, by the angle between their counts."""
    mine, yours = Counter(_words(one)), Counter(_words(other))
    lengths = math.hypot(*mine.values()) * math.hypot(*yours.values())
    return sum(count * yours[word] for word, count in mine.items()) / lengths if lengths else 0.0


def _words(text: str) -> Sequence[str]:
    return WORDS.findall(text.casefold())
