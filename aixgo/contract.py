"""The contract between agents and runtimes: Agent, Caller, and what each may assume of the other.

An agent has a name, a role and `execute`. Everything else is optional and found by its attribute:

- methods: `stream(message)`, `start(caller)`, `stop()`, `ready()`, `gather(messages)`;
- facts: `description`, `version`, `model`, `mailbox`, `gathers`, `depends_on`, `outputs`, `kind`, `pattern`,
  `members`, `input_schema`, `output_schema`.

An agent reaches others only through a `Caller`, by name; where they run is not its business. Below:
context, message. Above: runtimes implement `Caller`; agents and patterns implement `Agent`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, overload, runtime_checkable

from aixgo.errors import AixgoError, ConfigError
from aixgo.ledger import Budget
from aixgo.message import JSONValue, Message, Payload
from aixgo.middleware import ReplyStream
from aixgo.purse import STREAM_SHARE, Share

__all__ = [
    "Agent",
    "AgentDescription",
    "Caller",
    "Gathers",
    "Outcome",
    "Outcomes",
    "describe",
    "members_of",
]


@runtime_checkable
class Agent(Protocol):
    """Something with a name and a role that turns a message into a message."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    async def execute(self, message: Message) -> Message:
        """Answer `message`. What it raises reaches the caller as its own class, or as `AgentFailed`."""
        ...


class Caller(Protocol):
    """How code reaches agents. Inside a call every method inherits its deadline, budget and identity.

    `target` is an agent's name. `message` may be anything a Message is made from. `timeout` is in
    seconds and can only shorten what is inherited. `key` names the step within its run; one is derived
    from the target when none is given. Within a budget the call is lent `share` of what is free, and `budget` can
    only lower that; what is unspent comes back at its end, and a call that finds everything lent waits for that.
    """

    async def call(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = 1,
    ) -> Message:
        """The reply of `target`. With an idempotency key the call takes effect once per key.

        Raises:
            AgentNotFound, AgentNotReady, Unavailable: it did not run, each for its own reason.
            DeadlineExceeded: the time ran out.
            AixgoError: whatever the agent raised, as its own class; `AgentFailed` for foreign exceptions.
        """
        ...

    def stream(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = STREAM_SHARE,
    ) -> AbstractAsyncContextManager[ReplyStream]:
        """The reply of `target` in pieces: `async with caller.stream(...) as chunks`. Leaving stops it."""
        ...

    async def call_parallel(
        self,
        targets: Sequence[str],
        message: Message | Payload,
        *,
        timeout: float | None = None,
        keys: Sequence[str] | None = None,
    ) -> Outcomes:
        """Call all targets at once with one message; outcomes come in target order, failures among them."""
        ...

    async def send(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float = 5.0,
        budget: Budget | None = None,
    ) -> None:
        """Put `message` into the target's mailbox. Returning means accepted, not executed.

        Raises:
            MailboxFull: it stayed full for `timeout` seconds.
        """
        ...

    async def recv(self, name: str = "", *, timeout: float | None = None) -> Message:
        """Take the next message from a mailbox its agent declared, by default the caller's own, or from an exit.

        Raises:
            DeadlineExceeded: none came within `timeout` seconds.
        """
        ...

    async def broadcast(
        self, message: Message | Payload, targets: Iterable[str] | None = None
    ) -> Outcomes:
        """Put `message` into every mailbox, or those of `targets`, except the calling agent's own.

        An outcome without an error means accepted, not executed.
        """
        ...

    async def emit(self, message: Message | Payload) -> None:
        """Send `message` to every output the calling agent was registered with.

        Raises:
            MailboxFull: an output stayed full; the others have the message.
        """
        ...

    def list_agents(self) -> list[str]:
        """The names that can be called, in registration order, peers after hosted ones."""
        ...

    def spawn(self, agent: Agent) -> AbstractAsyncContextManager[str]:
        """Host `agent` as a child for the length of the `async with`; gives the name to call it by."""
        ...


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of one call or delivery of several: a reply, an error, or neither for a message accepted."""

    target: str
    reply: Message | None = None
    error: AixgoError | None = None


class Outcomes(Sequence[Outcome]):
    """Outcomes in target order, with views on the replies and the errors."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Outcome]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...

    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._items)

    @property
    def replies(self) -> list[Message]:
        """The replies of those that answered, in target order."""
        return [item.reply for item in self._items if item.reply is not None]

    @property
    def errors(self) -> list[AixgoError]:
        """The errors of those that failed, in target order."""
        return [item.error for item in self._items if item.error is not None]

    def raise_first(self) -> None:
        """Raise the first error, if there is one."""
        for error in self.errors:
            raise error


@dataclass(slots=True, frozen=True)
class Gathers:
    """An agent's fact `gathers`: messages sent to it are gathered, the newest of each source, and worked on as one.

    Its method `gather` makes that one message of several, in order of arrival; its reply goes to the outputs. They are
    worked on `seconds` after the first came, or as soon as all `sources` have answered, or when the runtime stops.
    Calls are not gathered.

    Raises:
        ConfigError: `seconds` is no time that ends.
    """

    seconds: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise ConfigError(f"Gathers(seconds={self.seconds}): it must be a time that ends")


@dataclass(slots=True, frozen=True, kw_only=True)
class AgentDescription:
    """What a runtime tells about an agent, here and to its peers."""

    name: str
    role: str
    kind: str = "agent"
    """`agent` or `orchestrator`."""
    description: str = ""
    pattern: str = ""
    """The kind of orchestration; empty for plain agents."""
    model: str = ""
    streams: bool = False
    """True if the agent streams by itself; any agent can be streamed from."""
    mailbox: bool = False
    """True if the agent reads its own mailbox."""
    ready: bool = True
    pending: int = 0
    """Messages waiting in its mailbox, being worked on or gathered, and one while it produces by itself."""
    input_schema: Mapping[str, JSONValue] | None = None
    output_schema: Mapping[str, JSONValue] | None = None
    members: tuple[str, ...] = field(default=())
    """The agents an orchestrator delivers to."""


def describe(agent: Agent, name: str = "") -> AgentDescription:
    """The description of `agent` under `name`, from its attributes."""
    return AgentDescription(
        name=name or agent.name,
        role=agent.role,
        kind=str(getattr(agent, "kind", "agent")),
        description=str(getattr(agent, "description", "") or ""),
        pattern=str(getattr(agent, "pattern", "") or ""),
        model=str(getattr(agent, "model", "") or ""),
        streams=callable(getattr(agent, "stream", None)),
        mailbox=bool(getattr(agent, "mailbox", False)),
        input_schema=getattr(agent, "input_schema", None),
        output_schema=getattr(agent, "output_schema", None),
        members=tuple(item if isinstance(item, str) else item.name for item in members_of(agent)),
    )


def members_of(agent: Agent) -> Sequence[Agent | str]:
    """The agents and names an orchestrator was given, in order; empty for a plain agent."""
    return tuple(getattr(agent, "members", ()))
