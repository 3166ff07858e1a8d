"""How many calls one runtime executes at a time.

A call that finds no slot waits for one until its deadline. One exception: when its own path already
holds a slot here, waiting could wait for itself, so it fails at once.
"""

from __future__ import annotations

import asyncio
from collections import deque

from aixgo.context import CallContext
from aixgo.errors import LimitExceeded

__all__ = ["Slots"]

WAITING_PER_SLOT = 10  # calls that may queue for each slot before new ones are turned away


class Slots:
    """The in-flight bound of one runtime instance. Belongs to one event loop."""

    __slots__ = ("_free", "_instance", "_limit", "_waiting")

    def __init__(self, limit: int, instance: str) -> None:
        self._limit = limit
        self._free = limit
        self._instance = instance
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def try_acquire(self) -> bool:
        """Take a slot if one is free; while somebody waits, none is."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def acquire(self, context: CallContext) -> None:
        """Wait for a slot. The deadline guard of the call bounds the wait.

        Raises:
            LimitExceeded: the call's own path holds a slot here, or too many wait.
        """
        if any(hop.instance == self._instance for hop in context.hops):
            raise LimitExceeded("max_in_flight", self._limit, context.agent)
        if len(self._waiting) >= self._limit * WAITING_PER_SLOT:
            raise LimitExceeded(
                "calls waiting for max_in_flight", len(self._waiting), context.agent
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the slot came at the same moment: pass it on
            elif turn in self._waiting:  # a slot given back meanwhile has passed us over
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give the slot back, to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
