"""Exact nearest vectors: one product over all rows, by NumPy if it is installed, else in plain Python.

Whatever finds the best, `score_of` or the same sum in double precision says how near they are, so that scores and
ties do not depend on who multiplied.

Below: nothing. Above: the stores.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Collection, Iterable
from importlib import import_module
from importlib.util import find_spec
from operator import mul
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["METRICS", "SLACK", "Metric", "Rows", "best", "has_numpy", "score_of"]

Metric: TypeAlias = Literal["cosine", "euclidean", "dot_product"]
METRICS: tuple[Metric, ...] = get_args(Metric)
LARGE = 1e18  # lengths below it have products that single precision holds
DIGITS = 5  # of a score: what lies behind them depends on who multiplied
SLACK = 2 * 10**-DIGITS
"""How much of a score, relative to the lengths multiplied, single precision and rounding may take away."""


def has_numpy() -> bool:
    return find_spec("numpy") is not None


def score_of(row: array[float], vector: array[float], metric: Metric) -> float:
    """How near the two are; more is nearer. For `cosine` both have length one."""
    if metric == "euclidean":
        return _rounded(-math.dist(row, vector))
    return _rounded(sum(map(mul, row, vector)))


def best(found: Iterable[tuple[str, float]], count: int) -> list[tuple[str, float]]:
    """The `count` best ids and their scores; ties in the order of the ids."""
    return heapq.nsmallest(count, found, key=lambda item: (-item[1], item[0]))


class Rows:
    """Vectors by id. The first search after a change puts them together, which takes a copy."""

    def __init__(
        self, rows: Iterable[tuple[str, array[float]]] = (), metric: Metric = "cosine"
    ) -> None:
        self._rows = dict(rows)
        self._metric: Metric = metric
        self._numpy = has_numpy()
        self._together: tuple[list[str], NDArray[np.float32]] | None = None
        self._squares: NDArray[np.float32] | None = None  # each length times itself, if it matters

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> array[float]:
        return self._rows[name]

    def put(self, name: str, row: array[float]) -> None:
        self._rows[name] = row
        self._together = None

    def drop(self, name: str) -> None:
        if self._rows.pop(name, None) is not None:
            self._together = None

    def nearest(
        self, vector: array[float], count: int, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """The `count` best ids and their scores, of those `among` if that is given."""
        if count < 1 or not self._rows:
            return []
        scored = self._by_numpy if self._numpy else self._by_hand
        return best(scored(vector, count, among), count)

    def _by_hand(
        self, vector: array[float], _: int, among: Collection[str] | None
    ) -> Iterable[tuple[str, float]]:
        names = self._rows if among is None else among
        return ((name, score_of(self._rows[name], vector, self._metric)) for name in names)

    def _by_numpy(
        self, vector: array[float], count: int, among: Collection[str] | None
    ) -> Iterable[tuple[str, float]]:
        """All that may be among the best: those who would be after rounding are kept too."""
        np = import_module("numpy")  # a fifth of a second, which only a search pays
        if self._together is None:
            joined = np.concatenate([np.frombuffer(row, np.float32) for row in self._rows.values()])
            matrix = joined.reshape(len(self._rows), -1)
            self._together = (list(self._rows), matrix)
            if self._metric != "cosine":
                with np.errstate(over="ignore"):
                    self._squares = np.einsum("ij,ij->i", matrix, matrix)
        names, matrix = self._together
        asked = np.frombuffer(vector, np.float32)
        slack = SLACK
        if self._squares is not None:
            longest, length = math.sqrt(float(self._squares.max())), math.hypot(*vector)
            if not longest + length < LARGE:
                return self._by_hand(vector, count, among)
            slack *= max(1.0, (longest + length) ** 2)
        rough = matrix @ asked
        if self._squares is not None and self._metric == "euclidean":
            rough = 2 * rough - self._squares  # in squares, which are in the same order
        if among is None:
            picked = np.arange(len(names))
        else:
            wanted = set(among)
            picked = np.array([i for i, name in enumerate(names) if name in wanted], np.int64)
        if count < len(picked):
            some = rough if among is None else rough[picked]
            least = np.partition(some, len(some) - count)[len(some) - count]
            picked = picked[some >= least - slack]
        rows, exact = matrix[picked].astype(np.float64), asked.astype(np.float64)
        near = self._metric != "euclidean"
        scores = rows @ exact if near else -np.sqrt(np.square(rows - exact).sum(axis=1))
        return [
            (names[i], _rounded(score))
            for i, score in zip(picked.tolist(), scores.tolist(), strict=True)
        ]


def _rounded(score: float) -> float:
    return round(score, DIGITS) + 0.0  # no -0.0
