"""One agent hosted by this runtime: everything that must hold where an agent runs.

A call descends: `call` (ready, a slot) → `_once` (idempotency) → `_execute` (context, error boundary) →
`agent.execute`. A local call and one from a peer both enter at `call`, so nothing here asks which it is.
A stream is begun here and read in `hosted_stream`, which comes back for each step.
Above: `delivery` resolves names to these. Below: mailboxes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from aixgo import telemetry
from aixgo.context import CallContext, Clock, Hop, _current
from aixgo.contract import Agent, AgentDescription, Caller, describe
from aixgo.errors import AgentNotReady, AixgoError, ConfigError, MailboxFull
from aixgo.mailboxes.base import Posted
from aixgo.mailboxes.memory import MemoryMailbox
from aixgo.message import Message, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.runtime.admission import Slots
from aixgo.runtime.boundary import being_cancelled, leaving, streamed
from aixgo.runtime.consuming import Consumer, DeadLetter
from aixgo.runtime.contexts import RECEIVED
from aixgo.runtime.hosted_stream import HostedStream
from aixgo.runtime.idempotency import OncePerKey

__all__ = ["HOST_CODES", "DeadLetter", "Hosted", "Hosting", "Wire"]

log = logging.getLogger("aixgo.runtime")


class Wire(Protocol):
    """Sends what crosses a delivery through the codec, to prove locally that it would survive."""

    def message(self, message: Message) -> Message: ...

    def error(self, error: AixgoError) -> AixgoError: ...

    def chunk(self, chunk: StreamChunk) -> StreamChunk: ...


@dataclass(slots=True)
class Hosting:
    """What all agents of one runtime share."""

    instance: str
    clock: Clock
    slots: Slots
    once: OncePerKey
    mailbox_capacity: int
    dead_letters: deque[DeadLetter]
    wire: Wire | None
    take: Callable[[Posted, str], CallContext]
    """Makes the context in which the agent of that name works on a posted message."""
    taken: Callable[[Posted, str], None]
    """Makes what the current task does next part of a message's path, if it is part of no call."""
    run: Callable[[Hosted, Message, CallContext], Awaitable[Message]]
    """Executes a call within its deadline and counts it."""
    refused: int = 0
    """Messages a full mailbox had no room for."""
    buried: int = 0
    """Dead letters, those that are no longer kept among them."""


class Hosted:
    """An agent, its mailbox, and the ladder every call to it descends."""

    def __init__(
        self,
        agent: Agent,
        name: str,
        hosting: Hosting,
        *,
        outputs: Sequence[str] = (),
        depends_on: Sequence[str] = (),
    ) -> None:
        self.agent = agent
        self.name = name
        self.outputs = tuple(outputs)
        self.depends_on = tuple(depends_on)
        self.caller: Caller | None = None
        self.state = "not started"
        self.turn = 0
        """When it started, relative to others."""
        facts = describe(agent, name)
        self.is_quick = facts.kind == "agent" and not facts.model
        self._shared = hosting
        self._slots = hosting.slots
        self._last_hop = Hop(hosting.instance, name, "")
        self._is_ready: Callable[[], bool] | None = getattr(agent, "ready", None)
        self._streams = callable(getattr(agent, "stream", None))
        self.mailbox = MemoryMailbox(name, hosting.mailbox_capacity)
        self.reads_mailbox = bool(getattr(agent, "mailbox", False))
        self._consumer = Consumer(self, hosting)
        self.started = asyncio.Event()
        """Set by whoever starts the agent: sent messages wait for it."""
        self.brought_along = False
        """Whether it came as a member of a spawned agent, and leaves with the last that has it."""

    @property
    def ready(self) -> bool:
        """Whether a call would be let in."""
        return self.state == "running" and (self._is_ready is None or self._says_ready())

    @property
    def health(self) -> str:
        """`ready`, or why not."""
        if self.ready:
            return "ready"
        return "not ready" if self.state == "running" else self.state

    @property
    def pending(self) -> int:
        """Messages waiting, being worked on or gathered, and one while the agent produces by itself."""
        return self._consumer.pending + int(bool(getattr(self.agent, "producing", False)))

    def description(self) -> AgentDescription:
        return replace(describe(self.agent, self.name), ready=self.ready, pending=self.pending)

    # -- calls ----------------------------------------------------------------------------------------

    async def call(
        self, message: Message, context: CallContext, *, watched: bool = False
    ) -> Message:
        """Execute the agent and stamp its reply; `watched` when observers know of it already."""
        if telemetry.on and not watched:
            work = self._work(message, context)
            return await telemetry.observe(work, self.call(message, context, watched=True))
        if not self._admit(context):
            await self._wait_for_slot(context)
        try:
            if context.idempotency_key:
                return await self._once(message, context)
            return await self._execute(message, context)
        finally:
            self._slots.release()

    async def stream(self, message: Message, context: CallContext) -> ReplyStream:
        """Begin a streamed reply. The slot is held until the stream is closed."""
        work = self._work(message, context, streaming=True) if telemetry.on else None
        if work is not None:
            telemetry.begin(work)
        try:
            if not self._admit(context):
                await self._wait_for_slot(context)
        except BaseException as exc:
            if work is not None:
                work.error = exc
                telemetry.end(work)
            raise
        return HostedStream(self, message, context, work)

    def _work(
        self, message: Message, context: CallContext, *, streaming: bool = False
    ) -> telemetry.Execution:
        """What observers are told about a call."""
        return telemetry.Execution(
            self.agent, self.name, message, context, streaming=streaming, posted=context.posted
        )

    def _admit(self, context: CallContext) -> bool:
        """Let a call in if there is a free slot."""
        if self.state != "running" or (self._is_ready is not None and not self._says_ready()):
            raise AgentNotReady(self.name, "not ready" if self.state == "running" else self.state)
        if not self._slots.try_acquire():
            return False
        self._arrive(context)
        return True

    def _says_ready(self) -> bool:
        assert self._is_ready is not None
        try:
            return bool(self._is_ready())
        except Exception as exc:  # an agent that cannot tell is not ready
            log.error("agent %r failed to tell whether it is ready", self.name, exc_info=exc)
            return False

    async def _wait_for_slot(self, context: CallContext) -> None:
        await self._slots.acquire(context)
        self._arrive(context)

    def _arrive(self, context: CallContext) -> None:
        """Add this agent to the path of the call."""
        hop = self._last_hop
        if hop.key != context.key:  # it is the same for all calls from outside
            hop = self._last_hop = Hop(self._shared.instance, self.name, context.key)
        context.hops = (*context.hops, hop)

    async def _once(self, message: Message, context: CallContext) -> Message:
        async def run() -> Message:
            context.task = None  # the run has its own task: inner calls guard themselves
            return await self._execute(message, context)

        return await self._shared.once.run(message, context, run)

    async def _execute(self, message: Message, context: CallContext) -> Message:
        wire = self._shared.wire
        context.executing = self.agent
        context.caller = self.caller
        token = _current.set(context)
        left = False
        try:
            result = await self.agent.execute(message if wire is None else wire.message(message))
            if not isinstance(result, Message):
                result = Message(result)
        except asyncio.CancelledError as exc:
            left = being_cancelled()
            if left:
                raise
            raise (error := self._boundary(exc)) from error.__cause__
        except BaseException as exc:  # noqa: BLE001 - the boundary: even SystemExit must not end the host
            raise (error := self._boundary(exc)) from error.__cause__
        finally:
            _current.reset(token)
            if context.purse is not None and not left:  # nobody waits for what is not told in time
                await context.purse.returned()
            context.ended = True
            if context.purse is not None:
                context.settle()
        return self.stamp(result, context)

    async def finish(self, result: Message, context: CallContext) -> Message:
        """Stamp `result` when what was lent below has come back, or is not told in time."""
        if context.purse is not None:
            await context.purse.returned()
        return self.stamp(result, context)

    def stamp(self, result: Message, context: CallContext) -> Message:
        """The reply as its caller gets it: a handle with the source and what the call spent."""
        if self._shared.wire is not None:
            result = self._shared.wire.message(result)
        if context.purse is not None:
            context.settle()
        return result.delivered(self.name, context.spent)

    def _boundary(self, exc: BaseException) -> AixgoError:
        """What a caller gets for `exc`, which is its cause; an inner call's error passes as it is, with its own."""
        error = leaving(exc, self.name)
        if self._shared.wire is not None:
            error = self._shared.wire.error(error)
        if error is not exc:
            error.__cause__ = exc
        return error

    # -- streams: one step at a time, each inside the call's context ------------------------------------

    async def step(
        self, pieces: AsyncIterator[StreamChunk | Message], context: CallContext
    ) -> StreamChunk | Message:
        """The next piece of a streaming agent.

        Raises:
            StopAsyncIteration: there is none.
        """
        token = _current.set(context)
        try:
            return streamed(await pieces.__anext__(), self.name)
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError as exc:
            if being_cancelled():
                raise
            raise (error := self._boundary(exc)) from error.__cause__
        except BaseException as exc:  # noqa: BLE001 - the boundary, as in `_execute`
            raise (error := self._boundary(exc)) from error.__cause__
        finally:
            _current.reset(token)

    def pieces(
        self, message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        """What the agent streams, or its whole reply as one chunk when it does not."""
        context.executing = self.agent
        context.caller = self.caller
        wire = self._shared.wire
        token = _current.set(context)
        try:
            given = message if wire is None else wire.message(message)
            if not self._streams or context.idempotency_key:
                return self._whole(given, context)
            stream: Callable[[Message], AsyncIterator[StreamChunk | Message]] = self.agent.stream  # type: ignore[attr-defined]  # `_streams` says so
            return aiter(stream(given))
        except BaseException as exc:  # noqa: BLE001 - the boundary, as in `_execute`
            raise (error := self._boundary(exc)) from error.__cause__
        finally:
            _current.reset(token)

    async def _whole(
        self, message: Message, context: CallContext
    ) -> AsyncIterator[StreamChunk | Message]:
        if context.idempotency_key:
            reply = await self._once(message, context)
        else:
            reply = await self.agent.execute(message)
            yield StreamChunk(content=Message.of(reply).text)
        yield Message.of(reply)

    def outgoing(self, chunk: StreamChunk) -> StreamChunk:
        return chunk if self._shared.wire is None else self._shared.wire.chunk(chunk)

    def release(self) -> None:
        self._slots.release()

    @property
    def clock(self) -> Clock:
        return self._shared.clock

    # -- mailbox --------------------------------------------------------------------------------------

    async def send(self, message: Message, context: CallContext) -> None:
        """Put a message into the mailbox by the context's deadline.

        The runtime executes it, unless the agent reads its own mailbox.
        """
        if self.state not in ("running", "starting"):
            raise AgentNotReady(self.name, self.state)
        try:
            await self.mailbox.put(Posted.of(message, context), max(0.0, context.remaining))
        except MailboxFull:
            self._shared.refused += 1
            raise
        if self.reads_mailbox:
            return
        self._consumer.arrived()

    async def recv(self, timeout: float | None) -> Message:
        """Take the next message of a mailbox that the agent, and not the runtime, reads."""
        if not self.reads_mailbox:
            raise ConfigError(
                f"agent {self.name!r} does not read its mailbox: declare it with @agent(mailbox=True)"
            )
        current = _current.get()
        if current is not None and current.key == RECEIVED:
            _current.set(None)  # the work for the message before this one is over
        posted = await self.mailbox.get(timeout)
        self._shared.taken(posted, self.name)
        return posted.message

    @property
    def working(self) -> bool:
        """Whether an accepted message is neither worked on nor gathered yet."""
        return self._consumer.working

    @property
    def holding(self) -> bool:
        """Whether it gathers messages, and has some."""
        return self._consumer.held > 0

    async def drained(self) -> None:
        """Return when every accepted message was worked on or gathered. The caller bounds the wait."""
        await self._consumer.drained()

    async def hand_on(self) -> None:
        """Work on what is gathered, without waiting for more."""
        await self._consumer.hand_on()

    async def close(self, stopper: asyncio.Task[object] | None) -> None:
        """Stop consuming, unless it is what stops us; what was not worked on becomes dead letters."""
        await self._consumer.close(stopper)


# The frames by which the loop watch finds out whose code blocks: each has a Hosted as its `self`.
HOST_CODES = frozenset({Hosted._execute.__code__, Hosted.step.__code__})  # noqa: SLF001
