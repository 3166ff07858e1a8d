"""Values that a key of a file, or the parameter of its name, cannot take."""

from __future__ import annotations

import math
from collections.abc import Iterator

from aixgo.keys import Key

__all__ = ["refused"]

NO_TIME = (True, "soon", math.nan, -1)
NO_TIME_IN_CODE = (*NO_TIME, "1s")
SLOTS = (3, "", ["a"])


def refused(key: Key, *, code: bool) -> Iterator[object]:
    """Values that a key cannot take."""
    low, high = key.minimum, key.maximum
    match key.kind:
        case "integer":
            yield from (True, 1.5, "3", math.nan)
            yield from () if low is None else (int(low) - 1,)
            yield from () if high is None else (int(high) + 1,)
        case "number":
            yield from (True, "0.5", math.nan)
            yield from () if low is None else (low - 0.0001, -math.inf)
            yield from () if high is None else (high + 0.0001, math.inf)
        case "duration":
            yield from NO_TIME_IN_CODE if code else NO_TIME
        case "boolean":
            yield from (1, "yes")
        case "text":
            yield from (True, [1], *(("nonsense", 3) if key.choices else ()))
        case "slot":
            yield from SLOTS
        case "slots":
            yield from (3, [3], [""], *(() if code else ("a",)))  # code may give one alone
        case "slot map" | "slots map" | "groups":
            yield from (["a"], 3, {"a": 3})
        case "numbers":
            yield from (["a"], 3, *({"b": value} for value in (math.nan, True, "0.5", -1)))
        case "list":
            yield from ("a", [3], [{}])
