"""A host of a few plain functions, the smallest real thing a server can serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aixgo.context import CallContext, Clock, SystemClock
from aixgo.contract import AgentDescription
from aixgo.errors import AgentNotFound, AixgoError, DeadlineExceeded
from aixgo.ledger import Usage
from aixgo.message import Message, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.rpc.base import Link
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.transports import open_link
from aixgo.rpc.unary import UnaryLink

Work = Callable[[Message, CallContext], Awaitable[Message]]
Producer = Callable[[Message, CallContext], AsyncIterator[StreamChunk | Message]]


class SmallHost:
    """Implements `Host` over functions; enforces deadlines as a runtime would."""

    def __init__(self, *, instance: str = "small") -> None:
        self.instance = instance
        self.draining = False
        self.clock: Clock = SystemClock()
        self.agents: dict[str, Work] = {"echo": echo}
        self.producers: dict[str, Producer] = {}
        self.mailboxes: dict[str, asyncio.Queue[Message]] = {}
        self.contexts: list[CallContext] = []

    def default_timeout(self, target: str) -> float:
        return 60.0

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        self.contexts.append(context)
        if target not in self.agents:
            raise AgentNotFound(target)
        try:
            async with asyncio.timeout(context.remaining):
                reply = await self.agents[target](message, context)
        except TimeoutError as exc:
            if isinstance(exc, AixgoError):
                raise
            raise DeadlineExceeded(target) from None
        return reply.delivered(target, context.spent)

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        self.contexts.append(context)
        if target not in self.producers:
            raise AgentNotFound(target)
        return Production(self.producers[target](message, context), context)

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        self.contexts.append(context)
        if target not in self.mailboxes:
            raise AgentNotFound(target)
        await self.mailboxes[target].put(message)

    async def receive(self, name: str) -> AsyncIterator[Message]:
        if name not in self.mailboxes:
            raise AgentNotFound(name)
        while True:
            yield await self.mailboxes[name].get()

    def descriptions(self) -> list[AgentDescription]:
        names = {**self.agents, **self.producers}
        return [AgentDescription(name=name, role=f"{name}s") for name in names]


class Holding:
    """Work that goes on until `finish` is set, and tells how far it came; it spends one call."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.finish = asyncio.Event()
        self.stopped = asyncio.Event()
        """Set once it was cancelled."""

    async def __call__(self, message: Message, context: CallContext) -> Message:
        context.charge(Usage(calls=1))
        self.started.set()
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return message.reply("done")


class Production:
    """A `ReplyStream` over an async generator that ends with a Message."""

    def __init__(self, parts: AsyncIterator[StreamChunk | Message], context: CallContext) -> None:
        self._parts = parts
        self._context = context
        self.final: Message | None = None

    def __aiter__(self) -> Production:
        return self

    async def __anext__(self) -> StreamChunk:
        part = await anext(self._parts)
        if isinstance(part, StreamChunk):
            return part
        with suppress(StopAsyncIteration):
            await anext(self._parts)
        self.final = part.delivered(self._context.agent, self._context.spent)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._parts.aclose()  # type: ignore[attr-defined]  # an async generator


async def echo(message: Message, context: CallContext) -> Message:
    return message.reply(message.payload)


def a_context(target: str = "echo", *, timeout: float = 10.0, **options: object) -> CallContext:
    """The context of a call made outside any other."""
    clock = SystemClock()
    return CallContext(target, deadline=clock.monotonic() + timeout, clock=clock, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(
    host: SmallHost,
    address: str = "127.0.0.1:0",
    settings: WireSettings | None = None,
    kind: type[Server] = Server,
) -> AsyncIterator[tuple[Server, str]]:
    """A server of `host`, and the address it is bound to."""
    server = kind(host, address, settings=settings)
    bound = await server.start()
    try:
        yield server, bound
    finally:
        await server.stop(0)


@asynccontextmanager
async def linked(
    host: SmallHost,
    address: str = "127.0.0.1:0",
    settings: WireSettings | None = None,
    transport: str = "unary",
) -> AsyncIterator[Link]:
    """A link to a server of `host`; both have `settings`."""
    async with serving(host, address, settings) as (_, bound):
        link = open_link(transport, bound, settings=settings)
        try:
            await link.connect()
            yield link
        finally:
            await link.aclose()


def call_echo(address: str) -> None:
    """Call `echo` from a process or thread of its own."""

    async def use() -> None:
        link = UnaryLink(address, SystemClock())
        reply = await link.call("echo", Message("hi"), a_context())
        assert reply.text == "hi"
        await link.aclose()

    asyncio.run(use())
