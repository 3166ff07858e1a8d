"""Money, tokens and model calls: what a call used and what it may use.

Money is counted in integer nano-dollars, so that sums are exact in any order. Below: errors. Above:
messages carry `Usage`, contexts carry `Budget`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from aixgo.errors import ConfigError

__all__ = ["NANOS_PER_USD", "Budget", "Usage"]

NANOS_PER_USD = 1_000_000_000


@dataclass(slots=True)
class Usage:
    """What a call spent: its own model calls plus everything its callees reported."""

    cost_nanos: int = 0
    """Nano-dollars."""
    tokens_prompt: int = 0
    tokens_completion: int = 0
    tokens_cached: int = 0
    """The part of `tokens_prompt` the provider served from its cache."""
    tokens_reasoning: int = 0
    """The part of `tokens_completion` spent on reasoning."""
    calls: int = 0
    """Model calls, retries included."""
    unsettled: bool = False
    """Part of it is what somebody was lent and did not account for, so that less may have been spent."""

    @property
    def cost_usd(self) -> float:
        return self.cost_nanos / NANOS_PER_USD

    @property
    def tokens_total(self) -> int:
        return self.tokens_prompt + self.tokens_completion

    def add(self, other: Usage) -> None:
        """Add what another call spent to this one, in place."""
        self.cost_nanos += other.cost_nanos
        self.tokens_prompt += other.tokens_prompt
        self.tokens_completion += other.tokens_completion
        self.tokens_cached += other.tokens_cached
        self.tokens_reasoning += other.tokens_reasoning
        self.calls += other.calls
        self.unsettled = self.unsettled or other.unsettled

    def check(self) -> None:
        """Return if every count is a whole number that is not negative.

        Raises:
            ConfigError: one is not.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"Usage({name}={value!r}): a count is a whole number from 0 up")

    def __bool__(self) -> bool:
        """True when anything was spent."""
        return bool(
            self.calls
            or self.cost_nanos
            or self.tokens_prompt
            or self.tokens_completion
            or self.tokens_cached
            or self.tokens_reasoning
            or self.unsettled
        )

    def as_metadata(self) -> dict[str, int | float]:
        """The keys a result's metadata shows."""
        shown: dict[str, int | float] = {
            "cost_usd": self.cost_usd,
            "tokens_total": self.tokens_total,
            "tokens_prompt": self.tokens_prompt,
            "tokens_completion": self.tokens_completion,
        }
        if self.unsettled:
            shown["unsettled"] = True
        return shown


@dataclass(slots=True, frozen=True)
class Budget:
    """What a call and everything below it may spend; `None` leaves that side open.

    Raises:
        ConfigError: a limit is negative or not finite.
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    """Model calls."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(
                    f"Budget({field.name}={value!r}): a budget is finite and not negative"
                )

    @property
    def nanos(self) -> int | None:
        """The money side in nano-dollars."""
        return None if self.usd is None else round(self.usd * NANOS_PER_USD)
