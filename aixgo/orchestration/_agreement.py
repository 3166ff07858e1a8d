"""Who stands for the same answer: by what the answers say, by how alike their words are, or by their vectors.

Below: `_refining`. Above: `_settling`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, Protocol, TypeAlias

from aixgo.orchestration._deliberation import TOLERANCE
from aixgo.orchestration._refining import Answer, normal

__all__ = ["Group", "Likeness", "Measure", "Words", "clusters", "groups_of"]

Measure: TypeAlias = Literal["vote", "exact", "similarity"]

WORDS = re.compile(r"\w+")


class Likeness(Protocol):
    """What says how alike two texts are."""

    def alike(self, one: str, other: str) -> float:
        """From 0 to 1, whichever of the two comes first."""
        ...


class Words:
    """Texts are as alike as their words: the cosine of how often each has which."""

    def __init__(self) -> None:
        self._known: dict[str, Counter[str]] = {}

    def alike(self, one: str, other: str) -> float:
        """From 0, no word in common, to 1."""
        mine, yours = self._counts(one), self._counts(other)
        lengths = math.hypot(*mine.values()) * math.hypot(*yours.values())
        return sum(count * yours[word] for word, count in mine.items()) / lengths if lengths else 0

    def _counts(self, text: str) -> Counter[str]:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = Counter(WORDS.findall(text.casefold()))
        return found


@dataclass(slots=True)
class Group:
    """Agents that stand for one answer."""

    answer: Answer
    backers: list[str]
    weight: float


def groups_of(
    answers: Mapping[str, Answer],
    weights: Mapping[str, float],
    likeness: Likeness | None = None,
    cut: float = 1.0,
) -> list[Group]:
    """The groups, heaviest first; of equal ones that with fewer revisions, then that of the agent given first.

    Those who say the same stand together; with a `likeness` also those whose answers are all alike by `cut`.
    """
    same: dict[str, list[str]] = {}
    for agent, answer in answers.items():
        same.setdefault(normal(answer.text), []).append(agent)
    together = list(same.values())
    if likeness is not None:
        texts = [answers[agents[0]].text for agents in together]
        joined = clusters(texts, likeness, cut)
        together = [[agent for i in group for agent in together[i]] for group in joined]
    order = {agent: place for place, agent in enumerate(answers)}
    groups = []
    for found in together:
        backers = sorted(found, key=lambda agent: order[agent])
        shown = min((answers[agent] for agent in backers), key=lambda answer: answer.revisions)
        groups.append(Group(shown, backers, sum(weights.get(agent, 1.0) for agent in backers)))
    groups.sort(key=lambda g: (g.answer.revisions, order.get(g.answer.author, 0)))
    heaviest = max(group.weight for group in groups)
    groups.sort(key=lambda g: 0.0 if g.weight >= heaviest - TOLERANCE else heaviest - g.weight)
    return groups


def clusters(texts: Sequence[str], likeness: Likeness, cut: float) -> list[list[int]]:
    """Complete-link clusters of `texts`, by their places: every two of one cluster are alike by `cut`.

    The two most alike are joined first; of equally alike ones the first.
    """
    found = {place: [place] for place in range(len(texts))}
    near = {
        (i, j): likeness.alike(texts[i], texts[j]) for i, j in combinations(range(len(texts)), 2)
    }
    while near:
        closest = max(near, key=lambda pair: near[pair])
        if near.pop(closest) < cut - TOLERANCE:
            break
        kept, joined = closest
        found[kept] += found.pop(joined)
        for other in found:
            if other != kept:
                pair = (min(kept, other), max(kept, other))
                gone = (min(joined, other), max(joined, other))
                near[pair] = min(near[pair], near.pop(gone))
    return [sorted(places) for places in found.values()]
