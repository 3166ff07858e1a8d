"""An agent that remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from aixgo.errors import AixgoError
from aixgo.message import Message, Payload
from aixgo.names import check_name

__all__ = ["RecordingAgent"]

Reply: TypeAlias = "Message | Payload | AixgoError | Callable[[Message], Message | Payload]"


class RecordingAgent:
    """Answers with its `replies` in order, then with the message itself; an error among them is raised.

    `messages` holds what it got. With `gated=True` each call sets `started` and waits for `release()`, which
    lets a test prove that several calls are under way at once; `running` counts them.
    """

    role = "recording"

    def __init__(self, name: str, replies: Iterable[Reply] = (), *, gated: bool = False) -> None:
        self.name = check_name(name)
        self.messages: list[Message] = []
        self.running = 0
        self.cancelled = 0
        """Calls that were cancelled while they waited at the gate."""
        self.started = asyncio.Event()
        self.finished = asyncio.Event()
        """Set once a call has ended, however it did."""
        self._replies = list(replies)
        self._gate = asyncio.Event()
        if not gated:
            self._gate.set()

    def release(self) -> None:
        """Let the calls that wait, and all later ones, answer."""
        self._gate.set()

    async def execute(self, message: Message) -> Message:
        """Record `message` and answer by script."""
        self.messages.append(message)
        self.running += 1
        self.started.set()
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self.finished.set()
        if not self._replies:
            return message
        reply = self._replies.pop(0)
        if isinstance(reply, AixgoError):
            raise reply
        made = reply(message) if callable(reply) else reply
        return made if isinstance(made, Message) else message.reply(made)
