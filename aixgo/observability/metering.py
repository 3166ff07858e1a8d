"""Metrics of work: an observer that records each call, run, model request and tool as it ends.

It makes nothing current and remembers nothing between begin and end, so that one object serves all work.

Below: telemetry, instruments, the OpenTelemetry API. Above: metrics, which gives it a meter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.metrics import Counter, Histogram, Meter

from aixgo.errors import AgentNotFound
from aixgo.ledger import Usage
from aixgo.measures import MAX_SERIES, Labels
from aixgo.observability import conventions as names
from aixgo.observability.instruments import OBSERVED, Instrument
from aixgo.observability.patterns import CLASSIFYING, pattern_attributes
from aixgo.telemetry import (
    Call,
    Execution,
    ModelUse,
    Orchestration,
    Span,
    ToolUse,
    Work,
    error_type,
)

__all__ = ["OVERFLOW", "Metering", "Series", "plain_name"]

OVERFLOW: Mapping[str, bool] = {"otel.metric.overflow": True}
"""What stands for all labels of an instrument once it tells too many apart; the name is OpenTelemetry's."""
LONGEST = 128  # characters of a label
UNKNOWN = "(unknown)"  # a name that no agent has: callers may make up any number of them
FALLBACK = "(fallback)"  # a category that chose no route: models may make up any number of them
SPAWNED = re.compile(r"~\d+$")  # what `spawn` puts behind a name

Fact: TypeAlias = str | bool | int | float


def plain_name(name: str) -> str:
    """`name` as a label: without what tells one spawned agent from the next."""
    if "~" in name:
        name = SPAWNED.sub("", name)
    return name[:LONGEST]


class Series:
    """The attributes for an instrument's labels, bounded; an empty label is left out."""

    __slots__ = ("_known", "_labels")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._known: dict[Labels, Mapping[str, str | bool]] = {}

    def of(self, values: Labels) -> Mapping[str, str | bool]:
        """The attributes that say `values`, or OVERFLOW."""
        known = self._known
        found = known.get(values)
        if found is None:
            plain = tuple(map(plain_name, values))
            found = known.get(plain)
            if found is None:
                if len(known) >= MAX_SERIES:
                    return OVERFLOW
                named = zip(self._labels, plain, strict=True)
                found = known[plain] = {name: value for name, value in named if value}
        return found


class _Recorder:
    """One instrument of a meter."""

    __slots__ = ("_put", "_series")

    def __init__(self, meter: Meter, made: Instrument) -> None:
        self._series = Series(made.labels)
        self._put: Callable[[float, Mapping[str, str | bool]], None]
        if made.kind == "counter":
            counter: Counter = meter.create_counter(made.name, made.unit, made.help)
            self._put = counter.add
        else:
            histogram: Histogram = meter.create_histogram(
                made.name, made.unit, made.help, explicit_bucket_boundaries_advisory=made.buckets
            )
            self._put = histogram.record

    def __call__(self, value: float, *labels: str) -> None:
        self._put(value, self._series.of(labels))


FACTS: Mapping[str, str] = {
    names.WAIT: "wait",
    names.CLASSIFY: "classify",
    names.ROUTE: "route",
    **{
        f"{names.ORCHESTRATION_PREFIX}{fact}": instrument
        for fact, instrument in (
            ("confidence", "confidence"),
            ("agreement", "agreement"),
            ("rounds", "rounds"),
            ("iterations", "iterations"),
            ("step_count", "steps"),
            ("handoffs", "handoffs"),
            ("retries", "retries"),
        )
    },
}
"""A pattern's attributes that are numbers, and their instruments."""


class Metering:
    """The observer; also its own part in every piece of work, as it keeps nothing about one."""

    def __init__(self, meter: Meter) -> None:
        self._into = {made.name: _Recorder(meter, made) for made in OBSERVED}
        self._call = self._into["aixgo.call.duration"]
        self._agent = self._into["aixgo.agent.duration"]

    def begin(self, work: Work) -> Span:  # noqa: ARG002 - all of it is told at the end
        return self

    def enter(self) -> object:
        return None

    def leave(self, token: object) -> None:
        pass

    def end(self, work: Work) -> None:
        """Record `work`."""
        error = "" if work.error is None else error_type(work.error, work.context)
        if isinstance(work, Execution):
            self._agent(work.seconds, work.target, error)
        elif isinstance(work, Call):
            self._called(work, error)
        elif isinstance(work, ModelUse):
            self._asked(work, error)
        elif isinstance(work, Orchestration):
            self._orchestrated(work, error)
        elif isinstance(work, ToolUse):
            told = work.result is not None and work.result.is_error
            error = error or (names.TOOL_ERROR if told else "")
            self._into["aixgo.tool.duration"](work.seconds, work.name, error)

    def _called(self, work: Call, error: str) -> None:
        target = work.target
        if isinstance(work.error, AgentNotFound) and work.error.name == target:
            target = UNKNOWN
        self._call(work.seconds, target, error)
        if work.streaming and work.chunks:
            self._into["aixgo.call.time_to_first_chunk"](work.first_chunk, target)

    def _asked(self, work: ModelUse, error: str) -> None:
        if work.cached:
            return  # nobody was asked, and the cache counts it
        completion = work.completion
        model = (
            names.CHAT,
            work.provider,
            work.request.model,
            "" if completion is None else completion.model,
            "" if work.context is None else work.context.agent,
        )
        self._into["gen_ai.client.operation.duration"](work.seconds, *model, error)
        if work.first_delta:
            self._into["gen_ai.client.operation.time_to_first_chunk"](work.first_delta, *model)
        usage = getattr(work.error, "usage", None) if completion is None else completion.usage
        if isinstance(usage, Usage) and usage:
            tokens = self._into["gen_ai.client.token.usage"]
            tokens(usage.tokens_prompt, *model, "input")
            tokens(usage.tokens_completion, *model, "output")
            self._into["aixgo.model.cost_usd"](usage.cost_usd, *model)

    def _orchestrated(self, work: Orchestration, error: str) -> None:
        run = (work.pattern, work.name)
        self._pattern("duration", work.seconds, *run, error)
        facts = pattern_attributes(work)
        for outcome, fact in (("succeeded", names.SUCCEEDED), ("failed", names.FAILED)):
            self._pattern("calls", facts[fact], *run, outcome)
        for name, instrument in FACTS.items():
            self._pattern(instrument, facts.get(name), *run)
        category = facts.get(names.CATEGORY)
        if isinstance(category, str) and work.pattern in CLASSIFYING:
            fell_back = facts.get(names.USED_FALLBACK) is True
            self._pattern("categories", 1, *run, FALLBACK if fell_back else category)
        if isinstance(limit := facts.get(names.STOPPED_BY), str):
            self._pattern("stopped", 1, *run, limit)
        if facts.get(names.DEGRADED) is True:
            self._pattern("degraded", 1, *run)

    def _pattern(self, name: str, value: Fact | None, *labels: str) -> None:
        """Record a fact of a run, if it is a number that can be added up."""
        if isinstance(value, int | float) and value is not True and value >= 0:
            self._into[f"{names.ORCHESTRATION_PREFIX}{name}"](value, *labels)
