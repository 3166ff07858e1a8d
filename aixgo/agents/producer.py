"""ProducerAgent: sends messages to its outputs by itself, at a pace or as events come.

Below: keys, contract. Above: config reads an entry's `events` as code.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar, Self, TypeAlias, cast

from aixgo.agents.base import own_keys
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, AgentRefused, AixgoError, ConfigError, RuntimeClosed
from aixgo.keys import Key, check_given, duration_seconds
from aixgo.message import JSONValue, Message, Payload
from aixgo.names import check_name

__all__ = ["AGENT", "EventSource", "ProducerAgent"]

log = logging.getLogger("aixgo.agents.producer")

SETTLE = 0.05  # seconds until an output that has not started yet is tried again
BACKOFF = 1.0  # seconds before a source that failed is begun anew; each time twice as long
LONGEST_BACKOFF = 30.0  # seconds
GIVE_UP = 10  # messages in a row that could not be delivered, of a producer that has a count

EventSource: TypeAlias = Callable[[], AsyncIterator[Message | Payload]]
"""What makes a source of events: an `async def` with `yield`, called without arguments."""


class ProducerAgent:
    """Emits a message every `interval`, or for each of its `events`, `count` times or until it is stopped.

    `interval` is seconds or a duration such as "800ms", from one message to the next, however long delivering takes:
    nothing adds up. One that is late by more is sent at once, and the pace goes on from there. A message's payload is
    `payload`, or `template` with `{sequence}`, `{name}` and `{time}` (UTC) filled in, or else {producer, sequence}; a
    call makes one at once.

    With `events`, an async generator function, each value it yields is a message. When it ends, so does the producing.
    When it fails, that is logged, and it is called anew up to `restarts` times, after 1 s, then twice as long each
    time, at most 30 s; after the last failure the agent is not `ready`. Stopping the agent closes the generator.

    `count` is of messages that all outputs accepted: one that could not be delivered is logged and left, and after
    ten such in a row a producer with a count gives up. `producing` is True while more will come.

    Raises:
        ConfigError: neither or both of a pace and `events`, or settings that do not go together. Starting raises it
            when `events` gives no async generator.
    """

    role = "producer"
    code_keys: ClassVar[Sequence[str]] = ("events",)
    """Keys that name Python code; the configuration puts what they name in their place."""
    config_keys: ClassVar[Mapping[str, Key]] = {
        "description": Key("text", "what the agent is for, shown to people and routers"),
        "interval": Key("duration", "time between two messages", minimum=0),
        "count": Key("integer", "messages to send; without it, until stopped", minimum=0),
        "payload": Key("any", "what each message says"),
        "template": Key("text", "what each message says, with {sequence}, {name} and {time}"),
        "events": Key(
            "text",
            "what it sends, instead: an async generator, ./file.py:name or package.module:name",
        ),
        "restarts": Key("integer", "times events that failed are begun anew", minimum=0, default=0),
        "message_type": Key("text", "the type of each message"),
    }

    def __init__(
        self,
        name: str,
        *,
        interval: float | str = 0.0,
        count: int | None = None,
        payload: JSONValue = None,
        template: str = "",
        events: EventSource | None = None,
        restarts: int = 0,
        message_type: str = "message",
        description: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        where = f"producer {name!r}"
        self.interval = duration_seconds(interval, f"{where}: interval")
        self.count = count
        check_given(self.config_keys, where, interval=self.interval, count=count, restarts=restarts)
        self._payload = payload
        self._template = template
        self._events = events
        self._restarts = restarts
        self._type = message_type
        self._sequence = 0
        self._failed = False
        self._task: asyncio.Task[None] | None = None
        if self.interval == math.inf:
            raise ConfigError(f"{where}: interval is inf; it must be a time that ends")
        if events is not None and not callable(events):
            raise ConfigError(
                f"{where}: events must be an async generator function, not {events!r}"
            )
        if events is None and not self.interval and count is None:
            raise ConfigError(f"{where} needs an interval, such as '1s', or a count, or events")
        if payload is not None and template:
            raise ConfigError(f"{where} has both a payload and a template; give one")
        if events is not None and (self.interval or payload is not None or template):
            raise ConfigError(
                f"{where} has events, which set its pace and say what it sends; "
                "give no interval, payload or template"
            )
        if restarts and events is None:
            raise ConfigError(f"{where} has no events to restart")

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; `events` stands for the code it names already."""
        given = {key: value for key, value in entry.items() if key != "events"}
        settings = own_keys(cls.config_keys, given, f"agent {name!r}")
        events = cast("EventSource | None", entry.get("events"))
        return cls(name, events=events, **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    @property
    def producing(self) -> bool:
        """Whether it will emit more by itself."""
        return self._task is not None and not self._task.done()

    def ready(self) -> bool:
        """Whether its events have not failed for good."""
        return not self._failed

    async def start(self, caller: Caller) -> None:
        """Begin to emit."""
        self._failed = False
        work = self._at_pace(caller) if self._events is None else self._follow(self._open(), caller)
        self._task = asyncio.create_task(  # noqa: TID251 - ended in `stop`
            work, name=f"aixgo-producer-{self.name}"
        )

    async def stop(self) -> None:
        """Emit no more; a generator of events is closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None

    async def execute(self, message: Message) -> Message:  # noqa: ARG002 - whatever it is asked, it produces
        """One message, as those it emits.

        Raises:
            AgentRefused: its messages are events, which come when they come.
        """
        if self._events is not None:
            raise AgentRefused(
                f"{self.name!r} sends events as they come, and makes none when called"
            )
        return self._next()

    # -- at a pace ------------------------------------------------------------------------------------

    async def _at_pace(self, caller: Caller) -> None:
        clock = asyncio.get_running_loop()
        due, delivered = clock.time(), _Delivered(self.count)
        while delivered.more:
            due = max(due + self.interval, clock.time())
            await asyncio.sleep(due - clock.time())
            if not await self._deliver(caller, self._next(), delivered):
                return

    def _next(self) -> Message:
        self._sequence += 1
        if self._template:
            context = CallContext.maybe_current()
            moment = datetime.fromtimestamp(context.now() if context else time.time(), UTC)
            text = self._template.replace("{sequence}", str(self._sequence))
            text = text.replace("{name}", self.name)
            text = text.replace("{time}", moment.isoformat(timespec="milliseconds"))
            return Message(text, type=self._type)
        payload = self._payload
        if payload is None:
            payload = {"producer": self.name, "sequence": self._sequence}
        return Message(payload, type=self._type)

    # -- as events come -------------------------------------------------------------------------------

    def _open(self) -> AsyncIterator[Message | Payload]:
        """The events from their begin.

        Raises:
            ConfigError: it is no source of events.
        """
        assert self._events is not None
        found: object = self._events()
        if not isinstance(found, AsyncIterator):
            close = getattr(found, "close", None)  # a coroutine nobody will await
            if close is not None:
                close()
            raise ConfigError(
                f"producer {self.name!r}: events gave {type(found).__name__}, which is no async generator; "
                "write it as `async def` with `yield`"
            )
        return found

    async def _follow(self, events: AsyncIterator[Message | Payload], caller: Caller) -> None:
        delivered = _Delivered(self.count)
        for attempt in range(self._restarts + 1):
            try:
                if attempt:
                    events = self._open()
                async with aclosing(_closable(events)) as values:
                    await self._pass_on(values, caller, delivered)
                return
            except Exception:  # whatever somebody's generator raises
                log.exception("producer %r: its events failed", self.name)
            if attempt < self._restarts:
                await asyncio.sleep(min(LONGEST_BACKOFF, BACKOFF * 2**attempt))
        self._failed = True

    async def _pass_on(
        self,
        events: AsyncIterator[Message | Payload],
        caller: Caller,
        delivered: _Delivered,
    ) -> None:
        while delivered.more:
            try:
                value = await anext(events)
            except StopAsyncIteration:
                return
            self._sequence += 1
            message = value if isinstance(value, Message) else Message(value, type=self._type)
            if not await self._deliver(caller, message, delivered):
                return

    # -- delivery -------------------------------------------------------------------------------------

    async def _deliver(self, caller: Caller, message: Message, delivered: _Delivered) -> bool:
        """Emit `message` and count it; False when nothing more can be."""
        try:
            await self._emit(caller, message)
        except RuntimeClosed:
            return False
        except AixgoError as exc:
            delivered.failed()
            log.warning(
                "producer %r could not deliver message %d: %s", self.name, self._sequence, exc
            )
            if delivered.given_up:
                log.error(
                    "producer %r gives up after %d failures in a row", self.name, delivered.failures
                )
                return False
        except Exception:  # this task's error would be seen by nobody
            log.exception("producer %r stopped at message %d", self.name, self._sequence)
            return False
        else:
            delivered.one()
        return True

    async def _emit(self, caller: Caller, message: Message) -> None:
        """Emit `message`; outputs that start after this agent are waited for."""
        while True:
            try:
                await caller.emit(message)
            except AgentNotReady as exc:
                if exc.state not in ("not started", "starting"):
                    raise
                await asyncio.sleep(SETTLE)
            else:
                return


class _Delivered:
    """How many messages were delivered, of how many."""

    def __init__(self, count: int | None) -> None:
        self._wanted = math.inf if count is None else count
        self._done = 0
        self.failures = 0
        """Since the last one that was delivered."""

    @property
    def more(self) -> bool:
        """Whether more are wanted."""
        return self._done < self._wanted

    @property
    def given_up(self) -> bool:
        """Whether waiting for the count would have no end."""
        return self._wanted < math.inf and self.failures >= GIVE_UP

    def one(self) -> None:
        self._done += 1
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1


async def _closable(
    events: AsyncIterator[Message | Payload],
) -> AsyncGenerator[Message | Payload, None]:
    """`events`, closed with this generator; somebody's iterator may have no `aclose`."""
    try:
        async for event in events:
            yield event
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


AGENT = ProducerAgent
