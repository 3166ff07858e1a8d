"""What can keep a message from its agent: the way there, the time, or who the caller is."""

from __future__ import annotations

from typing import ClassVar

from aixgo.errors.base import AixgoError

__all__ = [
    "AttemptTimeout",
    "CircuitOpen",
    "DeadlineExceeded",
    "DeliveryError",
    "DeliveryExpired",
    "IncompatiblePeer",
    "KeyConflict",
    "MailboxFull",
    "PermissionDenied",
    "RuntimeClosed",
    "Unauthenticated",
    "Unavailable",
]


class DeliveryError(AixgoError):
    """A message could not be delivered, or nobody can tell whether it was."""

    status = "UNAVAILABLE"


class MailboxFull(DeliveryError):
    """The target's mailbox stayed full for the whole send timeout."""

    status = "RESOURCE_EXHAUSTED"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "capacity")

    def __init__(self, name: str = "", capacity: int = 0) -> None:
        self.name = name
        self.capacity = capacity
        super().__init__(
            f"the mailbox of {name!r} is full ({capacity} messages); its reader is too slow"
        )


class DeliveryExpired(DeliveryError):
    """A message waited in a mailbox past the time it was given."""

    status = "DEADLINE_EXCEEDED"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"a message to {name!r} expired in its mailbox")


class Unavailable(DeliveryError):
    """The peer cannot be reached, went away, or refused before starting.

    `outcome` is "not_started" when the call certainly did not run, "unknown" when it may have.
    Only the first may be tried again by itself.
    """

    status = "UNAVAILABLE"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "reason", "outcome")

    def __init__(
        self, name: str = "", reason: str = "unreachable", outcome: str = "not_started"
    ) -> None:
        self.name = name
        self.reason = reason
        self.outcome = outcome
        self.retryable = outcome != "unknown"
        tail = "" if self.retryable else "; whether the call took effect is unknown"
        super().__init__(f"{name!r} is unavailable: {reason}{tail}")


class AttemptTimeout(DeliveryError):
    """One attempt took longer than it was given, while the call still has time."""

    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "seconds")

    def __init__(self, name: str = "", seconds: float = 0.0) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(f"{name!r} did not answer within {seconds:g} s")


class CircuitOpen(DeliveryError):
    """A circuit breaker refused the call, because what it goes to kept failing."""

    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "retry_after")

    def __init__(self, name: str = "", retry_after: float = 0.0) -> None:
        self.name = name
        self.retry_after = retry_after
        after = f"after {retry_after:.3g} s" if retry_after else "once the trial calls have ended"
        super().__init__(f"{name!r} kept failing and is not asked; try again {after}")


class IncompatiblePeer(DeliveryError):
    """The peer speaks another major version of the wire."""

    status = "UNIMPLEMENTED"
    fields: ClassVar[tuple[str, ...]] = ("theirs", "ours")

    def __init__(self, theirs: int = 0, ours: int = 0) -> None:
        self.theirs = theirs
        self.ours = ours
        super().__init__(
            f"the peer speaks wire version {theirs}, this process {ours}; upgrade the older one"
        )


class KeyConflict(DeliveryError):
    """An idempotency key was used again with another payload."""

    status = "ABORTED"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"the idempotency key was used for {name!r} before, with another payload")


class RuntimeClosed(DeliveryError):
    """The runtime has not started, is stopping or has stopped; or the task outlived its call."""

    status = "UNAVAILABLE"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("state",)

    def __init__(self, state: str = "closed") -> None:
        self.state = state
        super().__init__(f"the runtime is {state}")


class DeadlineExceeded(AixgoError, TimeoutError):
    """The time of the call ran out, whichever hop it was spent at."""

    status = "DEADLINE_EXCEEDED"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"the deadline of the call to {name!r} passed")


class Unauthenticated(AixgoError):
    """The caller did not prove who it is."""

    status = "UNAUTHENTICATED"
    fields: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        tail = f": {reason}" if reason else ""
        super().__init__(f"the peer did not accept the caller's identity{tail}")


class PermissionDenied(AixgoError):
    """The caller is known and may not do this."""

    status = "PERMISSION_DENIED"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"calling {name!r} is not permitted")
