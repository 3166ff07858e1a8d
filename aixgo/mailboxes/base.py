"""The mailbox contract.

A mailbox is bounded, in order, and delivers what it accepted at most once, unless its kind promises
more. Below: message. Above: runtimes put and take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aixgo.context import CallContext, Hop
from aixgo.ledger import Budget
from aixgo.message import Message

__all__ = ["Mailbox", "Posted"]


@dataclass(slots=True, frozen=True, kw_only=True)
class Posted:
    """A message in a mailbox with what it keeps of the call it was sent from."""

    message: Message
    hops: tuple[Hop, ...] = ()
    max_hops: int = 0
    key: str = ""
    session: str = ""
    peer: str = ""
    principal: str = ""
    tenant: str = ""
    traceparent: str = ""
    tracestate: str = ""
    baggage: Mapping[str, str] | None = None
    budget: Budget | None = None

    @classmethod
    def of(cls, message: Message, context: CallContext) -> Posted:
        """`message` as sent in `context`."""
        return cls(
            message=message,
            hops=context.hops,
            max_hops=context.max_hops,
            key=context.key,
            session=context.session,
            peer=context.peer,
            principal=context.principal,
            tenant=context.tenant,
            traceparent=context.traceparent,
            tracestate=context.tracestate,
            baggage=context.baggage,
            budget=context.budget,
        )


class Mailbox(Protocol):
    """A bounded queue with one owner."""

    @property
    def capacity(self) -> int: ...

    def __len__(self) -> int: ...

    async def put(self, posted: Posted, timeout: float) -> None:
        """Add `posted`, waiting up to `timeout` seconds for room.

        Raises:
            MailboxFull: there was no room in time.
            RuntimeClosed: the mailbox is closed.
        """
        ...

    async def get(self, timeout: float | None = None) -> Posted:
        """Take the oldest entry, waiting up to `timeout` seconds for one.

        Raises:
            DeadlineExceeded: none came in time.
            RuntimeClosed: the mailbox is closed.
        """
        ...

    def close(self) -> list[Posted]:
        """Wake all who wait, refuse from now on; gives what nobody took."""
        ...
