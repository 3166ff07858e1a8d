"""Every error a caller of aixgo can meet, one class per state.

```
AixgoError
├─ ConfigError ── MissingExtra
├─ InvalidMessage · MessageTooLarge
├─ AgentError ── AgentNotFound · AgentExists · AgentNotReady · AgentFailed · AgentRefused · NotBound · SessionBusy
├─ DeliveryError ── MailboxFull · DeliveryExpired · Unavailable · IncompatiblePeer · KeyConflict · RuntimeClosed
├─ DeliveryError ── AttemptTimeout · CircuitOpen
├─ DeadlineExceeded (also TimeoutError)
├─ ProviderError ── ProviderUnavailable · RateLimited · RequestRejected · OutputInvalid
├─ Unauthenticated · PermissionDenied
└─ LimitExceeded ── HopLimit · BudgetExceeded · QueueFull · Throttled · CallTooLarge
```

A class states its gRPC status and whether trying again can help; nothing else in aixgo keeps a second
list. What an error may tell a remote caller is its `fields`: names and numbers that aixgo itself
wrote. Free text never leaves the process, with one exception that says so in its name's purpose:
`AgentRefused(text)` is how an agent speaks to its caller. Everything else an agent raises arrives as
`AgentFailed` with an error id, under which the traceback stands in the log of the process that ran it.

Below: nothing. Above: everything.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, cast

if TYPE_CHECKING:
    from aixgo.ledger import Usage

__all__ = [
    "AgentError",
    "AgentExists",
    "AgentFailed",
    "AgentNotFound",
    "AgentNotReady",
    "AgentRefused",
    "AixgoError",
    "AttemptTimeout",
    "BudgetExceeded",
    "CallTooLarge",
    "CircuitOpen",
    "ConfigError",
    "DeadlineExceeded",
    "DeliveryError",
    "DeliveryExpired",
    "FieldValue",
    "HopLimit",
    "IncompatiblePeer",
    "InvalidMessage",
    "KeyConflict",
    "LimitExceeded",
    "MailboxFull",
    "MessageTooLarge",
    "MissingExtra",
    "NotBound",
    "OutputInvalid",
    "PermissionDenied",
    "ProviderError",
    "ProviderUnavailable",
    "QueueFull",
    "RateLimited",
    "RequestRejected",
    "RuntimeClosed",
    "SessionBusy",
    "Throttled",
    "Unauthenticated",
    "Unavailable",
    "error_classes",
    "nearest",
    "new_error_id",
    "rebuild_error",
]

FieldValue: TypeAlias = str | int | float | bool | None

MAX_FIELD_LENGTH = (
    256  # characters of one field that cross a process boundary; names are at most 128
)
MAX_FIELD_BITS = 1024  # of an integer in one


def new_error_id() -> str:
    """An id that ties what a caller sees to the traceback in the callee's log."""
    return secrets.token_hex(6)


class AixgoError(Exception):
    """The base of every error aixgo raises.

    `status` is the gRPC status name the error travels under; `retryable` says whether the same call may
    succeed later; `fields` names the constructor's keyword arguments that are safe to show a remote caller.
    """

    status: ClassVar[str] = "INTERNAL"
    retryable: bool = False
    fields: ClassVar[tuple[str, ...]] = ()

    error_id: str = ""
    """Set once the error left an agent: the id its traceback is logged under."""
    agent: str = ""
    """The agent whose call failed, where that is known."""
    retry_after: float = 0.0
    """Seconds before which trying again makes no sense; 0 when nobody said."""
    usage: Usage | None = None
    """What the failed call of a model spent, where that is known; it stays in the process."""

    def __init__(self, text: str = "an error whose text stayed in the log of its process") -> None:
        super().__init__(text)

    def wire_fields(self) -> dict[str, FieldValue]:
        """The part of this error that may cross to a caller in another process."""
        found: dict[str, FieldValue] = {}
        for name in self.fields:
            value = getattr(self, name)
            found[name] = value[:MAX_FIELD_LENGTH] if isinstance(value, str) else value
        return found

    @classmethod
    def from_fields(cls, fields: Mapping[str, FieldValue]) -> Self:
        """Rebuild the error a peer described; missing fields take their defaults, unknown ones are dropped."""
        known = {name: value for name, value in fields.items() if name in cls.fields}
        return cls(**cast("dict[str, str]", known))  # what does not fit its class raises here


class ConfigError(AixgoError):
    """The configuration or the way aixgo was called is wrong; the text says where and what to do."""

    status = "INVALID_ARGUMENT"

    def __init__(self, text: str = "the configuration of the agent that answered is wrong") -> None:
        super().__init__(text)


class MissingExtra(ConfigError):
    """A feature needs a package that is not installed."""

    fields: ClassVar[tuple[str, ...]] = ("feature", "extra")

    def __init__(self, feature: str = "", extra: str = "") -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(
            f"{feature} needs a package that is not installed: pip install 'aixgo[{extra}]'"
        )


class InvalidMessage(AixgoError):
    """A payload or a part of a message lies outside what a Message, or the agent it went to, can take.

    `path` says where; `expected` names the type that was wanted, where one was.
    """

    status = "INVALID_ARGUMENT"
    fields: ClassVar[tuple[str, ...]] = ("path", "expected")

    def __init__(self, problem: str = "", path: str = "message", expected: str = "") -> None:
        self.path = path
        self.expected = expected
        super().__init__(
            f"{path} {problem or 'does not fit ' + (expected or 'what it is used for')}"
        )


class MessageTooLarge(AixgoError):
    """A message is larger than one message may be."""

    status = "RESOURCE_EXHAUSTED"
    fields: ClassVar[tuple[str, ...]] = ("size", "limit")

    def __init__(self, size: int = 0, limit: int = 0) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"the message holds {size} bytes, {limit} are allowed; send a reference instead"
        )


class AgentError(AixgoError):
    """Something about one agent."""


class AgentNotFound(AgentError):
    """No agent of that name is hosted here or known as a peer."""

    status = "NOT_FOUND"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "", known: Iterable[str] = ()) -> None:
        self.name = name
        near = nearest(name, known)
        super().__init__(
            f"no agent is called {name!r}" + (f"; did you mean {near!r}?" if near else "")
        )


class AgentExists(AgentError):
    """The name, or another name with the same slug, is taken in this runtime."""

    status = "ALREADY_EXISTS"
    fields: ClassVar[tuple[str, ...]] = ("name", "taken_by")

    def __init__(self, name: str = "", taken_by: str = "") -> None:
        self.name = name
        self.taken_by = taken_by or name
        if self.taken_by == name:
            text = f"an agent called {name!r} is registered already"
        else:
            text = f"the name {name!r} collides with {taken_by!r}: both have the same slug"
        super().__init__(text)


class AgentNotReady(AgentError):
    """The agent exists but has not started, failed to start, or says it is not ready."""

    status = "UNAVAILABLE"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name", "state")

    def __init__(self, name: str = "", state: str = "not ready") -> None:
        self.name = name
        self.state = state
        super().__init__(f"agent {name!r} is {state}")


class AgentFailed(AgentError):
    """The agent raised something that is no aixgo error; the text stays in its own process."""

    status = "INTERNAL"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "", error_id: str = "") -> None:
        self.name = name
        self.agent = name
        self.error_id = error_id
        super().__init__(
            f"agent {name!r} failed (error id {error_id or 'unknown'}: its log has the traceback)"
        )


class AgentRefused(AgentError):
    """An agent declines, in words meant for its caller: the only error whose text crosses processes."""

    status = "FAILED_PRECONDITION"
    fields: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, text: str = "the agent refused") -> None:
        self.text = text
        super().__init__(text)

    def wire_fields(self) -> dict[str, FieldValue]:
        """The whole text up to 2048 characters, because it was written for the caller."""
        return {"text": self.text[:2048]}


class NotBound(AgentError):
    """An orchestrator was executed without a runtime that could deliver its calls."""

    status = "FAILED_PRECONDITION"
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(
            f"{name!r} is not bound: register it in a runtime and call it there by name"
        )


class SessionBusy(AgentError):
    """The session has a chat under way with this agent; a session has one at a time."""

    status = "ABORTED"
    retryable = True
    fields: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"the session has a chat with {name!r} under way; wait for its end")


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


class ProviderError(AixgoError):
    """A model provider did not answer as asked. `provider` and `code` say which and how."""

    status = "UNAVAILABLE"
    fields: ClassVar[tuple[str, ...]] = ("provider", "code", "retry_after")

    def __init__(
        self, text: str = "", *, provider: str = "", code: str = "", retry_after: float = 0.0
    ) -> None:
        self.provider = provider
        self.code = code
        self.retry_after = retry_after
        super().__init__(text or f"the model provider {provider!r} failed ({code or self.status})")


class ProviderUnavailable(ProviderError):
    """The provider is overloaded, unreachable or failed on its side."""

    retryable = True


class RateLimited(ProviderError):
    """The provider asks to slow down."""

    status = "RESOURCE_EXHAUSTED"
    retryable = True


class RequestRejected(ProviderError):
    """The provider refused the request as it stands: wrong key, unknown model, filtered content."""

    status = "INVALID_ARGUMENT"


class OutputInvalid(ProviderError):
    """The model's answer does not fit the schema it was asked for, after all repair attempts."""

    status = "FAILED_PRECONDITION"


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


def error_classes() -> dict[str, type[AixgoError]]:
    """Every error class by name, the vocabulary two processes share."""
    found: dict[str, type[AixgoError]] = {}
    pending: list[type[AixgoError]] = [AixgoError]
    while pending:
        cls = pending.pop()
        if cls.__module__ == __name__:
            found[cls.__name__] = cls
            pending.extend(cls.__subclasses__())
    return found


def rebuild_error(
    kind: str, fields: Mapping[str, FieldValue], *, agent: str = "", error_id: str = ""
) -> AixgoError:
    """The error `kind` with `fields`, as its own class; a kind nobody knows becomes `AgentFailed`.

    Both legs of a call use it: a local failure is rebuilt from the same fields a remote one crosses
    with, so that class, text and retryability do not depend on where the agent runs.
    """
    cls = error_classes().get(kind, AgentFailed)
    sound = {name: _sound(value) for name, value in fields.items()}
    sound = {name: value for name, value in sound.items() if value is not None}
    try:
        error = cls.from_fields(sound) if cls is not AgentFailed else AgentFailed(agent, error_id)
    except (TypeError, ValueError):  # a peer sent fields of the wrong shape
        error = AgentFailed(agent, error_id)
    error.agent = agent
    error.error_id = error_id
    return error


def _sound(value: object) -> FieldValue:
    """`value`, which may be anything, as every process can have it; None if it can not.

    An error must cross, whatever was put into it.
    """
    if isinstance(value, str):
        return str.__str__(value).encode(errors="replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return value if value is True or value is False else _bounded(int(value))
    return None


def _bounded(value: int) -> int | None:
    return value if value.bit_length() <= MAX_FIELD_BITS else None


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name`, or "" when none is close; for 'did you mean' in errors."""
    import difflib  # rarely needed, and not at import

    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""
