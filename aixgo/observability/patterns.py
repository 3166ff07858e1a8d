"""What a pattern's run comes to, in attributes: from what it says of itself and the calls it made.

Below: telemetry. Above: tracing.
"""

from __future__ import annotations

from collections.abc import Sequence

from aixgo.observability import conventions as names
from aixgo.telemetry import Call, Orchestration

__all__ = ["CLASSIFYING", "pattern_attributes"]

CLASSIFYING = ("router", "classification")
"""Those that choose who answers: what others call a category may be any text."""


def pattern_attributes(work: Orchestration) -> dict[str, str | bool | int | float]:
    """The attributes of a run that has ended."""
    found: dict[str, str | bool | int | float] = {
        f"{names.ORCHESTRATION_PREFIX}{name}": value
        for name, value in work.facts.items()
        if isinstance(value, str | bool | int | float)
    }
    failed = sum(call.error is not None for call in work.calls)
    found[names.CALLS] = len(work.calls)
    found[names.SUCCEEDED], found[names.FAILED] = len(work.calls) - failed, failed
    found.update(_times(work))
    if work.left:
        found[names.LEFT] = True
    return found


def _times(work: Orchestration) -> dict[str, float]:
    """How long a router classified and routed; how long the first of several replies waited for the last."""
    calls = work.calls
    found: dict[str, float] = {}
    if work.pattern in CLASSIFYING:
        steps = _by_step(calls)
        if getattr(work.context.executing, "strategy", "classifier") == "classifier" and steps:
            found[names.CLASSIFY] = steps.pop(0)
        if steps:
            found[names.ROUTE] = max(steps)  # of several labels the agents work at once
    together = _together(calls)
    if len(together) < 2:
        return found
    ends = [call.began + call.seconds for call in together]
    return {**found, names.WAIT: max(ends) - min(ends)}


def _by_step(calls: Sequence[Call]) -> list[float]:
    """How long each step of a pattern took: an attempt made again has the key of its step and a `#`."""
    found: dict[str, float] = {}
    for call in calls:
        step = call.context.key.partition("#")[0]
        found[step] = found.get(step, 0.0) + call.seconds
    return list(found.values())


def _together(calls: Sequence[Call]) -> Sequence[Call]:
    """The calls that began before the first of them ended."""
    if not calls:
        return ()
    first_end = min(call.began + call.seconds for call in calls)
    return [call for call in calls if call.began < first_end]
