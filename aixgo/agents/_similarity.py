"""How alike answers are: linear in their length, so that long ones cannot exhaust memory.

Below: voting. Above: `aggregator`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from aixgo.voting import Ballot

__all__ = ["cluster", "consensus_level", "similarity"]

DEFAULT_WEIGHT = 0.5  # of an answer that states no confidence


def similarity(one: str, other: str) -> float:
    """The Dice coefficient of the two texts' words, 0 to 1; equal texts give 1, an empty one 0."""
    if one == other:
        return 1.0
    first, second = Counter(one.lower().split()), Counter(other.lower().split())
    size = first.total() + second.total()
    return 2 * (first & second).total() / size if first and second else 0.0


def consensus_level(answers: Sequence[Ballot], result: str) -> float:
    """0.6 · weighted mean similarity to `result` + 0.4 · mean pairwise similarity; one answer agrees with itself."""
    weights = [answer.confidence or DEFAULT_WEIGHT for answer in answers]
    near = sum(
        w * similarity(a.content, result) for w, a in zip(weights, answers, strict=True)
    ) / sum(weights)
    pairs = [similarity(a.content, b.content) for a, b in combinations(answers, 2)]
    among = sum(pairs) / len(pairs) if pairs else 1.0
    return round(min(1.0, max(0.0, 0.6 * near + 0.4 * among)), 4)


def cluster(answers: Sequence[Ballot], threshold: float) -> list[list[Ballot]]:
    """Groups of alike answers: each joins the first group it is like on average, else begins one."""
    groups: list[list[Ballot]] = []
    for answer in answers:
        for group in groups:
            if (
                sum(similarity(answer.content, other.content) for other in group) / len(group)
                >= threshold
            ):
                group.append(answer)
                break
        else:
            groups.append([answer])
    return groups
