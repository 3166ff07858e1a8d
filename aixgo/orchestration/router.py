"""Router: a classifier names a category, and the agent of that category answers the original message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import Message
from aixgo.orchestration._labels import label_of
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Limits,
    OnFailure,
    Orchestrator,
    Slot,
    Step,
    ends_run,
    slot_name,
)

__all__ = ["PATTERN", "Router"]

SHOWN = 60  # characters of an unknown category that an error repeats


class Router(Orchestrator):
    """One of several agents, chosen by a classifier.

    The category is read from the classifier's metadata `category`, then from `category` of its JSON payload,
    then it is the trimmed text; routes are matched exactly, then ignoring case. `fallback` answers when no
    route fits or the confidence is below `min_confidence`; a classifier that states no confidence passes. With the
    error strategy "continue" it answers too when the classifier or the agent of a route failed for good.
    Metadata: `routed_to`, `category`, `confidence`, `used_fallback`.
    """

    pattern = "router"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "classifier": Key("slot", "the agent that names the category", required=True),
        "routes": Key("slot map", "category → the agent that answers it"),
        "fallback": Key("slot", "the agent that answers when no route fits"),
        "min_confidence": Key("number", "below it the fallback answers", minimum=0, maximum=1),
    }

    def __init__(
        self,
        name: str,
        classifier: Slot,
        routes: Mapping[str, Slot],
        *,
        fallback: Slot | None = None,
        min_confidence: float = 0.0,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        if not isinstance(routes, Mapping):
            raise ConfigError(f"{self.pattern} {name!r}: routes is a mapping of category → agent")
        slots = [classifier, *routes.values(), *([fallback] if fallback is not None else [])]
        super().__init__(
            name, slots, description=description, limits=limits, error_strategy=error_strategy
        )
        where = f"{self.pattern} {name!r}"
        if not routes:
            raise ConfigError(f"{where} needs at least one route")
        check_given(self.config_keys, where, min_confidence=min_confidence)
        self.min_confidence = min_confidence
        self._classifier = slot_name(classifier, where)
        self._routes = {
            category: slot_name(slot, f"{where}, route {category!r}")
            for category, slot in routes.items()
        }
        self._fallback = slot_name(fallback, where) if fallback is not None else ""

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; without `routes` each of `agents` answers the category of its own name."""
        where = f"{cls.pattern} {name!r}"
        settings = cls.settings(config, where)
        classifier = cast("Slot", settings.pop("classifier"))
        fallback = cast("Slot | None", settings.pop("fallback", None))
        routes = cast("Mapping[str, Slot] | None", settings.pop("routes", None))
        if routes is None:
            apart = {slot_name(slot, where) for slot in (classifier, fallback) if slot is not None}
            named = {slot_name(slot, where): slot for slot in agents}
            routes = {target: slot for target, slot in named.items() if target not in apart}
        return cls(
            name,
            classifier,
            routes,
            fallback=fallback,
            limits=limits,
            **cast("dict[str, float]", settings),  # type: ignore[arg-type]  # checked by their keys
        )

    def edges(self) -> Iterable[Edge]:
        """Who chooses, and between whom."""
        choice = Step("route", "choice")
        yield Edge(START, self._classifier)
        yield Edge(self._classifier, choice)
        for route, target in self._routes.items():
            yield Edge(choice, target, route)
        if self._fallback:
            yield Edge(choice, self._fallback, "fallback", maybe=True)
        for target in dict.fromkeys([*self._routes.values(), self._fallback]):
            if target:
                yield Edge(target, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Classify `message`, then have it answered."""
        category, confidence = await self._classified(message, caller)
        route = self._route(category)
        sure = confidence is None or confidence >= self.min_confidence
        target = self._routes[route] if route is not None and sure else self._fallback
        if not target:
            raise AgentRefused(self._refusal(category, route, confidence))
        target, reply = await self._answered(target, message, caller)
        return reply.with_metadata(
            routed_to=target,
            category=category if route is None else route,
            confidence=confidence,
            used_fallback=route is None or not sure or target != self._routes[route],
            agent_count=self.agent_count,
        )

    async def _classified(self, message: Message, caller: Caller) -> tuple[str, float | None]:
        """The category and its confidence; no category when the run goes on without its classifier."""
        try:
            return label_of(await caller.call(self._classifier, message))
        except AixgoError as exc:
            if not self._goes_on_after(exc):
                raise
            return "", None

    async def _answered(self, target: str, message: Message, caller: Caller) -> tuple[str, Message]:
        """Who answered, and what."""
        try:
            return target, await caller.call(target, message)
        except AixgoError as exc:
            if target == self._fallback or not self._goes_on_after(exc):
                raise
        return self._fallback, await caller.call(self._fallback, message)

    def _goes_on_after(self, error: AixgoError) -> bool:
        """Whether the fallback may answer although an agent failed."""
        strategy = self.error_strategy
        goes_on = strategy is not None and strategy.goes_on and bool(self._fallback)
        return goes_on and not ends_run(error, CallContext.current())

    def _route(self, category: str) -> str | None:
        if category in self._routes:
            return category
        folded = category.casefold()
        return next((route for route in self._routes if route.casefold() == folded), None)

    def _refusal(self, category: str, route: str | None, confidence: float | None) -> str:
        if route is None:
            known = ", ".join(repr(name) for name in self._routes)
            return (
                f"{self.pattern} {self.name!r} has no route for {category[:SHOWN]!r} and no fallback; "
                f"its routes: {known}"
            )
        return (
            f"{self.pattern} {self.name!r} has no fallback, and {route!r} was chosen with confidence {confidence}, "
            f"below {self.min_confidence}"
        )


PATTERN = Router
