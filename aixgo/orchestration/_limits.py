"""What one run of an orchestration may take.

Below: ledger, keys. Above: `base`, which holds runs to it, and config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from aixgo.errors import ConfigError
from aixgo.keys import Key, check_given, read_keys
from aixgo.ledger import Budget

__all__ = ["LIMIT_KEYS", "Limits"]

BUDGET_KEYS: Mapping[str, Key] = {
    "usd": Key("number", "dollars", minimum=0),
    "tokens": Key("integer", "tokens", minimum=0),
    "calls": Key("integer", "model calls", minimum=0),
}

LIMIT_KEYS: Mapping[str, Key] = {
    "max_agents": Key(
        "integer", "agents this orchestration may reach, nested ones included", minimum=0
    ),
    "max_depth": Key("integer", "agents a call may pass through below this one", minimum=0),
    "max_iterations": Key(
        "integer", "rounds of a pattern that repeats; then the best result is given", minimum=0
    ),
    "timeout": Key("duration", "time for one run", minimum=0),
    "budget": Key("mapping", "what one run may spend", fields=BUDGET_KEYS),
    "max_tokens": Key("integer", "tokens after which no further call is made", minimum=0),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Limits:
    """What one run of an orchestration may take; `timeout` is in seconds.

    Raises:
        ConfigError: a limit is negative, or of another type.
    """

    max_agents: int = 100
    max_depth: int = 10
    max_iterations: int = 10
    timeout: float = 300.0
    max_tokens: int = 100_000
    budget: Budget | None = None
    """What one run may spend of what its caller lent it; refused before it is spent, unlike `max_tokens`."""

    def __post_init__(self) -> None:
        if not isinstance(self.budget, Budget | None):
            raise ConfigError(f"Limits(budget={self.budget!r}): give Budget(usd=…)")
        counts = {name: getattr(self, name) for name in LIMIT_KEYS if name != "budget"}
        for name, value in counts.items():
            if value is None:
                raise ConfigError(f"Limits: {name} is None; leave it out for its default")
        check_given(LIMIT_KEYS, "Limits", **counts)

    @classmethod
    def from_config(cls, given: Mapping[str, object], where: str = "limits") -> Self:
        """The limits a YAML mapping states; durations may be text."""
        found = dict(read_keys(LIMIT_KEYS, given, where))
        if "budget" in found:
            found["budget"] = Budget(**cast("dict[str, int]", found["budget"]))
        return cls(**cast("Any", found))
