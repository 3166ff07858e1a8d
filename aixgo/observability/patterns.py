"""What a pattern's run comes to, in attributes: from its result's metadata and the calls it made.

Below: telemetry. Above: tracing.
"""

from __future__ import annotations

from collections.abc import Sequence

from aixgo.message import JSONValue
from aixgo.observability import conventions as names
from aixgo.telemetry import Call, Orchestration

__all__ = ["pattern_attributes"]

FACTS = (
    "agent_count",
    "step_count",
    "success_count",
    "chunk_count",
    "replans",
    "strategy",
    "category",
    "confidence",
    "routed_to",
    "strategy",
    "estimated_usd",
    "outstanding",
    "used_fallback",
    "rounds",
    "iterations",
    "agreement",
    "threshold",
    "tie_broken",
    "decided_by",
    "converged",
    "winner",
    "voting_strategy",
    "score",
    "best_iteration",
    "handoffs",
    "document_count",
    "query_count",
    "answered_by",
    "ended_by",
    "stopped_by",
    "retries",
    "degraded",
)
"""Metadata keys of results that become attributes, whichever pattern sets them."""


def pattern_attributes(work: Orchestration) -> dict[str, str | bool | int | float]:
    """The attributes of a run that has ended."""
    found: dict[str, str | bool | int | float] = {names.CALLS: len(work.calls)}
    failed = sum(call.error is not None for call in work.calls)
    found[names.SUCCEEDED], found[names.FAILED] = len(work.calls) - failed, failed
    found.update(_times(work))
    if work.left:
        found[names.LEFT] = True
    if work.result is None:
        return found
    metadata = work.result.metadata
    for name in FACTS:
        value: JSONValue = metadata.get(name)
        if isinstance(value, str | bool | int | float):
            found[f"{names.ORCHESTRATION_PREFIX}{name}"] = value
    return found


def _times(work: Orchestration) -> dict[str, float]:
    """How long a router classified and routed; how long the first of several replies waited for the last."""
    calls = work.calls
    if work.pattern == "router":
        if getattr(work.context.executing, "strategy", "classifier") != "classifier":
            return dict(zip((names.ROUTE,), _by_step(calls), strict=False))
        return dict(zip((names.CLASSIFY, names.ROUTE), _by_step(calls), strict=False))
    together = _together(calls)
    if len(together) < 2:
        return {}
    ends = [call.began + call.seconds for call in together]
    return {names.WAIT: max(ends) - min(ends)}


def _by_step(calls: Sequence[Call]) -> Sequence[float]:
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
