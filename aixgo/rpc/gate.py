"""A gate that lets waiters through one by one, in the order in which they came.

For room in a queue, and for places among the calls of a connection: what is waited for is a condition,
and whoever changes something it depends on knocks.

Below: errors. Above: outbox, connection.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from aixgo.errors import AixgoError

__all__ = ["Gate"]


class Gate:
    """Passes while `is_open` says so. Belongs to one event loop."""

    __slots__ = ("_closed", "_is_open", "_stalled", "_waiting")

    def __init__(self, is_open: Callable[[], bool], stalled: Callable[[], None]) -> None:
        self._is_open = is_open
        self._stalled = stalled  # told whenever somebody has to wait
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._closed: Callable[[], AixgoError] | None = None

    @property
    def passable(self) -> bool:
        """Whether `wait` would return at once: it is open, and nobody came earlier."""
        return self._closed is None and not self._waiting and self._is_open()

    async def wait(self) -> None:
        """Return when it is this waiter's turn; use what was waited for before awaiting anything else.

        Raises:
            AixgoError: the gate was closed for good; the error it was closed with.
        """
        if self._closed is not None:
            raise self._closed()
        if self.passable:
            return
        self._stalled()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = None
        try:
            await turn
        finally:
            del self._waiting[turn]
            loop.call_soon(self.knock)  # once this one has used what it waited for, or left
        if self._closed is not None:
            raise self._closed()

    def knock(self) -> None:
        """Look again: what the gate waits for may be there."""
        if self._waiting and self._is_open():
            first = next(iter(self._waiting))
            if not first.done():
                first.set_result(None)

    def close(self, error: Callable[[], AixgoError]) -> None:
        """Turn everybody away, now and later, with what `error` makes."""
        self._closed = error
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
