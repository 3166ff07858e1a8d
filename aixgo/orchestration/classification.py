"""Classification: a classifier names one category or several, and the agents of these answer the original message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._deliberation import Panel
from aixgo.orchestration._labels import labels_of
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration.base import ErrorStrategy, Fact, Limits, OnFailure, Slot
from aixgo.orchestration.router import CLASSIFIER_KEYS, ROUTE_FACTS, SHOWN, Router

__all__ = ["PATTERN", "Classification"]

THRESHOLD = 0.5
MAX_LABELS = 3


class Classification(Router):
    """A `Router` that asks for confidence, and for several labels if `multi_label`.

    With one label it is a router whose `min_confidence` is 0.5. With several, each category from `min_confidence` on
    counts, at most `max_labels`, the surest first, or as the classifier lists them when one states no confidence; such
    a one counts. Their agents get the message at once, each agent once, and the result (type `classified`) is an
    object, agent → payload, in that order. An agent that fails is left out, unless all do. When no category fits,
    `fallback` answers in its own words, and without one the run fails. `timeout` is in seconds, for each of these
    agents.
    """

    pattern = "classification"
    config_keys: ClassVar[Mapping[str, Key]] = {
        **CLASSIFIER_KEYS,
        "min_confidence": Key(
            "number", "below it a category does not count", minimum=0, maximum=1, default=THRESHOLD
        ),
        "multi_label": Key("boolean", "whether several categories may count", default=False),
        "max_labels": Key(
            "integer", "of `multi_label`: categories that may", minimum=1, default=MAX_LABELS
        ),
        "timeout": Key("duration", "of `multi_label`: time for each agent", minimum=0),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        **ROUTE_FACTS,
        "labels": Fact("of `multi_label`: for each its `category`, `confidence` and `agent`"),
        "unknown": Fact("of `multi_label`: categories without a route"),
        "success_count": Fact("of `multi_label`: agents that answered"),
        "errors": Fact("of `multi_label`: agent that is missing → class and text"),
    }

    def __init__(
        self,
        name: str,
        classifier: Slot,
        routes: Mapping[str, Slot],
        *,
        fallback: Slot | None = None,
        min_confidence: float = THRESHOLD,
        multi_label: bool = False,
        max_labels: int | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"classification {name!r}"
        check_given(
            self.config_keys,
            where,
            min_confidence=min_confidence,
            multi_label=multi_label,
            max_labels=max_labels,
            timeout=timeout,
        )
        super().__init__(
            name,
            classifier,
            routes,
            fallback=fallback,
            min_confidence=min_confidence,
            description=description,
            limits=limits,
            error_strategy=error_strategy,
        )
        for key, value in (("max_labels", max_labels), ("timeout", timeout)):
            if value is not None and not multi_label:
                raise ConfigError(f"{where}: {key} goes with multi_label")
        self.multi_label = multi_label
        self.max_labels = MAX_LABELS if max_labels is None else max_labels
        self.timeout = timeout

    async def run(self, message: Message, caller: Caller) -> Message:
        """Classify `message`, then have it answered."""
        if not self.multi_label:
            return await super().run(message, caller)
        labels, unknown = await self._labels(message, caller)
        facts: dict[str, JSONValue] = {
            "labels": list(labels.values()),
            "used_fallback": not labels,
            "strategy": self.strategy,
            "unknown": list(unknown) or None,
        }
        if not labels:
            if not self._fallback:
                raise AgentRefused(self._nothing_fits(unknown))
            reply = await caller.call(self._fallback, message)
            return self.result(reply, **facts)
        panel = Panel(caller, list(labels), self.timeout, self.error_strategy)
        replies = await panel.hear("label", message)
        CallContext.current().check_deadline()  # an agent may have failed for that
        if panel.ended is not None:
            raise panel.ended
        needed = 1 if self.error_strategy is None else self.error_strategy.needed
        panel.check(self.name, len(replies), min(needed, len(labels)))
        whole = {agent: json_payload(reply) for agent, reply in replies.items()}
        facts |= {"success_count": len(replies), "errors": panel.errors or None}
        return self.result(Message(whole, type="classified"), **facts)

    async def _labels(
        self, message: Message, caller: Caller
    ) -> tuple[dict[str, JSONValue], list[str]]:
        """The labels that count, by the agents that answer them, and the categories without a route."""
        try:
            said = labels_of(await caller.call(self._classifier, message))
        except AixgoError as exc:
            if not self._goes_on_after(exc):
                raise
            said = []
        found: dict[str, JSONValue] = {}
        unknown: list[str] = []
        for category, confidence in said:
            if confidence is not None and confidence < self.min_confidence:
                continue
            route = self._route(category)
            if route is None:
                unknown.append(category[:SHOWN])
                continue
            agent = self._routes[route]
            label: JSONValue = {"category": route, "confidence": confidence, "agent": agent}
            if len(found) < self.max_labels:
                found.setdefault(agent, label)
        return found, unknown

    def _nothing_fits(self, unknown: list[str]) -> str:
        if unknown:
            return self._refusal(unknown[0], None, None)
        return (
            f"classification {self.name!r} has no fallback, and no category reached "
            f"the confidence {self.min_confidence}"
        )


PATTERN = Classification
