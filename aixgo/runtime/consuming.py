"""Working on what was sent to one agent: in order, replies to its outputs, failures to the dead letters.

One task per agent, begun with its first message. An agent that gathers gets what was gathered as one message.

Below: mailboxes, gathering. Above: hosting, which executes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aixgo.context import CallContext, _current
from aixgo.contract import Gathers
from aixgo.errors import AixgoError, ConfigError, RuntimeClosed
from aixgo.mailboxes.base import Posted
from aixgo.message import Message
from aixgo.runtime.boundary import leaving
from aixgo.runtime.gathering import Gathering

if TYPE_CHECKING:
    from aixgo.runtime.hosting import Hosted, Hosting

__all__ = ["Consumer", "DeadLetter"]

log = logging.getLogger("aixgo.runtime")

CLOSE_TIMEOUT = 2.0  # seconds an agent may take to clean up after the message it was stopped at


@dataclass(slots=True, frozen=True)
class DeadLetter:
    """A sent message that could not be executed or passed on, and why."""

    target: str
    message: Message
    error: AixgoError


class Consumer:
    """Takes the messages of one agent's mailbox."""

    def __init__(self, hosted: Hosted, shared: Hosting) -> None:
        self._hosted = hosted
        self._shared = shared
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()  # set while there is nothing to do
        self._quiet.set()
        self._busy = 0  # messages taken, and gatherings, that are not done with
        self._one_gathering = asyncio.Lock()
        gathers = _gathers(hosted)
        self._gathering = Gathering(gathers, shared.clock, self._due) if gathers else None

    @property
    def pending(self) -> int:
        """Messages waiting, being worked on, or gathered."""
        waiting = 0 if self._quiet.is_set() else len(self._hosted.mailbox) + 1
        return waiting + self.held

    @property
    def working(self) -> bool:
        """Whether an accepted message is neither worked on nor gathered yet."""
        return not self._quiet.is_set()

    @property
    def held(self) -> int:
        """Messages that are gathered."""
        return 0 if self._gathering is None else len(self._gathering)

    def arrived(self) -> None:
        """A message is in the mailbox."""
        self._quiet.clear()
        if not self._tasks:
            self._spawn(self._consume)

    async def drained(self) -> None:
        """Return when every accepted message was worked on or gathered. The caller bounds the wait."""
        await self._quiet.wait()

    async def hand_on(self) -> None:
        """Work on what is gathered, without waiting for more."""
        gathering = self._gathering
        if gathering is None:
            return
        self._busy += 1
        self._quiet.clear()
        try:
            async with self._one_gathering:
                taken = gathering.take()
                if taken and (posted := self._joined(taken)) is not None:
                    await self._consume_one(posted)
        finally:
            self._busy -= 1
            self._settle()

    async def close(self, stopper: asyncio.Task[object] | None) -> None:
        """Stop, unless it is us who stop the agent; what was not worked on becomes dead letters."""
        left = [] if self._gathering is None else self._gathering.take()
        for posted in (*left, *self._hosted.mailbox.close()):
            self.bury(self._hosted.name, posted.message, RuntimeClosed("stopped"))
        tasks = self._tasks - {stopper}
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)

    def bury(self, target: str, message: Message, error: AixgoError) -> None:
        """Keep a message that came to nothing, and say so."""
        self._shared.buried += 1
        self._shared.dead_letters.append(DeadLetter(target, message, error))
        log.warning("a message to %r became a dead letter: %s", target, error)

    # -- inside ---------------------------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(
            work(),
            name=f"aixgo-mailbox-{self._hosted.name}",
            context=Context(),  # not that of the call which sent first
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _due(self) -> None:
        self._spawn(self.hand_on)

    def _settle(self) -> None:
        """Note whether there is anything left to do."""
        if not self._busy and not len(self._hosted.mailbox):
            self._quiet.set()

    async def _consume(self) -> None:
        await self._hosted.started.wait()
        while True:
            try:
                posted = await self._hosted.mailbox.get()
            except RuntimeClosed:
                return
            self._busy += 1
            try:
                if self._gathering is None:
                    await self._consume_one(posted)
                elif self._gathering.add(posted):
                    await self.hand_on()
            finally:
                self._busy -= 1
            self._settle()

    def _joined(self, taken: Sequence[Posted]) -> Posted | None:
        """What was gathered as one message, on the path of the last one; None when it cannot be."""
        gather: Callable[[Sequence[Message]], Message] = self._hosted.agent.gather  # type: ignore[attr-defined]  # it says it gathers
        try:
            return replace(taken[-1], message=gather([posted.message for posted in taken]))
        except Exception as exc:  # noqa: BLE001 - whatever somebody's agent raises is told of below
            error = leaving(exc, self._hosted.name)
            for posted in taken:
                self.bury(self._hosted.name, posted.message, error)
            return None

    async def _consume_one(self, posted: Posted) -> None:
        context = self._shared.take(posted, self._hosted.name)
        try:
            reply = await self._shared.run(self._hosted, posted.message, context)
        except AixgoError as exc:
            self.bury(self._hosted.name, posted.message, exc)
        except asyncio.CancelledError:  # by `close`
            self.bury(self._hosted.name, posted.message, RuntimeClosed("stopped"))
            raise
        else:
            await self._pass_on(reply, context)

    async def _pass_on(self, reply: Message, context: CallContext) -> None:
        assert self._hosted.caller is not None
        for target in self._hosted.outputs:
            context.ended = False  # the reply travels on the path of the message that caused it
            token = _current.set(context)
            try:
                await self._hosted.caller.send(target, reply)
            except AixgoError as exc:
                self.bury(target, reply, exc)
            finally:
                _current.reset(token)
                context.ended = True


def _gathers(hosted: Hosted) -> Gathers | None:
    """What the agent says of gathering.

    Raises:
        ConfigError: it cannot gather so.
    """
    found: object = getattr(hosted.agent, "gathers", None)
    if found is None:
        return None
    where = f"agent {hosted.name!r}"
    if not isinstance(found, Gathers):
        raise ConfigError(f"{where}: gathers is {found!r}; it must be a Gathers, or None")
    if not callable(getattr(hosted.agent, "gather", None)):
        raise ConfigError(f"{where} gathers messages, and has no method gather to join them")
    if hosted.reads_mailbox:
        raise ConfigError(f"{where} reads its own mailbox, so nothing gathers for it; drop one")
    return found
