"""Sent messages: into mailboxes, out of them, and to exits.

An exit is an output that no agent has: a mailbox somebody reads with `recv`. Below: mailboxes, contexts.
Above: base.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aixgo.context import CallContext, Clock
from aixgo.contract import Outcome, Outcomes
from aixgo.errors import AgentNotFound, AixgoError, MailboxFull
from aixgo.ledger import Budget
from aixgo.mailboxes.base import Posted
from aixgo.mailboxes.memory import MemoryMailbox
from aixgo.message import Message
from aixgo.purse import Purse
from aixgo.runtime.calling import check_timeout
from aixgo.runtime.contexts import Contexts
from aixgo.runtime.registry import Registry

__all__ = ["SEND_TIMEOUT", "Mail"]

SEND_TIMEOUT = 5.0  # seconds a full mailbox is waited for


class Mail:
    """The mail of one runtime."""

    def __init__(self, registry: Registry, contexts: Contexts, clock: Clock, capacity: int) -> None:
        self._registry = registry
        self._contexts = contexts
        self._clock = clock
        self._capacity = capacity
        self._exits: dict[str, MemoryMailbox] = {}
        self.sent = 0
        self.received = 0
        self.refused = 0
        """Messages a full exit had no room for."""

    async def send(
        self,
        target: str,
        message: Message,
        parent: CallContext | None,
        timeout: float,
        budget: Budget | None,
    ) -> None:
        """Put `message`, our own handle, into the mailbox or exit `target`."""
        context = self._contexts.make(target, parent)
        # Accepting it is all that is waited for, and with no time at all it is still tried.
        context.deadline = self._clock.monotonic() + check_timeout(timeout)
        if budget is None or parent is None or parent.purse is None:
            context.purse = None if budget is None else Purse.of(budget)
            await self._post(target, message, context, timeout)
            return
        purse = parent.purse
        held, context.purse = purse.carve(budget, parent.where)
        try:
            await self._post(target, message, context, timeout)
        except BaseException:
            purse.release(held)
            raise
        parent.charge(purse.unsettled(held.amounts))  # nobody will say what was spent of it
        purse.release(held)

    async def _post(
        self, target: str, message: Message, context: CallContext, timeout: float
    ) -> None:
        route = self._registry.routes.get(target)
        if route is not None:
            await route.send(message, context)
        else:
            await self._leave(self._exit(target), Posted.of(message, context), timeout)
        self.sent += 1

    async def _leave(self, exit_: MemoryMailbox, posted: Posted, timeout: float) -> None:
        try:
            await exit_.put(posted, timeout)
        except MailboxFull:
            self.refused += 1
            raise

    async def recv(self, name: str, timeout: float | None) -> Message:
        """Take the next message from a declared mailbox or an exit."""
        if timeout is not None:
            check_timeout(timeout)
        route = self._registry.routes.get(name)
        if route is not None:
            message = await route.recv(timeout)
        else:
            message = (await self._exit(name).get(timeout)).message
        self.received += 1
        return message

    async def broadcast(
        self, targets: Iterable[str] | None, own: str, message: Message, parent: CallContext | None
    ) -> Outcomes:
        """Put `message` into many mailboxes, except the one of `own`."""
        names = [
            name for name in (self._registry.routes if targets is None else targets) if name != own
        ]

        async def one(target: str) -> Outcome:
            try:
                await self.send(target, message.delivered(own), parent, SEND_TIMEOUT, None)
            except AixgoError as exc:
                return Outcome(target, error=exc)
            return Outcome(target)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(target)) for target in names]
        return Outcomes(task.result() for task in tasks)

    def waiting(self) -> dict[str, int]:
        """Messages waiting, per mailbox and exit that has any."""
        hosted = tuple(self._registry.hosted.values())  # whoever shows metrics reads in a thread
        boxes = {each.name: each.mailbox for each in hosted} | self._exits
        return {name: len(box) for name, box in boxes.items() if len(box)}

    def close(self) -> None:
        """Wake whoever reads an exit."""
        for mailbox in self._exits.values():
            mailbox.close()

    def _exit(self, name: str) -> MemoryMailbox:
        """The mailbox of an output that no agent has.

        Raises:
            AgentNotFound: nobody's outputs name it.
        """
        mailbox = self._exits.get(name)
        if mailbox is None:
            outputs = (hosted.outputs for hosted in self._registry.hosted.values())
            if name in self._registry.routes or not any(name in listed for listed in outputs):
                raise AgentNotFound(name, self._registry.routes)
            mailbox = self._exits[name] = MemoryMailbox(name, self._capacity)
        return mailbox
