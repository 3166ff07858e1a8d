"""What every runtime takes and tells: options, metrics, health, and where a name may lead.

Below: context, contract. Above: registry, base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypedDict

from aixgo.context import CallContext, Clock
from aixgo.contract import AgentDescription
from aixgo.message import Message
from aixgo.middleware import Middleware, ReplyStream, Request, Response
from aixgo.rpc.traffic import WireMetrics

__all__ = ["CallMiddleware", "Health", "Metrics", "Route", "RuntimeOptions"]

CallMiddleware: TypeAlias = Middleware[Request, Response]


class Route(Protocol):
    """Where a name leads."""

    @property
    def is_quick(self) -> bool:
        """Whether the agent is known to neither orchestrate nor use a model."""
        ...

    async def call(self, message: Message, context: CallContext) -> Message: ...

    async def stream(self, message: Message, context: CallContext) -> ReplyStream: ...

    async def send(self, message: Message, context: CallContext) -> None: ...

    async def recv(self, timeout: float | None) -> Message:
        """The next message of the agent's own mailbox; see `Caller.recv`."""
        ...

    def description(self) -> AgentDescription | None:
        """What is known of the agent; None for a peer that was not asked yet."""
        ...


class RuntimeOptions(TypedDict, total=False):
    """The keywords every runtime takes."""

    max_in_flight: int
    """Calls executed at a time (20,000); more wait for their turn until their deadline."""
    mailbox_capacity: int
    """Messages one mailbox holds (100)."""
    middleware: Sequence[CallMiddleware]
    """Around every call made here, first outermost."""
    principal: str
    """Who calls made outside any call act for."""
    clock: Clock
    start_timeout: float
    """Seconds an agent may take to start and be ready (30)."""
    stop_grace: float
    """Seconds `stop` waits for calls in flight (25)."""


class Metrics(TypedDict):
    """Counters since the start, and gauges of this moment."""

    agents: int
    calls_succeeded: int
    calls_failed: int
    calls_in_flight: int
    calls_waiting: int
    call_seconds: float
    """Summed duration of the calls that have ended."""
    call_seconds_mean: float
    errors: dict[str, int]
    """Why calls failed, by the error's class; besides, `cancelled`, and `left` for streams nobody read to the end."""
    messages_sent: int
    messages_received: int
    messages_refused: int
    """Sent messages that a full mailbox here had no room for."""
    dead_letters: int
    """Kept now in `Runtime.dead_letters`."""
    dead_letters_total: int
    """Ever."""
    spent: dict[str, int | float]
    """What the calls cost that have ended; `Runtime.ledger` has it by agent, model and more."""
    mailboxes: dict[str, int]
    """Messages waiting, per mailbox that has any."""
    wire: WireMetrics
    """What passes between this runtime and its peers in frames; all zero where nothing does."""


class Health(TypedDict):
    """Whether the runtime takes calls, and what each agent's state is."""

    status: str
    """`serving`, `draining`, `stopped` or `not started`."""
    agents: dict[str, str]
    """`ready`, or why not."""
