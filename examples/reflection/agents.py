"""A summariser that takes whole sentences, and two critics that measure what it took.

Everything is computed from the text: another text gives another abstract, other scores, other rounds.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TypedDict

from aixgo import AgentRefused, agent

WORD = re.compile(r"[^\W\d_]{5,}")  # shorter words say little about what a text is about
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
TOPICS = 12  # the words an abstract should have
LENGTH = 60  # words of an abstract that nobody calls long


class Work(TypedDict):
    task: str
    draft: str


class Critique(TypedDict):
    score: float
    missing: list[str]
    words_over: int


class Refinement(Work):
    critique: dict[str, Critique]


@agent
def summariser(task: str | Refinement) -> str:
    """The first sentence; each round adds one that names most of what is missing, and drops one if it is too long."""
    if isinstance(task, str):
        return next(iter(sentences(task)), "")
    draft, critique = sentences(task["draft"]), task["critique"]
    missing = set(critique["coverage"]["missing"])
    if critique["brevity"]["words_over"] > LENGTH and len(draft) > 1:
        draft.remove(max(draft, key=lambda sentence: len(sentence.split())))
    others = [sentence for sentence in sentences(task["task"]) if sentence not in draft]
    if others:
        draft.append(max(others, key=lambda s: len(missing & words(s)) / (8 + len(s.split()))))
    return " ".join(draft)


@agent
def coverage(work: Work) -> Critique:
    """How many of the text's topics the draft names."""
    topics = [word for word, _ in Counter(listed(work["task"])).most_common(TOPICS)]
    if not topics:
        raise AgentRefused("the text holds no words")
    missing = [word for word in topics if word not in words(work["draft"])]
    return {"score": 1 - len(missing) / len(topics), "missing": missing, "words_over": 0}


@agent
def brevity(work: Work) -> Critique:
    """Full marks up to the wanted length, none at three times as much."""
    over = max(0, len(work["draft"].split()) - LENGTH)
    return {"score": max(0.0, 1 - over / (2 * LENGTH)), "missing": [], "words_over": over}


def sentences(text: str) -> list[str]:
    """The sentences of `text`, each once, without line breaks."""
    return list(dict.fromkeys(s for s in SENTENCE_END.split(" ".join(text.split())) if s))


def listed(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def words(text: str) -> set[str]:
    return set(listed(text))
