"""ProducerAgent: sends a message to its outputs again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import ClassVar, Self, cast

from aixgo.agents.base import own_keys
from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, AixgoError, ConfigError, RuntimeClosed
from aixgo.keys import Key, duration_seconds
from aixgo.message import JSONValue, Message
from aixgo.names import check_name

__all__ = ["AGENT", "ProducerAgent"]

log = logging.getLogger("aixgo.agents.producer")

SETTLE = 0.05  # seconds until an output that has not started yet is tried again


class ProducerAgent:
    """Emits a message every `interval`, `count` times or until it is stopped; a call makes one at once.

    `interval` is seconds or a duration such as "800ms". A message's payload is `payload`, or `template` with
    `{sequence}` and `{name}` filled in, or else {producer, sequence}. `producing` is True while more will come.
    """

    role = "producer"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "description": Key("text", "what the agent is for, shown to people and routers"),
        "interval": Key("duration", "time between two messages", minimum=0),
        "count": Key("integer", "messages to send; without it, until stopped", minimum=0),
        "payload": Key("any", "what each message says"),
        "template": Key("text", "what each message says, with {sequence} and {name}"),
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
        message_type: str = "message",
        description: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        self.interval = duration_seconds(interval, f"producer {name!r}: interval")
        self.count = count
        self._payload = payload
        self._template = template
        self._type = message_type
        self._sequence = 0
        self._task: asyncio.Task[None] | None = None
        if not self.interval and count is None:
            raise ConfigError(f"producer {name!r} needs an interval, such as '1s', or a count")
        if payload is not None and template:
            raise ConfigError(f"producer {name!r} has both a payload and a template; give one")

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        return cls(name, **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    @property
    def producing(self) -> bool:
        """Whether it will emit more by itself."""
        return self._task is not None and not self._task.done()

    async def start(self, caller: Caller) -> None:
        """Begin to emit."""
        self._task = asyncio.create_task(  # noqa: TID251 - ended in `stop`
            self._emit_all(caller), name=f"aixgo-producer-{self.name}"
        )

    async def stop(self) -> None:
        """Emit no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None

    async def execute(self, message: Message) -> Message:  # noqa: ARG002 - whatever it is asked, it produces
        """One message, as those it emits."""
        return self._next()

    async def _emit_all(self, caller: Caller) -> None:
        sent = 0
        while self.count is None or sent < self.count:
            await asyncio.sleep(self.interval)
            try:
                await self._emit(caller, self._next())
            except RuntimeClosed:
                return
            except AixgoError as exc:
                log.warning(
                    "producer %r could not deliver message %d: %s", self.name, self._sequence, exc
                )
            except Exception:  # this task's error would be seen by nobody
                log.exception("producer %r stopped at message %d", self.name, self._sequence)
                return
            sent += 1

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

    def _next(self) -> Message:
        self._sequence += 1
        if self._template:
            text = self._template.replace("{sequence}", str(self._sequence)).replace(
                "{name}", self.name
            )
            return Message(text, type=self._type)
        payload = self._payload
        if payload is None:
            payload = {"producer": self.name, "sequence": self._sequence}
        return Message(payload, type=self._type)


AGENT = ProducerAgent
