"""Every instrument: its name, unit and labels, and where its numbers come from.

Three kinds of source. `counted.COUNTED` shows what a runtime says in `metrics()`; `KEPT` shows the plain counters and
gauges of `aixgo.measures`; `OBSERVED` is recorded as work ends, by `metering`. No number comes from two of them. The
tables of docs/observability.md are written from this.

Names are those of the semantic conventions where they have one, `aixgo.*` otherwise; units are UCUM's.

Below: conventions. Above: counted, metering, metrics, scripts/docs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from aixgo.measures import Labels
from aixgo.observability import conventions as names

__all__ = ["KEPT", "OBSERVED", "Instrument", "Kind"]

Kind: TypeAlias = Literal["counter", "updowncounter", "gauge", "histogram"]


@dataclass(slots=True, frozen=True)
class Instrument:
    """One instrument, as it is made and as the docs show it."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram."""
    keys: Mapping[str, Labels] = field(default_factory=dict)
    """The keys of `rt.metrics()` it shows, with the labels of each; of `key.*` what is below is the label."""


SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""From a call within a process to a run of many models."""
MODEL_SECONDS: Final = tuple(round(0.01 * 2**step, 2) for step in range(14))
"""As the semantic conventions have them: 10 ms to 82 s, doubling."""
TOKENS: Final = tuple(float(4**step) for step in range(14))
"""As the semantic conventions have them: 1 to 67 million, times four."""
SHARES: Final = tuple(step / 10 for step in range(1, 11))
COUNTS: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0, 100.0)

AGENT: Final = names.AGENT_NAME
ERROR: Final = names.ERROR_TYPE
OUTCOME: Final = "aixgo.outcome"
BACKEND: Final = "aixgo.backend"
"""What a policy stands in front of: an agent, or a provider's model."""
MODEL: Final = (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.RESPONSE_MODEL, AGENT)
RUN: Final = (names.PATTERN, names.ORCHESTRATION_NAME)

KEPT: Final = (
    Instrument(
        "aixgo.retries",
        "counter",
        "{retry}",
        "Retries `made`, and not made because the backend was `out_of_budget`.",
        (BACKEND, OUTCOME),
    ),
    Instrument(
        "aixgo.breaker.state",
        "gauge",
        "{state}",
        "0 closed, 1 half open, 2 open; of several circuits the worst.",
        (BACKEND,),
    ),
    Instrument(
        "aixgo.breaker.opened", "counter", "{time}", "How often a circuit opened.", (BACKEND,)
    ),
    Instrument(
        "aixgo.breaker.refused",
        "counter",
        "{call}",
        "Calls that an open circuit kept back.",
        (BACKEND,),
    ),
    Instrument(
        "aixgo.fallbacks",
        "counter",
        "{call}",
        "Others asked instead.",
        (BACKEND, "aixgo.fallback.served_by"),
    ),
    Instrument(
        "aixgo.limiter.calls",
        "updowncounter",
        "{call}",
        "Calls in limiters, `running` or `waiting`.",
        ("aixgo.limiter.state",),
    ),
    Instrument(
        "aixgo.limiter.waits", "counter", "{call}", "Calls let in after a wait.", (BACKEND,)
    ),
    Instrument("aixgo.limiter.wait_time", "counter", "s", "How long they waited.", (BACKEND,)),
    Instrument(
        "aixgo.limiter.refused", "counter", "{call}", "Calls turned away.", (BACKEND, ERROR)
    ),
    Instrument(
        "aixgo.cache.requests",
        "counter",
        "{call}",
        "What came of requests: `hit`, `joined` an equal one, `miss`, or `passed`.",
        (OUTCOME,),
    ),
    Instrument("aixgo.cache.saved_usd", "counter", "{USD}", "What the hits would have cost."),
    Instrument("aixgo.cache.entries", "updowncounter", "{answer}", "Answers kept."),
    Instrument("aixgo.cache.size", "updowncounter", "By", "About their size."),
    Instrument(
        "aixgo.exports",
        "counter",
        "{item}",
        "Spans and scores, `delivered` and `dropped` on their way out.",
        ("aixgo.exports.of", OUTCOME),
    ),
)
"""What the policies of the process count and are at now, and what became of what was to be exported."""

OBSERVED: Final = (
    Instrument(
        "aixgo.call.duration",
        "histogram",
        "s",
        "Calls, as who made them saw them.",
        (AGENT, ERROR),
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.call.time_to_first_chunk",
        "histogram",
        "s",
        "Until the first chunk of a streamed reply came.",
        (AGENT,),
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.agent.duration",
        "histogram",
        "s",
        "Calls, as the host of the agent saw them, whoever made them.",
        (AGENT, ERROR),
        buckets=SECONDS,
    ),
    Instrument(
        "gen_ai.client.operation.duration",
        "histogram",
        "s",
        "Requests to models, each attempt.",
        (*MODEL, ERROR),
        buckets=MODEL_SECONDS,
    ),
    Instrument(
        "gen_ai.client.operation.time_to_first_chunk",
        "histogram",
        "s",
        "Until the first piece of a streamed answer came.",
        MODEL,
        buckets=MODEL_SECONDS,
    ),
    Instrument(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        "Tokens of a request, `input` and `output`.",
        (*MODEL, names.TOKEN_TYPE),
        buckets=TOKENS,
    ),
    Instrument("aixgo.model.cost_usd", "counter", "{USD}", "What requests to models cost.", MODEL),
    Instrument(
        "aixgo.tool.duration",
        "histogram",
        "s",
        "Runs of tools; `tool_error` where the model was told of a failure.",
        (names.TOOL_NAME, ERROR),
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.orchestration.duration",
        "histogram",
        "s",
        "Runs of patterns.",
        (*RUN, ERROR),
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.orchestration.calls",
        "counter",
        "{call}",
        "Calls that they made to agents, `succeeded` and `failed`.",
        (*RUN, OUTCOME),
    ),
    Instrument(
        "aixgo.orchestration.wait",
        "histogram",
        "s",
        "How long the first of several simultaneous replies waited for the last.",
        RUN,
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.orchestration.classify",
        "histogram",
        "s",
        "The classifier of a router or a classification.",
        RUN,
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.orchestration.route",
        "histogram",
        "s",
        "The agents that it chose; of several the one that took longest.",
        RUN,
        buckets=SECONDS,
    ),
    Instrument(
        "aixgo.orchestration.categories",
        "counter",
        "{run}",
        "What messages were classified as; `(fallback)` where that chose no route.",
        (*RUN, names.CATEGORY),
    ),
    Instrument(
        "aixgo.orchestration.confidence",
        "histogram",
        "1",
        "How sure the classifier was.",
        RUN,
        buckets=SHARES,
    ),
    Instrument(
        "aixgo.orchestration.agreement",
        "histogram",
        "1",
        "The share of the votes that the result had.",
        RUN,
        buckets=SHARES,
    ),
    Instrument(
        "aixgo.orchestration.rounds",
        "histogram",
        "{round}",
        "Rounds of a run.",
        RUN,
        buckets=COUNTS,
    ),
    Instrument(
        "aixgo.orchestration.iterations",
        "histogram",
        "{round}",
        "Iterations of a run.",
        RUN,
        buckets=COUNTS,
    ),
    Instrument(
        "aixgo.orchestration.steps", "histogram", "{step}", "Steps of a run.", RUN, buckets=COUNTS
    ),
    Instrument(
        "aixgo.orchestration.handoffs",
        "histogram",
        "{handoff}",
        "How often a run was handed on.",
        RUN,
        buckets=COUNTS,
    ),
    Instrument(
        "aixgo.orchestration.stopped",
        "counter",
        "{run}",
        "Runs that a limit ended, by its name.",
        (*RUN, names.STOPPED_BY),
    ),
    Instrument(
        "aixgo.orchestration.retries",
        "counter",
        "{retry}",
        "Attempts that an error strategy made again.",
        RUN,
    ),
    Instrument(
        "aixgo.orchestration.degraded",
        "counter",
        "{run}",
        "Runs that did without an agent, not counting those of patterns around them.",
        RUN,
    ),
)
"""What `metering` records of each piece of work while metrics are on."""
