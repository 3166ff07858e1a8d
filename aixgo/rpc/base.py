"""The transport contract: what a server serves, and what a client holds for one peer address.

A runtime implements `Host` and gives it to a server; it holds one `Link` per peer address. Neither side
sees a transport: whether a call travels as its own RPC or as a frame of a shared stream is the link's
business, and the semantics below are the same for both.

Hops: `context.hops` of an outgoing call is the path up to and including the calling agent, and travels
as it is. The Host that executes appends its own hop, because only it knows its instance.

Below: contract, middleware, context. Above: server, unary; runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from aixgo.context import CallContext, Clock
from aixgo.contract import AgentDescription
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.traffic import Traffic

__all__ = ["SERVICE", "WIRE_VERSION", "Host", "Link", "PeerInfo"]

SERVICE = "aixgo.v1.AgentService"
WIRE_VERSION = 1  # the major version this process speaks; another one is IncompatiblePeer


class Host(Protocol):
    """What a server serves: the agents of one runtime, to calls that come from peers.

    Contexts passed in are fresh, made from the caller's envelope on this host's clock: `context.agent`
    is the target, `context.hops` the path up to the caller. The host enforces the deadline, the hop
    limit and its own admission, and counts what the call spends on `context.usage`; the server reports
    that sum on failure too. Raise only what a caller may see: the server lets `AixgoError` cross as its
    own class and turns anything else into `AgentFailed`. Cancelling the awaiting task means that the
    caller is gone.
    """

    @property
    def instance(self) -> str:
        """The id of this running process, new at every start; it names the host in hop paths."""
        ...

    @property
    def draining(self) -> bool:
        """True once the host takes no new calls; it refuses them itself, as not started."""
        ...

    @property
    def clock(self) -> Clock: ...

    def default_timeout(self, target: str) -> float:
        """Seconds a call to `target` may take when its caller named no deadline; also for unknown names."""
        ...

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        """The reply of `target`, its `usage` stamped."""
        ...

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        """The reply of `target` in pieces; the server iterates it, reads `final` and always closes it."""
        ...

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        """Put `message` into the mailbox of `target`; returning means accepted."""
        ...

    def receive(self, name: str) -> AsyncIterator[Message]:
        """The messages of the mailbox or exit `name`, taken one by one; errors come from the first step.

        The server closes it (`aclose`, where there is one) when the reader leaves.
        """
        ...

    def descriptions(self) -> list[AgentDescription]:
        """What this host tells its peers about its agents, in registration order."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class PeerInfo:
    """What a peer says about itself."""

    instance: str
    version: int = WIRE_VERSION
    """The major version of the wire it speaks."""
    implementation: str = ""
    """Name and version of the software, for people."""
    draining: bool = False
    agents: tuple[AgentDescription, ...] = ()


class Link(Protocol):
    """One peer address over one transport. Belongs to the event loop that runs when it is opened.

    A context passed in is the one made for this call: `context.agent` is the target, `context.hops` the
    path up to the caller. The link raises `DeadlineExceeded` at `context.deadline` by itself, adds what
    the reply or the failure reports to `context.usage`, and stops the callee when the awaiting task is
    cancelled. Errors are the peer's own classes; for what happens on the way:

    - `Unavailable(outcome="not_started")`: the peer was not reached, the call certainly did not run;
    - `Unavailable(outcome="unknown")`: the connection was lost after the call may have been sent;
    - `IncompatiblePeer`: the address answers, in another major version or without this service;
    - `MessageTooLarge`: refused here, before anything was sent;
    - `RuntimeClosed`: the link was closed.

    A call with an idempotency key is for one process: with `context.at_instance` set the link raises
    `Unavailable(outcome="not_started")` if another one answers now; else it notes there who it is sent to.
    """

    @property
    def address(self) -> str: ...

    @property
    def instance(self) -> str:
        """The peer's instance id as of the last `connect` or `describe`; "" before."""
        ...

    @property
    def outstanding(self) -> int:
        """Calls, sends and streams that have not ended; what a least-outstanding pick compares."""
        ...

    @property
    def draining(self) -> bool:
        """True for a second after the peer said that it takes no new calls; then it is worth asking again."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What passed over its streams; a link that has none counts nothing."""
        ...

    async def connect(self, timeout: float | None = None) -> PeerInfo:
        """Reach the peer and learn who it is; by default within the settings' `connect_timeout` seconds.

        Returns at the first refused connection instead of trying until the timeout. May be called again.

        Raises:
            Unavailable: not reachable; `reason` says what was met there, as far as it can be told.
            IncompatiblePeer: another major version, or a gRPC server without this service.
        """
        ...

    async def describe(self) -> PeerInfo:
        """Ask the peer again who it is; bounded by `connect_timeout`."""
        ...

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        """The reply of `target`; connects first when there is no connection."""
        ...

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        """The reply of `target` in pieces.

        Returns once the peer admitted the call: refusals come from here, what the agent raises comes
        from the iteration. The stream's `final` is set and `context.usage` grown when it has ended.
        """
        ...

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        """Put `message` into the mailbox of `target`; returning means the peer accepted it."""
        ...

    def receive(self, name: str, context: CallContext) -> AsyncIterator[Message]:
        """The messages of the peer's mailbox or exit `name`, at most once each, until `context.deadline`.

        A message that was taken there and not yet yielded when the reader leaves is lost. An
        async generator: close it (`aclose`) when leaving early.
        """
        ...

    async def settle(self, context: CallContext) -> None:
        """Wait until what an aborted call spent is on `context.usage`, at most 0.25 s.

        For a call that raised `DeadlineExceeded` here while the peer was still on it; over a stream also
        for one that was cancelled. Returns at once for any other. After it returns, `context.usage` of that
        call does not grow any more.
        """
        ...

    async def aclose(self) -> None:
        """End the connection; calls in flight fail with `Unavailable(outcome="unknown")`. Twice is fine."""
        ...
