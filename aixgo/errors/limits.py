"""Bounds that somebody set and a call reached."""

from __future__ import annotations

from typing import ClassVar

from aixgo.errors.base import AixgoError

__all__ = [
    "BudgetExceeded",
    "CallTooLarge",
    "HopLimit",
    "LimitExceeded",
    "QueueFull",
    "Throttled",
]


class LimitExceeded(AixgoError):
    """A bound somebody set was reached: agents, depth, in-flight calls, tokens."""

    status = "RESOURCE_EXHAUSTED"
    fields: ClassVar[tuple[str, ...]] = ("limit", "value", "where")

    def __init__(self, limit: str = "", value: int = 0, where: str = "") -> None:
        self.limit = limit
        self.value = value
        self.where = where
        super().__init__(f"{limit} of {value} exceeded" + (f" at {where!r}" if where else ""))


class HopLimit(LimitExceeded):
    """The call passed through more agents than its path allows."""

    fields: ClassVar[tuple[str, ...]] = ("value", "where")

    def __init__(self, value: int = 0, where: str = "") -> None:
        super().__init__("the hop limit", value, where)

    def __str__(self) -> str:
        return (
            f"{super().__str__()}: the call would pass through more agents than that; nest fewer, "
            "or raise limits.max_depth of the patterns above, up to 32 in all"
        )


class BudgetExceeded(LimitExceeded):
    """The next step would spend more than the call was given.

    `limit` is the side that is not enough: money, tokens or model calls; `value` what the call was given of it,
    money in nano-dollars. `where` is the path of agents down to the one that would have gone over, and `spent`
    says what was spent where, by agent.
    """

    fields: ClassVar[tuple[str, ...]] = ("limit", "value", "where", "spent")

    def __init__(
        self, limit: str = "the budget", value: int = 0, where: str = "", spent: str = ""
    ) -> None:
        super().__init__(limit, value, where)
        self.spent = spent

    def __str__(self) -> str:
        given = f"${self.value / 1_000_000_000:.6f}" if self.limit == "money" else str(self.value)
        at = f" at {self.where!r}" if self.where else ""
        return f"the budget of {given} ({self.limit}) would be exceeded{at}; spent: {self.spent or 'nothing'}"


class QueueFull(LimitExceeded):
    """As many calls as may wait for a limiter do."""

    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("value", "where")

    def __init__(self, value: int = 0, where: str = "") -> None:
        super().__init__("the queue of the limiter", value, where)


class Throttled(LimitExceeded):
    """A limiter of ours could not let the call in within the time it had; nothing was asked.

    `retry_after` is in seconds, and the least after which there can be room.
    """

    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("where", "retry_after")

    def __init__(self, retry_after: float = 0.0, where: str = "") -> None:
        super().__init__("the limiter", 0, where)
        self.retry_after = retry_after

    def __str__(self) -> str:
        at = f" of {self.where!r}" if self.where else ""
        return f"the limiter has no room for the call{at} in time; try again after {self.retry_after:g} s"


class CallTooLarge(LimitExceeded):
    """A model call may use more tokens than its limiter lets through in a minute, so waiting would not help."""

    fields: ClassVar[tuple[str, ...]] = ("tokens", "value", "where")

    def __init__(self, tokens: int = 0, value: int = 0, where: str = "") -> None:
        super().__init__("tokens per minute", value, where)
        self.tokens = tokens

    def __str__(self) -> str:
        at = f" of {self.where!r}" if self.where else ""
        return (
            f"the call{at} may take {self.tokens} tokens, more than the {self.value} its limiter lets through "
            "in a minute; set max_tokens or lower it, shorten the prompt, or raise the limit"
        )
