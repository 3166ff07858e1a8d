"""Agents that live elsewhere: a name, its replicas, and the pick among them.

A peer is one name with one or several addresses, each of which is a replica. The pick prefers the replica a
session or an idempotency key was at, then the one with the least outstanding calls, ties in rotation. A call
moves on to another replica only if it certainly did not start.

Below: `replicas`. Above: `distributed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeAlias, TypeVar

from aixgo.context import CallContext, Clock
from aixgo.contract import AgentDescription
from aixgo.errors import AgentNotReady, AixgoError, RuntimeClosed, Unavailable
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.addresses import parse_address, resolve
from aixgo.rpc.base import Link, PeerInfo
from aixgo.runtime.inbox import RemoteInbox
from aixgo.runtime.lending import Settling
from aixgo.runtime.replicas import FIRST_PENALTY, Replica, Replicas
from aixgo.runtime.serving import SEND_MARGIN

__all__ = ["Peer", "RemoteAgent"]

log = logging.getLogger("aixgo.runtime")

RESOLVE_INTERVAL = 5.0  # seconds between look-ups of a `dns:///` name that is in use
RESOLVE_TIMEOUT = 5.0  # seconds a call waits for the first look-up
KEY_REPLICA_GONE = "the replica that first saw the idempotency key is gone"
STICKY_ENTRIES = 10_000  # sessions, and keys, whose replica is remembered per peer

T = TypeVar("T")
_Work: TypeAlias = Coroutine[object, object, T]


class _Seat:
    """Where an idempotency key is at: the replica, and the process there once the call was sent."""

    __slots__ = ("instance", "replica")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.instance = ""


class Peer:
    """The route to an agent that lives elsewhere."""

    def __init__(
        self, name: str, addresses: Sequence[str], replicas: Replicas, clock: Clock
    ) -> None:
        self.name = name
        self.addresses = tuple(addresses)
        self._named = [address for address in addresses if parse_address(address).by_name]
        self._replicas = replicas
        self._clock = clock
        self._here: dict[str, Replica] = {}
        self._names: dict[str, str] = {}
        """The host that each address was looked up by."""
        for address in addresses:
            if address not in self._named and address not in self._here:
                self._here[address] = replicas.acquire(address)
        self._read: PeerInfo | None = None
        self._described: AgentDescription | None = None
        """What `_read` says about the agent."""
        self._resolved_at = float("-inf")
        self._resolving: asyncio.Task[None] | None = None
        self._missing = "it has no address"
        """Why there is no replica, when there is none."""
        self._turn = 0
        self._settling = Settling()
        self._inbox: RemoteInbox | None = None
        self._by_session: OrderedDict[str, Replica] = OrderedDict()
        self._by_key: OrderedDict[str, _Seat] = OrderedDict()

    # -- the route ------------------------------------------------------------------------------------

    @property
    def is_quick(self) -> bool:
        described = self.description()
        return described is not None and described.kind == "agent" and not described.model

    def description(self) -> AgentDescription | None:
        """What the first replica that was reached says about the agent."""
        for replica in self._here.values():
            info = replica.info
            if info is None:
                continue
            if info is not self._read:  # every call asks, and a peer may host thousands of agents
                named = (agent for agent in info.agents if agent.name == self.name)
                self._read, self._described = info, next(named, None)
            if self._described is not None:
                return self._described
        return None

    async def call(self, message: Message, context: CallContext) -> Message:
        """The reply of one replica."""
        purse = context.purse
        if purse is None:
            return await self._attempt(context, lambda link: link.call(self.name, message, context))
        return await self._attempt(
            context, lambda link: self._settling.call(link, self.name, message, context, purse)
        )

    async def stream(self, message: Message, context: CallContext) -> ReplyStream:
        """The reply of one replica in pieces."""
        purse = context.purse
        if purse is None:
            return await self._attempt(
                context, lambda link: link.stream(self.name, message, context)
            )
        return await self._attempt(
            context, lambda link: self._settling.stream(link, self.name, message, context, purse)
        )

    async def send(self, message: Message, context: CallContext) -> None:
        """Put `message` into the mailbox at one replica."""
        context.deadline += (
            SEND_MARGIN  # the peer stops waiting for room before we stop waiting for it
        )
        await self._attempt(context, lambda link: link.send(self.name, message, context))

    async def recv(self, timeout: float | None) -> Message:
        """The next message of the mailbox, or exit, at any replica."""
        await self._resolve_if_due()
        if self._inbox is None:
            self._inbox = RemoteInbox(self.name, self._clock)
        return await self._inbox.get([each.link for each in self._here.values()], timeout)

    async def connect(self) -> AgentDescription | None:
        """Reach a replica and learn about the agent; None if the peer there does not host it.

        Raises:
            Unavailable, IncompatiblePeer: no replica answers, or not in our version.
        """
        await self._resolve_if_due()
        failure: AixgoError = Unavailable(self.name, self._missing)
        for replica in tuple(self._here.values()):
            try:
                await replica.connect()
            except AixgoError as exc:
                failure = exc
            else:
                return self.description()
        raise failure

    async def health(self) -> str:
        """`ready`, or why not, asked now."""
        try:
            await self._resolve_if_due()
            for replica in tuple(self._here.values()):
                replica.info = await replica.link.describe()
        except AixgoError as exc:
            if not any(replica.info for replica in self._here.values()):
                return str(exc)
        described = self.description()
        if described is None:
            return "not hosted at its address"
        return "ready" if described.ready else "not ready"

    async def aclose(self) -> None:
        """Let go of the replicas; calls in flight finish."""
        if self._inbox is not None:
            await self._inbox.aclose()
        if self._resolving is not None:
            self._resolving.cancel()
        await self._settling.aclose()
        for address in tuple(self._here):
            self._let_go(address)

    # -- the pick -------------------------------------------------------------------------------------

    async def _attempt(self, context: CallContext, work: Callable[[Link], _Work[T]]) -> T:
        if self._named:
            await self._resolve_if_due()
        key = _sticky_key(context)
        tried: set[Replica] = set()
        while True:
            seen = self._by_key.get(key)
            replica = self._pick(context, tried)
            tried.add(replica)
            seat = seen or self._take_seat(key, replica)
            context.at_instance = seat.instance
            try:
                await replica.connect()
                if context.session:
                    _remember(self._by_session, context.session, replica)
                try:
                    result = await work(replica.link)
                finally:
                    seat.instance = seat.instance or context.at_instance
            except AixgoError as exc:
                self._check_other(exc, key, seat, tried, seen=seen is not None)
                continue
            replica.succeeded()
            return result

    def _check_other(
        self, exc: AixgoError, key: str, seat: _Seat, tried: set[Replica], *, seen: bool
    ) -> None:
        """Return if a call that failed with `exc` at its seat may try another, else raise what became of it."""
        if isinstance(exc, (Unavailable, RuntimeClosed)) and not exc.agent:
            seat.replica.failed()
        if isinstance(exc, RuntimeClosed) and exc.agent and not exc.error_id:
            raise Unavailable(self.name, f"its runtime {exc.state}", "unknown") from exc
        if not _never_started(exc):
            raise exc
        is_there = self._by_key.get(key) is seat
        if seen:
            if is_there:  # it may have taken effect there, so it must not run anywhere else
                raise Unavailable(self.name, KEY_REPLICA_GONE, "unknown") from exc
            return  # the call that took the seat has moved on, and this one follows it
        if is_there:
            del self._by_key[key]
        if any(other not in tried for other in self._here.values()):
            return
        if isinstance(exc, RuntimeClosed):  # theirs, not ours
            raise Unavailable(self.name, f"its runtime is {exc.state}") from exc
        if isinstance(exc, Unavailable) and exc.name == seat.replica.link.address:
            raise Unavailable(self.name, f"{exc.reason} ({exc.name})") from exc
        raise exc

    def _pick(self, context: CallContext, tried: set[Replica]) -> Replica:
        seat = self._by_key.get(_sticky_key(context))
        if seat is not None:
            if seat.replica.retired:
                raise Unavailable(self.name, KEY_REPLICA_GONE, "unknown")
            return seat.replica
        last = self._by_session.get(context.session)
        if last is not None and last.usable and last not in tried:
            return last
        left = [replica for replica in self._here.values() if replica not in tried]
        if not left:
            raise Unavailable(self.name, self._missing)
        if len(left) == 1:
            return left[0]
        best = [replica for replica in left if replica.usable] or left
        self._turn += 1
        turn = self._turn % len(best)
        return min(best[turn:] + best[:turn], key=lambda replica: replica.link.outstanding)

    def _take_seat(self, key: str, replica: Replica) -> _Seat:
        """Tie `key` to `replica` before anything is awaited, so that a duplicate goes there too."""
        seat = _Seat(replica)
        if key:
            _remember(self._by_key, key, seat)
        return seat

    # -- names that resolve to several addresses ----------------------------------------------------------

    async def _resolve_if_due(self) -> None:
        if not self._named or self._clock.monotonic() - self._resolved_at < RESOLVE_INTERVAL:
            return
        if self._resolving is None or self._resolving.done():
            self._resolving = asyncio.create_task(
                self._resolve(), name=f"aixgo-resolve-{self.name}"
            )
        if not self._here:  # nothing to call yet; else the look-up goes on beside the calls
            waiting = (self._resolving,)  # which `close` may cancel
            if not (await asyncio.wait(waiting, timeout=RESOLVE_TIMEOUT))[0]:
                self._missing = f"looking up {self._named[0]} takes over {RESOLVE_TIMEOUT:g} s"

    async def _resolve(self) -> None:
        found = dict.fromkeys((each for each in self.addresses if each not in self._named), "")
        try:
            for named in self._named:
                host = parse_address(named).host
                for address in await resolve(named):
                    found.setdefault(address, host)
        except Unavailable as exc:
            log.warning("looking up the addresses of %r failed: %s", self.name, exc)
            self._missing = f"{exc.name} does not resolve"
            self._resolved_at = self._clock.monotonic() - RESOLVE_INTERVAL + FIRST_PENALTY
            return
        for address in found.keys() - self._here.keys():
            self._names[address] = name = found[address]
            self._here[address] = self._replicas.acquire(address, name)
        for address in self._here.keys() - found.keys():
            self._let_go(address)
        self._resolved_at = self._clock.monotonic()

    def _let_go(self, address: str) -> None:
        del self._here[address]
        self._replicas.release(address, self._names.pop(address, ""))


class RemoteAgent:
    """A stand-in for an agent that lives elsewhere; `execute` calls it there."""

    def __init__(
        self, name: str, role: str, call: Callable[[str, Message], _Work[Message]]
    ) -> None:
        self.name = name
        self.role = role
        self._call = call

    async def execute(self, message: Message) -> Message:
        """The reply of the agent, wherever it is."""
        return await self._call(self.name, message)


def _never_started(exc: AixgoError) -> bool:
    """Whether the callee refused before its agent ran: nothing was done, another replica may."""
    if exc.agent or not exc.retryable:
        return False  # an agent on the way raised it, or nobody knows
    return isinstance(exc, (Unavailable, RuntimeClosed, AgentNotReady))


def _sticky_key(context: CallContext) -> str:
    """What ties calls with one idempotency key to one replica; never in the table without a key."""
    return f"{context.principal}\n{context.idempotency_key}" if context.idempotency_key else ""


def _remember(table: OrderedDict[str, T], key: str, value: T) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > STICKY_ENTRIES:
        table.popitem(last=False)
