"""Router: one of several agents answers the message: by a classifier, by rules, by cost or by load.

A classifier names a category; the first rule that holds names one; or, of the routes that can take the message, the
cheapest is taken or the one with the fewest calls under way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeAlias, cast, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError, nearest
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._labels import label_of
from aixgo.orchestration._named import meant
from aixgo.orchestration._rules import RULE_KEYS, Rule
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Slot,
    Step,
    ends_run,
    slot_name,
)

__all__ = ["CLASSIFIER_KEYS", "PATTERN", "Router", "Rule", "Strategy"]

SHOWN = 60  # characters of an unknown category that an error or a result repeats

Strategy: TypeAlias = Literal["classifier", "rules", "cost", "load"]
OWN: Mapping[str, tuple[Strategy, ...]] = {
    "classifier": ("classifier",),
    "min_confidence": ("classifier",),
    "rules": ("rules", "cost", "load"),
    "costs": ("cost",),
    "costs_per_1000": ("cost",),
}
"""Which strategies a setting belongs to."""


CLASSIFIER_KEYS: Mapping[str, Key] = {
    "classifier": Key("slot", "the agent that names the category", required=True),
    "routes": Key("slot map", "category → the agent that answers it"),
    "fallback": Key("slot", "the agent that answers when no route fits"),
    "min_confidence": Key("number", "below it the fallback answers", minimum=0, maximum=1),
}
"""The keys of a pattern that goes by a classifier."""

ROUTE_FACTS: Mapping[str, Fact] = {
    "routed_to": Fact("the agent that answered"),
    "category": Fact("the route, or what the classifier said if there is none for it"),
    "confidence": Fact("how sure the classifier was, if it said"),
    "used_fallback": Fact("whether the fallback answered"),
    "strategy": Fact("how the route was chosen"),
}
"""What a result says of a route."""


class _Choice(NamedTuple):
    """A route, or none that fits, and what is told of the choice."""

    route: str | None
    category: str = ""
    confidence: float | None = None
    facts: Mapping[str, JSONValue] = {}


class Router(Orchestrator):
    """One of several agents, chosen by a classifier, by rules, by cost or by load.

    - "classifier": its category is read from its metadata `category`, then from `category` of its JSON payload, then
      it is the trimmed text; routes are matched exactly, then ignoring case. A classifier that states no confidence
      passes; below `min_confidence` no route fits.
    - "rules": the first rule that holds names the route.
    - "cost": of the routes that can take the message, the cheapest. What one costs are its `costs`, dollars a call,
      and its `costs_per_1000`, dollars for each 1,000 characters of the message's text.
    - "load": of the routes that can take the message, the one whose agent has the fewest calls of this router under
      way. That is as it is at the time: a run made again may go elsewhere.

    For the last two a route that has rules can take a message for which one of them holds, and a route without rules
    any; ties go to the route given first. These two are to be named; else a classifier or rules tell. When no route
    fits `fallback` answers; with the error strategy "continue" it answers too when the classifier or the agent of a
    route failed for good.
    """

    pattern = "router"
    config_keys: ClassVar[Mapping[str, Key]] = {
        **CLASSIFIER_KEYS,
        "classifier": replace(CLASSIFIER_KEYS["classifier"], required=False),
        "strategy": Key(
            "text",
            "how the route is chosen; else by the classifier, or by rules if there is none",
            choices=get_args(Strategy),
        ),
        "rules": Key("list", "which messages are for which route", fields=RULE_KEYS, closed=True),
        "costs": Key("numbers", "of `cost`: route → dollars a call", minimum=0),
        "costs_per_1000": Key(
            "numbers", "of `cost`: route → dollars for 1,000 characters", minimum=0
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        **ROUTE_FACTS,
        "estimated_usd": Fact("by cost: what the call was thought to cost"),
        "outstanding": Fact("by load: the calls its agent had under way"),
    }

    def __init__(
        self,
        name: str,
        classifier: Slot | None = None,
        routes: Mapping[str, Slot] | None = None,
        *,
        strategy: Strategy | None = None,
        rules: Sequence[Rule] = (),
        costs: Mapping[str, float] | None = None,
        costs_per_1000: Mapping[str, float] | None = None,
        fallback: Slot | None = None,
        min_confidence: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"{self.pattern} {name!r}"
        if routes is not None and not isinstance(routes, Mapping):
            raise ConfigError(f"{where}: routes is a mapping of category → agent")
        slots = [
            slot for slot in (classifier, *(routes or {}).values(), fallback) if slot is not None
        ]
        super().__init__(
            name, slots, description=description, limits=limits, error_strategy=error_strategy
        )
        if not routes:
            raise ConfigError(f"{where} needs at least one route")
        given = {
            "classifier": classifier,
            "min_confidence": min_confidence,
            "rules": rules,
            "costs": costs,
            "costs_per_1000": costs_per_1000,
        }
        self.strategy = _strategy(where, strategy, [k for k, v in given.items() if v])
        check_given(
            self.config_keys,
            where,
            min_confidence=min_confidence,
            costs=costs,
            costs_per_1000=costs_per_1000,
        )
        self.min_confidence = min_confidence or 0.0
        self._classifier = slot_name(classifier, where) if classifier is not None else ""
        self._routes = {
            category: slot_name(slot, f"{where}, route {category!r}")
            for category, slot in routes.items()
        }
        self._fallback = slot_name(fallback, where) if fallback is not None else ""
        self._rules = tuple(rules)
        for rule in self._rules:
            self._known(rule.route, f"{where}: a rule")
        self._costs = self._priced(where, costs or {}, costs_per_1000 or {})
        self._outstanding: Counter[str] = Counter()

    def _known(self, route: str, where: str) -> None:
        if route not in self._routes:
            near = nearest(route, self._routes)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(self._routes)}"
            raise ConfigError(f"{where}: there is no route {route!r}; {hint}")

    def _priced(
        self, where: str, costs: Mapping[str, float], per_1000: Mapping[str, float]
    ) -> dict[str, tuple[float, float]]:
        for key, prices in (("costs", costs), ("costs_per_1000", per_1000)):
            for route, price in prices.items():
                self._known(route, f"{where}: {key}")
                if not 0 <= price < math.inf:
                    raise ConfigError(
                        f"{where}: {key} of {route!r} is {price}; it is dollars, finite and not negative"
                    )
        missing = [route for route in self._routes if route not in {*costs, *per_1000}]
        if self.strategy == "cost" and missing:
            raise ConfigError(f"{where}: costs has no price for the route {missing[0]!r}")
        return {route: (costs.get(route, 0), per_1000.get(route, 0)) for route in self._routes}

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; without `routes` each of `agents` answers the category of its own name."""
        where = f"{cls.pattern} {name!r}"
        settings = cls.settings(config, where)
        classifier = cast("Slot | None", settings.pop("classifier", None))
        fallback = cast("Slot | None", settings.pop("fallback", None))
        routes = cast("Mapping[str, Slot] | None", settings.pop("routes", None))
        if routes is None:
            apart = {slot_name(slot, where) for slot in (classifier, fallback) if slot is not None}
            named = {slot_name(slot, where): slot for slot in agents}
            routes = {target: slot for target, slot in named.items() if target not in apart}
        stated = cast("Sequence[Mapping[str, Any]]", settings.pop("rules", ()))
        try:
            rules = [Rule(**rule) for rule in stated]
        except ConfigError as exc:
            raise ConfigError(f"{where}: {exc}") from exc
        return cls(
            name,
            classifier,
            routes,
            fallback=fallback,
            limits=limits,
            **cast("dict[str, Any]", {**settings, **({"rules": rules} if rules else {})}),
        )

    def edges(self) -> Iterable[Edge]:
        """Who chooses, and between whom."""
        by = "route" if self.strategy == "classifier" else f"route by {self.strategy}"
        choice = Step(by, "choice")
        if self._classifier:
            yield Edge(START, self._classifier)
            yield Edge(self._classifier, choice)
        else:
            yield Edge(START, choice)
        for route, target in self._routes.items():
            told = [rule.told for rule in self._rules if rule.route == route]
            yield Edge(choice, target, f"{route}: {'; '.join(told)}" if told else route)
        if self._fallback:
            yield Edge(choice, self._fallback, "fallback", maybe=True)
        for target in dict.fromkeys([*self._routes.values(), self._fallback]):
            if target:
                yield Edge(target, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Choose a route, then have `message` answered."""
        if self.strategy == "classifier":
            choice = await self._classified(message, caller)
        else:
            choice = self._chosen(message)
        route, sure = choice.route, self._is_sure(choice)
        target = self._routes[route] if route is not None and sure else self._fallback
        if not target:
            raise AgentRefused(self._refusal(choice.category, route, choice.confidence))
        target, reply = await self._answered(target, message, caller)
        return self.result(
            reply,
            routed_to=target,
            category=choice.category[:SHOWN] if route is None else route,
            confidence=choice.confidence,
            used_fallback=route is None or not sure or target != self._routes[route],
            strategy=self.strategy,
            **choice.facts,
        )

    async def _classified(self, message: Message, caller: Caller) -> _Choice:
        """What the classifier says; nothing when the run goes on without it."""
        try:
            category, confidence = label_of(await caller.call(self._classifier, message))
        except AixgoError as exc:
            if not self._goes_on_after(exc):
                raise
            return _Choice(None)
        return _Choice(self._route(category), category, confidence)

    def _chosen(self, message: Message) -> _Choice:
        """The route by the rules, the costs or the load."""
        holding = dict.fromkeys(rule.route for rule in self._rules if rule.holds(message))
        if self.strategy == "rules":
            return _Choice(next(iter(holding), None))
        bound = {rule.route for rule in self._rules}
        able = [route for route in self._routes if route in holding or route not in bound]
        if not able:
            return _Choice(None)
        if self.strategy == "load":
            loads = {route: self._outstanding[self._routes[route]] for route in able}
            route = min(able, key=loads.__getitem__)  # of equals the first
            return _Choice(route, facts={"outstanding": loads[route]})
        length = len(message.text)
        prices = {
            route: call + per_1000 * length / 1000
            for route, (call, per_1000) in self._costs.items()
        }
        route = min(able, key=prices.__getitem__)
        return _Choice(route, facts={"estimated_usd": round(prices[route], 9)})

    async def _answered(self, target: str, message: Message, caller: Caller) -> tuple[str, Message]:
        """Who answered, and what."""
        self._outstanding[target] += 1
        try:
            return target, await caller.call(target, message)
        except AixgoError as exc:
            if target == self._fallback or not self._goes_on_after(exc):
                raise
        finally:
            self._outstanding[target] -= 1
        return self._fallback, await caller.call(self._fallback, message)

    def _is_sure(self, choice: _Choice) -> bool:
        return choice.confidence is None or choice.confidence >= self.min_confidence

    def _goes_on_after(self, error: AixgoError) -> bool:
        """Whether the fallback may answer although an agent failed."""
        strategy = self.error_strategy
        goes_on = strategy is not None and strategy.goes_on and bool(self._fallback)
        return goes_on and not ends_run(error, CallContext.current())

    def _route(self, category: str) -> str | None:
        return meant(category, self._routes)

    def _refusal(self, category: str, route: str | None, confidence: float | None) -> str:
        where = f"{self.pattern} {self.name!r}"
        known = ", ".join(repr(name) for name in self._routes)
        if route is None and self.strategy != "classifier":
            return f"{where}: no rule holds for the message, and there is no fallback; its routes: {known}"
        if route is None:
            return f"{where} has no route for {category[:SHOWN]!r} and no fallback; its routes: {known}"
        return (
            f"{where} has no fallback, and {route!r} was chosen with confidence {confidence}, "
            f"below {self.min_confidence}"
        )


def _strategy(where: str, strategy: Strategy | None, given: Sequence[str]) -> Strategy:
    """How it chooses; `given` are the settings that bear on it.

    Raises:
        ConfigError: nothing says how, what is needed is missing, or a setting belongs to another strategy.
    """
    if strategy is not None and strategy not in get_args(Strategy):
        near = nearest(strategy, get_args(Strategy))
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(get_args(Strategy))}"
        raise ConfigError(f"{where}: there is no strategy {strategy!r}; {hint}")
    if strategy is None and not {"classifier", "rules"} & {*given}:
        raise ConfigError(
            f"{where}: 'classifier' is missing; give a classifier, or rules, or strategy: cost or load"
        )
    found: Strategy = strategy or ("classifier" if "classifier" in given else "rules")
    for key in given:
        if found not in OWN[key]:
            raise ConfigError(f"{where}: {key} does not go with strategy {found!r}; drop one")
    if found in ("classifier", "rules") and found not in given:
        raise ConfigError(f"{where}: {found!r} is missing; the strategy {found!r} needs it")
    return found


PATTERN = Router
