"""One of every error an agent can raise, and what is no error of ours."""

from __future__ import annotations

import asyncio

from aixgo import AgentRefused, AixgoError, errors

__all__ = ["FOREIGN", "SAMPLES", "OwnRefusal", "failing"]


class OwnRefusal(AgentRefused):
    """An agent author's own subclass: it crosses as the aixgo class it is."""


SAMPLES: dict[str, AixgoError] = {
    "AixgoError": AixgoError("secret"),
    "ConfigError": errors.ConfigError("secret"),
    "MissingExtra": errors.MissingExtra("the moon", "moon"),
    "InvalidMessage": errors.InvalidMessage("secret", "payload.x", "Pair"),
    "MessageTooLarge": errors.MessageTooLarge(12, 11),
    "AgentError": errors.AgentError("secret"),
    "AgentNotFound": errors.AgentNotFound("ecko", ["echo"]),
    "AgentExists": errors.AgentExists("Echo", "echo"),
    "AgentNotReady": errors.AgentNotReady("other", "warming up"),
    "AgentFailed": errors.AgentFailed("other"),
    "AgentRefused": AgentRefused("no, and here is why: ä \U0001f600"),
    "NotBound": errors.NotBound("debate"),
    "SessionBusy": errors.SessionBusy("other"),
    "DeliveryError": errors.DeliveryError("secret"),
    "MailboxFull": errors.MailboxFull("other", 7),
    "DeliveryExpired": errors.DeliveryExpired("other"),
    "Unavailable": errors.Unavailable("other", "it is away"),
    "AttemptTimeout": errors.AttemptTimeout("other", 2.5),
    "CircuitOpen": errors.CircuitOpen("other", 12.5),
    "IncompatiblePeer": errors.IncompatiblePeer(2, 1),
    "KeyConflict": errors.KeyConflict("other"),
    "RuntimeClosed": errors.RuntimeClosed("draining"),
    "DeadlineExceeded": errors.DeadlineExceeded("other"),
    "ProviderError": errors.ProviderError("secret", provider="acme", code="500"),
    "ProviderUnavailable": errors.ProviderUnavailable(
        "secret", provider="acme", code="503", retry_after=2.5
    ),
    "RateLimited": errors.RateLimited("secret", provider="acme", code="429", retry_after=1.5),
    "RequestRejected": errors.RequestRejected("secret", provider="acme", code="400"),
    "OutputInvalid": errors.OutputInvalid("secret", provider="acme", code="schema"),
    "Unauthenticated": errors.Unauthenticated(),
    "PermissionDenied": errors.PermissionDenied("other"),
    "LimitExceeded": errors.LimitExceeded("max_depth", 10, "other"),
    "HopLimit": errors.HopLimit(32, "other"),
    "BudgetExceeded": errors.BudgetExceeded("usd", 3, "other"),
    "QueueFull": errors.QueueFull(10, "other"),
    "Throttled": errors.Throttled(2.5, "other"),
    "CallTooLarge": errors.CallTooLarge(1500, 1000, "other"),
}
"""One of every error class, with words in it that must not reach the caller where they are free text."""

FOREIGN: dict[str, BaseException] = {
    "ValueError": ValueError("secret"),
    "TimeoutError": TimeoutError("secret"),
    "StopAsyncIteration": StopAsyncIteration("secret"),
    "CancelledError": asyncio.CancelledError("secret"),
    "SystemExit": SystemExit("secret"),
    "KeyboardInterrupt": KeyboardInterrupt("secret"),
    "GeneratorExit": GeneratorExit("secret"),
    "ExceptionGroup": ExceptionGroup("secret", [ValueError("secret")]),
}
"""What is no aixgo error: whatever it is, its caller gets AgentFailed."""


def failing(kind: str) -> BaseException:
    """The sample of that name, as if it were raised for the first time."""
    return (SAMPLES.get(kind) or FOREIGN[kind]).with_traceback(None)
