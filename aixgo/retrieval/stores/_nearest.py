"""Exact nearest vectors: one product over all rows, by NumPy if it is installed, else in plain Python.

Below: nothing. Above: the stores.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Collection, Iterable
from importlib import import_module
from importlib.util import find_spec
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Rows"]

DIGITS = 5  # of a score: what lies behind them depends on who multiplied


class Rows:
    """Vectors of length one by id. The first search after a change puts them together, which takes a copy."""

    def __init__(self, rows: Iterable[tuple[str, array[float]]] = ()) -> None:
        self._rows = dict(rows)
        self._numpy = find_spec("numpy") is not None
        self._together: tuple[list[str], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self._rows)

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
        return heapq.nsmallest(
            count, scored(vector, count, among), key=lambda found: (-found[1], found[0])
        )

    def _by_hand(
        self, vector: array[float], _: int, among: Collection[str] | None
    ) -> Iterable[tuple[str, float]]:
        names = self._rows if among is None else among
        return ((name, round(sum(map(mul, self._rows[name], vector)), DIGITS)) for name in names)

    def _by_numpy(
        self, vector: array[float], count: int, among: Collection[str] | None
    ) -> Iterable[tuple[str, float]]:
        """All that may be among the best: those who would be after rounding are kept too."""
        np = import_module("numpy")  # a fifth of a second, which only a search pays
        if self._together is None:
            joined = np.concatenate([np.frombuffer(row, np.float32) for row in self._rows.values()])
            self._together = (list(self._rows), joined.reshape(len(self._rows), -1))
        names, matrix = self._together
        scores = matrix @ np.frombuffer(vector, np.float32)
        if among is not None:
            wanted = set(among)
            picked = np.array([i for i, name in enumerate(names) if name in wanted], np.int64)
        elif count < len(names):
            least = np.partition(scores, len(names) - count)[len(names) - count]
            picked = np.flatnonzero(scores >= least - 2 * 10**-DIGITS)
        else:
            picked = np.arange(len(names))
        return [(names[i], round(float(scores[i]), DIGITS)) for i in picked]
