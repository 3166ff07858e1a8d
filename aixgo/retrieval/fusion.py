"""Fusion: several rankings made one by reciprocal ranks, whatever their scores mean.

Below: nothing. Above: index, and patterns that ask several retrievers.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["fused"]

RANK_SHIFT = 60  # the constant of Cormack, Clarke and Büttcher (2009): how little the very first ranks differ


def fused(rankings: Iterable[Iterable[str]]) -> list[tuple[str, float]]:
    """All ids, best first, each with the sum of 1 / (60 + its rank from 1) over the rankings that have it.

    Ties are in the order in which the ids are first met, ranking by ranking. An id counts once a ranking.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(dict.fromkeys(ranking), 1):
            scores[name] = scores.get(name, 0.0) + 1 / (RANK_SHIFT + rank)
    found = [(name, round(score, 9)) for name, score in scores.items()]
    return sorted(found, key=lambda item: -item[1])
