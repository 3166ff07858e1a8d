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

from aixgo.errors.agents import (
    AgentError,
    AgentExists,
    AgentFailed,
    AgentNotFound,
    AgentNotReady,
    AgentRefused,
    NotBound,
    SessionBusy,
)
from aixgo.errors.base import (
    AixgoError,
    ConfigError,
    FieldValue,
    InvalidMessage,
    MessageTooLarge,
    MissingExtra,
    nearest,
    new_error_id,
)
from aixgo.errors.crossing import (
    MAX_PARTIAL,
    error_classes,
    partial_bytes,
    read_partial,
    rebuild_error,
    words_for_anybody,
)
from aixgo.errors.delivery import (
    AttemptTimeout,
    CircuitOpen,
    DeadlineExceeded,
    DeliveryError,
    DeliveryExpired,
    IncompatiblePeer,
    KeyConflict,
    MailboxFull,
    PermissionDenied,
    RuntimeClosed,
    Unauthenticated,
    Unavailable,
)
from aixgo.errors.limits import (
    BudgetExceeded,
    CallTooLarge,
    HopLimit,
    LimitExceeded,
    QueueFull,
    Throttled,
)
from aixgo.errors.providers import (
    OutputInvalid,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)

__all__ = [
    "MAX_PARTIAL",
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
    "partial_bytes",
    "read_partial",
    "rebuild_error",
    "words_for_anybody",
]
