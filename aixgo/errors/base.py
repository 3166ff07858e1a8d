"""The base of every error, its fields and its id; and what is wrong with a configuration or a message.

Below: nothing. Above: the other modules of this package.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, cast

if TYPE_CHECKING:
    from aixgo.domain import JSONValue
    from aixgo.ledger import Usage

__all__ = [
    "AixgoError",
    "ConfigError",
    "FieldValue",
    "InvalidMessage",
    "MessageTooLarge",
    "MissingExtra",
    "nearest",
    "new_error_id",
]

FieldValue: TypeAlias = str | int | float | bool | None

MAX_FIELD_LENGTH = (
    256  # characters of one field that cross a process boundary; names are at most 128
)


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
    partial: list[JSONValue] | None = None
    """What an orchestration with an error strategy had when it failed: for each call it made the `agent`, and its
    `reply`, or its `error` with `class` and `text`, or that it was `stopped`; of a consensus that was not come to, with
    or without a strategy, each agent's last answer, whose it `stands_for`, and the `reason`. At most `MAX_PARTIAL`
    bytes of JSON."""

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


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name`, or "" when none is close; for 'did you mean' in errors."""
    import difflib  # rarely needed, and not at import

    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""
