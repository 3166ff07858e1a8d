"""What becomes of a run when an agent fails: `ErrorStrategy`, and how a file states one.

Below: keys. Beside: `_attempts`, which carries it out for one call. Above: `base`, which takes it for every pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, get_args

from aixgo.contract import Agent
from aixgo.errors import ConfigError, nearest
from aixgo.keys import Key

__all__ = [
    "SHARED_KEYS",
    "STEP_TIMEOUT",
    "STRATEGY_KEYS",
    "ErrorStrategy",
    "OnFailure",
    "take_strategy",
]

OnFailure: TypeAlias = Literal["continue", "fail_fast", "retry"]

MAX_RETRIES = 3  # of `retry`, where nobody said
DELAY = 2.0  # seconds


@dataclass(slots=True, frozen=True)
class ErrorStrategy:
    """What becomes of a run when an agent of it fails.

    - "continue": the run goes on without the agent; its result says who is missing and why.
    - "fail_fast": the first failure ends the run; nobody is asked again or instead.
    - "retry": the agent is asked again, then others are asked in its stead; then the run ends.

    A run that ends stops the agents still at work, and its error holds in `partial` what the others answered. Limits,
    budgets and the run's own deadline end it whatever the strategy.

    Raises:
        ConfigError: there is no such strategy, a number is out of bounds, or a setting belongs to another strategy.
    """

    kind: OnFailure
    max_retries: int | None = None
    """Attempts after the first, for errors that say they may pass: by default 3 of `retry`, none of `continue`."""
    retry_delay: float = DELAY
    """Seconds before the first retry; doubles with each, up to a minute, and a random part of it is waited."""
    min_successes: int | None = None
    """Of `continue`: agents that have to answer, by default one."""
    fallbacks: Mapping[str, Sequence[Agent | str]] = field(default_factory=dict)
    """Agent → those asked in its stead when it failed for good, in order."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(OnFailure):
            near = nearest(str(self.kind), get_args(OnFailure))
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(KINDS)}"
            raise ConfigError(f"error_strategy: there is no {self.kind!r}; {hint}")
        if self.max_retries is not None and not _whole(self.max_retries, 0):
            raise ConfigError(
                f"error_strategy: max_retries is {self.max_retries!r}; it is a whole number from 0 up"
            )
        delay: object = self.retry_delay
        if not isinstance(delay, (int, float)) or not 0 <= delay < math.inf:
            raise ConfigError(
                f"error_strategy: retry_delay is {self.retry_delay!r}; it is seconds, finite and not negative"
            )
        if self.min_successes is not None and not _whole(self.min_successes, 1):
            raise ConfigError(
                f"error_strategy: min_successes is {self.min_successes!r}; it is a whole number from 1 up"
            )
        if self.kind == "fail_fast" and (self.max_retries or self.fallbacks):
            given = "max_retries" if self.max_retries else "fallbacks"
            raise ConfigError(
                f"error_strategy: {given} does not go with 'fail_fast', which asks nobody twice; use 'retry'"
            )
        if self.kind != "continue" and self.min_successes is not None:
            raise ConfigError(
                f"error_strategy: min_successes does not go with {self.kind!r}, which needs all; use 'continue'"
            )
        if not isinstance(self.fallbacks, Mapping):
            raise ConfigError(
                "error_strategy: fallbacks is a mapping of agent → those asked instead"
            )
        for name, others in self.fallbacks.items():
            if isinstance(others, str) or not others:
                raise ConfigError(
                    f"error_strategy: fallbacks of {name!r} must be a list of agents, and not empty"
                )

    @property
    def goes_on(self) -> bool:
        """Whether a run survives the failure of an agent."""
        return self.kind == "continue"

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        if self.max_retries is not None:
            return self.max_retries
        return MAX_RETRIES if self.kind == "retry" else 0

    @property
    def needed(self) -> int:
        """Agents that have to answer."""
        return self.min_successes or 1

    @classmethod
    def of(cls, given: ErrorStrategy | OnFailure | None) -> ErrorStrategy | None:
        """The strategy somebody gave, or named.

        Raises:
            ConfigError: there is none of that name.
        """
        return given if given is None or isinstance(given, ErrorStrategy) else cls(given)


KINDS = get_args(OnFailure)

STRATEGY_KEYS: Mapping[str, Key] = {
    "error_strategy": Key("text", "what becomes of the run when an agent fails", choices=KINDS),
    "max_retries": Key(
        "integer", "of each call, after the first attempt; 3 of `retry`, else 0", minimum=0
    ),
    "retry_delay": Key(
        "duration", "before the first retry; doubles with each", default=DELAY, minimum=0
    ),
    "min_successes": Key(
        "integer", "of `continue`: agents that have to answer", default=1, minimum=1
    ),
    "fallbacks": Key("slots map", "agent → those asked in its stead when it failed for good"),
}

SHARED_KEYS: Mapping[str, Key] = {
    "timeout": Key(
        "duration", "time for each call of an agent; of several attempts for each", minimum=0
    ),
    **STRATEGY_KEYS,
}
"""The keys of every pattern's `config:`."""

STEP_TIMEOUT = Key("duration", "another name of `timeout`", minimum=0, same_as="timeout")
"""For patterns of which a call is a step."""


def take_strategy(
    settings: dict[str, object], own: Mapping[str, Key], where: str
) -> ErrorStrategy | None:
    """The strategy that checked `settings` state, taken out of them but for keys a pattern has as its `own`.

    Raises:
        ConfigError: the settings do not fit each other, or there is no strategy they belong to.
    """
    kind = settings.pop("error_strategy", None)
    found = {
        name: settings.pop(name) for name in STRATEGY_KEYS if name in settings and name not in own
    }
    if kind is None:
        if found:
            raise ConfigError(
                f"{where}: {', '.join(found)} needs an error_strategy: {' or '.join(KINDS)}"
            )
        return None
    try:
        return ErrorStrategy(cast("OnFailure", kind), **found)  # type: ignore[arg-type]  # checked by their keys
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
