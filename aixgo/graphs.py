"""What waits for what: an order in which all of it has its turn, or the circle that prevents one.

Below: nothing. Above: starting agents, plans.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence

__all__ = ["Circle", "in_order", "levels"]


class Circle(ValueError):
    """Some wait for each other: `path` goes from one to what it waits for, and so on back to it."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(" → ".join(self.path))


def in_order(waits: Mapping[str, Collection[str]]) -> list[str]:
    """The names of `waits`, each after those it waits for; otherwise as they stand.

    What is waited for and is no name of `waits` is there already.

    Raises:
        Circle: there is no such order.
    """
    place = {name: index for index, name in enumerate(waits)}
    left = {name: {one for one in needed if one in place} for name, needed in waits.items()}
    after: dict[str, list[str]] = {name: [] for name in waits}
    for name, needed in left.items():
        for one in needed:
            after[one].append(name)
    names = list(waits)
    ready = [index for index, name in enumerate(names) if not left[name]]
    found: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        found.append(name)
        del left[name]
        for next_ in after[name]:
            left[next_].discard(name)
            if not left[next_]:
                heapq.heappush(ready, place[next_])
    if left:
        raise Circle(_circle(waits, left))
    return found


def levels(waits: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The names of `waits` in levels, each level after all it waits for, and within it as they stand.

    Raises:
        Circle: there is no such order.
    """
    level: dict[str, int] = {}
    for name in in_order(waits):
        level[name] = max((level[one] + 1 for one in waits[name] if one in level), default=0)
    count = max(level.values(), default=-1) + 1
    found: list[list[str]] = [[] for _ in range(count)]
    for name in waits:
        found[level[name]].append(name)
    return found


def _circle(waits: Mapping[str, Collection[str]], left: Mapping[str, object]) -> list[str]:
    """The circle that one comes to from the first of `left`, which all wait for one of `left`."""
    place: dict[str, int] = {}
    path = [next(name for name in waits if name in left)]
    while path[-1] not in place:
        place[path[-1]] = len(path) - 1
        path.append(next(one for one in waits[path[-1]] if one in left))
    return path[place[path[-1]] :]
