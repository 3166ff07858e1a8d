"""Budgets on the way: a call within a budget gets a part of it, and an attempt elsewhere carries that along.

An attempt at a peer that ends without a report (its deadline passed, its caller left, its connection was lost)
keeps what it carried out of the purse until the link knows what was spent, at most a quarter of a second and
behind the caller's back; what is unknown then is charged whole and marked `unsettled`.

Below: purse, context, rpc. Above: delivery lends, peers carries.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aixgo.context import CallContext
from aixgo.errors import AixgoError, BudgetExceeded, InvalidMessage, Unavailable
from aixgo.message import Message
from aixgo.middleware import ReplyStream, WatchedStream
from aixgo.purse import Held, Purse

if TYPE_CHECKING:
    from aixgo.rpc.base import Link

__all__ = ["Settling", "tell_spent"]


def tell_spent(exc: BaseException, context: CallContext) -> None:
    """Have the error of a root call say what was spent where in the whole tree."""
    if isinstance(exc, BudgetExceeded) and context.purse is not None:
        exc.spent = context.purse.spent_text() or exc.spent


class Settling:
    """The attempts of one runtime at peers, and those that ended without saying what they spent."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(
        self, link: Link, target: str, message: Message, context: CallContext, purse: Purse
    ) -> Message:
        """One attempt at `target` with all that is free of `purse`."""
        held = context.offer = await purse.take_all()
        try:
            reply = await link.call(target, message, context)
        except BaseException as exc:
            self._ended(link, context, purse, held, exc)
            raise
        purse.release(held)
        return reply

    async def stream(
        self, link: Link, target: str, message: Message, context: CallContext, purse: Purse
    ) -> ReplyStream:
        """One streamed attempt at `target` with all that is free of `purse`."""
        held = context.offer = await purse.take_all()
        try:
            chunks = await link.stream(target, message, context)
        except BaseException as exc:
            self._ended(link, context, purse, held, exc)
            raise

        def ended(exc: BaseException | None) -> None:
            self._ended(link, context, purse, held, exc)

        return WatchedStream(chunks, ended)

    async def aclose(self) -> None:
        """Wait for what is being settled; each is bounded."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _ended(
        self,
        link: Link,
        context: CallContext,
        purse: Purse,
        held: Held,
        exc: BaseException | None,
    ) -> None:
        """Take note of how an attempt ended: well, or with `exc`."""
        if context.in_doubt:
            task = asyncio.create_task(
                _settle(link, context, purse, held), name=f"aixgo-settle-{context.agent}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif _is_unknown(exc):
            _charge_whole(context, purse, held)
        else:
            purse.release(held)


async def _settle(link: Link, context: CallContext, purse: Purse, held: Held) -> None:
    try:
        await link.settle(context)
    finally:
        if context.in_doubt:
            context.in_doubt = False
            _charge_whole(context, purse, held)
        else:
            purse.release(held)
        purse.give_back()


def _charge_whole(context: CallContext, purse: Purse, held: Held) -> None:
    context.charge(purse.unsettled(held.amounts))
    purse.release(held)


def _is_unknown(exc: BaseException | None) -> bool:
    """Whether nobody can tell what an attempt that ended with `exc` did."""
    if isinstance(exc, AixgoError) and exc.agent:
        return False  # the peer says so itself, and what was spent
    return isinstance(exc, InvalidMessage) or (
        isinstance(exc, Unavailable) and exc.outcome == "unknown"
    )
